"""Sequential systems that published their parts."""

from __future__ import annotations

from planner.estimate import estimate
from tests.planner.cases.case import Case, Row, facts, system


def telefuser() -> Case:
    found = facts("telefuser-lingbot")
    rows = []
    for denoise, update, decode, total in found["rows"]:
        parts = {"pass_ms": 1000 * denoise / 4, "clean_ms": 1000 * update, "decode_ms": 1000 * decode}
        made = estimate(system(model="wan-14b", latencies=parts))
        rows.append(Row(f"a chunk of {total:.3f} s", made.period_ms / 1000, total, 0.002))
    return Case(
        name="telefuser-lingbot",
        source=found["source"],
        given="four denoise passes, the cache update, the decode",
        fitted="nothing",
        rows=tuple(rows),
    )


def krea() -> Case:
    found = facts("krea-on-a-mac")
    pass_ms, decode_ms = 1000 * found["pass_s"], 1000 * found["decode_s"] / found["blocks"]
    made = estimate(
        system(
            model="krea-realtime-14b",
            pattern="sequential-recompute",
            blocks=found["blocks"],
            latencies={"pass_ms": pass_ms, "recompute_ms": pass_ms, "decode_ms": decode_ms},
        )
    )
    assert made.clip is not None
    return Case(
        name="krea-on-a-mac",
        source=found["source"],
        given="a pass, the passes of a block (the one that makes the context anew among them), the decodes of the clip",
        fitted="nothing",
        rows=(
            Row("denoising and context, s", made.clip.seconds - found["decode_s"], found["denoise_s"], 0.01),
            Row("whole clip, s", made.clip.seconds, found["wall_s"], 0.05),
        ),
        note="The first block has no context to make anew, so it is a pass shorter. Of the whole clip's wall time some "
        "seconds are neither denoising nor decoding: the prompt and writing the file, which are not told apart.",
    )
