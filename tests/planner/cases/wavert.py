"""WaveForcing's runtime: DiT and end-to-end rates from a tick and three decoder stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from planner.system import System
from tests.planner.cases.case import Case, Row, facts, planned, system

NAME = "wavert-1.3b-bf16"
LIVE = "cascade:1:live-causal"
DIT_TOLERANCE, END_TO_END_TOLERANCE = 0.01, 0.05
NOTE = (
    "The DiT's rates come out a hundredth high throughout, as in the case above: the planner's last block has no clean "
    "pass, and the first ticks wait for no layer of another. That each of two stages takes half of the decoder is a "
    "guess; the source says only that they cap the rate at about 85. Left out are the runs that the source marks as "
    "anomalies (asynchronous exchange beside a decoder of two stages, 53-60 fps end to end): copies and kernels "
    "contend on a device there, and no published part tells how much."
)


def case() -> Case:
    found = facts(NAME)
    mean, p50 = found["tick_mean"]["causal_sync"], found["tick_p50"]
    rows: list[Row] = []
    for name in ("causal_sync", "paged"):
        tick_ms = p50[name] * mean / p50["causal_sync"]
        rates = found["dit_fps"][name], found["e2e_fps"][name]
        rows += pair(name, rates, Asked(tick_ms, 30, 5, tuple(found["vae_stages"])), whole_us)
    return Case(
        name=NAME,
        source=found["source"],
        given="the mean tick, the decoder's three stages, 133 blocks of 12 frames",
        fitted="nothing; the paged tick's mean is not told and taken to be to its median as the synchronous one's",
        rows=tuple(rows),
    )


def matrix() -> Case:
    found, base = facts("wavert-matrix"), facts(NAME)
    ratio = base["tick_mean"]["causal_sync"] / base["tick_p50"]["causal_sync"]
    whole = sum(base["vae_stages"])
    rows: list[Row] = []
    for name, layers, ranks, stages, p50, dit, e2e in found["rows"]:
        parts = tuple(base["vae_stages"]) if stages == 3 else (whole / stages,) * stages
        rows += pair(name, (dit, e2e), Asked(p50 * ratio, layers, ranks, parts), extended_us)
    rows = [row._replace(tolerance=2 * DIT_TOLERANCE) if row.tolerance == DIT_TOLERANCE else row for row in rows]
    rows[-1] = rows[-1]._replace(tolerance=None)
    return Case(
        name="wavert-matrix",
        source=found["source"],
        given="the median tick of each run, the decoder's three stages of the bf16 runs; two stages take half each",
        fitted=f"what a mean tick is of its median, {ratio:.3f}: one number for all, from the bf16 synchronous run",
        rows=tuple(rows),
        note=NOTE,
    )


def pair(name: str, rates: tuple[float, float], asked: Asked, us_of: Callable[[System], float]) -> list[Row]:
    """The DiT's rate alone and that with the decoder behind it, as the source counts: twelve frames of every block."""
    found = facts(NAME)
    frames = found["frames_per_block"] * found["blocks"]
    alone, behind = (frames * 1e6 / us_of(asked.system(decodes=decodes)) for decodes in (False, True))
    return [
        Row(f"{name}, DiT fps", alone, rates[0], DIT_TOLERANCE),
        Row(f"{name}, end-to-end fps", behind, rates[1], END_TO_END_TOLERANCE),
    ]


class Asked(NamedTuple):
    """A run: its tick, layers, DiT ranks and decoder stages."""

    tick_ms: float
    layers: int
    ranks: int
    stages: tuple[float, ...]

    def system(self, *, decodes: bool) -> System:
        latencies: dict[str, Any] = {"tick_ms": self.tick_ms}
        return system(
            model={"layers": self.layers},
            steps=self.ranks - 1,
            pattern=LIVE,
            count=self.ranks + decodes * len(self.stages),
            placement=f"step+decoder:{len(self.stages)}" if decodes else "step",
            device="h200",
            latencies=latencies | ({"decode_stages_ms": self.stages} if decodes else {}),
        )


def whole_us(asked: System, blocks: int | None = None) -> float:
    """A clip's time, every block planned."""
    assert asked.placement is not None
    return planned(asked.problem(blocks or facts(NAME)["blocks"]), asked.pattern, asked.placement).whole_us


def extended_us(asked: System) -> float:
    """The same from two short clips: once it has settled, each block adds the same."""
    short, long = whole_us(asked, 18), whole_us(asked, 22)
    more: int = facts(NAME)["blocks"] - 22
    return long + more * (long - short) / 4
