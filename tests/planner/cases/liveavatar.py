"""LiveAvatar: the first frame at two, three and four steps."""

from __future__ import annotations

from typing import Any

from planner.estimate import Estimate, estimate
from tests.planner.cases.case import Case, Row, facts, system

NAME = "liveavatar-ttff"
TOLERANCE = 0.02


def case() -> Case:
    found = facts(NAME)
    pass_ms = 1000 * found["frames_per_block"] / found["fps"]
    vae_ms = found["ttff_s"][2] * 1000 - 2 * pass_ms
    rows: list[Row] = []
    for steps, seconds in found["ttff_s"].items():
        made = reckoned(steps, pass_ms, vae_ms)
        rows.append(Row(f"{steps} steps, first frame, s", made.first_frame_ms / 1000, seconds, TOLERANCE))
        rows.append(Row(f"{steps} steps, fps", made.fps, found["fps"], TOLERANCE))
    return Case(
        name=NAME,
        source=found["source"],
        given="the rate, from which a pass follows: a same-level pipeline ends a block a pass",
        fitted=f"one constant for the VAE and the hops, {vae_ms:.0f} ms, on the first frame at two steps",
        rows=tuple(rows),
    )


def reckoned(steps: int, pass_ms: float, vae_ms: float) -> Estimate:
    model: dict[str, Any] = {"base": "wan-14b", "name": "liveavatar-14b"}
    return estimate(
        system(
            model=model,
            steps=steps,
            clean_pass=False,
            pattern="same-level",
            device="h800",
            count=steps + 1,
            placement="step+decoder",
            latencies={"pass_ms": pass_ms, "decode_ms": vae_ms},
        )
    )
