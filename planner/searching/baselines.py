"""The fixed schedules that published systems run, as patterns and placements, to hold a plan against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from models.spec import ModelSpec
from planner.patterns import Pattern
from planner.placement import Placement, group_fault

VAE_STAGES = 3  # WaveForcing's split of the decoder


class Baseline(NamedTuple):
    """A schedule under its name."""

    name: str
    pattern: Pattern
    placement: Placement


def baselines(spec: ModelSpec, ranks: int, *, decode: bool) -> Iterator[Baseline]:
    """The published schedules for a model on up to `ranks` devices, those that need more among them."""
    sequential = Pattern.sequential(spec)
    same_level = Pattern(name="cascade", offset=1)
    causal = Pattern(name="cascade", offset=1, exchange="live")
    joint = Pattern(name="cascade", offset=1, exchange="live", direction="joint")
    apart, passes = int(decode), spec.passes

    def place(text: str) -> Placement:
        return Placement.parse(text)

    decoder = "+decoder" if decode else ""
    yield Baseline("sequential on one GPU (Self-Forcing)", sequential, place("free@1"))
    if decode:
        yield Baseline("sequential and a VAE GPU", sequential, place("free+decoder@2"))
    degree = max((p for p in range(2, ranks + 1) if not group_fault(spec, "ulysses", p)), default=0)
    if degree:
        name = f"sequential, Ulysses on {degree} (vllm-omni, FlashDreams)"
        yield Baseline(name, sequential, place(f"free*ulysses:{degree}@{degree}"))
    yield Baseline("one rank a step and a VAE rank (LiveAvatar)", same_level, place(f"step{decoder}@{passes + apart}"))
    stages = f"+decoder:{VAE_STAGES}" if decode else ""
    ranked = passes + VAE_STAGES * apart
    yield Baseline("n+1 ranks and VAE stages (WaveForcing)", causal, place(f"step{stages}@{ranked}"))
    yield Baseline("cascade, joint, a GPU a pass (Block Cascading)", joint, place(f"block@{passes}"))
    yield Baseline("one GPU, batched window (RollingForcing)", joint, place("batched@1"))
    if spec.block_steps(0) == spec.steps:
        yield Baseline("layer ring (StreamDiffusionV2)", Pattern(name="layers", offset=1), place("ring"))
