"""Hypothesis strategies for what the planner is given, and for plans it makes of that."""

from __future__ import annotations

from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.cluster import DEVICES, LINKS, Cluster
from planner.patterns import Pattern
from planner.placement import Placement, all_placements
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.search import plan
from planner.workload import Workload

TIMESTEPS = (1000.0, 750.0, 500.0, 250.0)

durations_us = st.integers(1, 300)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """The toy, or a model of its size with 1 to 4 steps, a window of 1 to 4 blocks and a sink of at most one."""
    toy = load_spec("toy")
    if draw(st.booleans()):
        return toy
    frames, window = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    sink = draw(st.integers(0, min(1, window - 1)))
    invented = {
        "name": "invented",
        "frames_per_block": frames,
        "window": frames * window,
        "sink": frames * sink,
        "timesteps": TIMESTEPS[: draw(st.integers(1, 4))],
        "clean_pass": draw(st.booleans()),
    }
    return ModelSpec.model_validate(toy.model_dump() | invented)


def patterns(spec: ModelSpec) -> st.SearchStrategy[Pattern]:
    """Every pattern the model can run, tolerated or not."""
    cascades = st.integers(1, spec.passes).map(lambda offset: Pattern(name="cascade", offset=offset))
    return st.just(Pattern.sequential(spec)) | cascades


@st.composite
def profiles(draw: st.DrawFn, spec: ModelSpec, device: str) -> Profile:
    """Invented measurements; a toy's K/V takes from a third of a pass to several to travel."""

    def table() -> tuple[Timing, ...]:
        medians = draw(st.lists(durations_us, min_size=1, max_size=4))
        return tuple(Timing(median_us=us, p95_us=us, samples=1) for us in medians)

    return Profile(
        model=spec.name,
        device=device,
        software="invented",
        denoise=table(),
        clean=table() if spec.clean_pass else (),
        decode_first=table()[0],
        decode=table()[0],
        link_latency_us=draw(st.integers(0, 50)),
        link_bandwidth_gbps=draw(st.sampled_from([0.5, 2.0, 20.0])),
    )


@st.composite
def problems(draw: st.DrawFn, *, min_devices: int = 1, min_blocks: int = 1, decode: bool | None = None) -> Problem:
    """A short clip on 1 to 4 devices: equal ones that were measured, or any from the data sheets."""
    spec, count = draw(specs()), draw(st.integers(min_devices, 4))
    measured = draw(st.booleans())
    kinds = (
        ["cpu-core"] * count
        if measured
        else draw(st.lists(st.sampled_from(sorted(DEVICES)), min_size=count, max_size=count))
    )
    return Problem(
        model=spec,
        cluster=Cluster(
            devices=tuple(DEVICES[kind] for kind in kinds), link=draw(st.sampled_from(list(LINKS.values())))
        ),
        workload=Workload(
            blocks=draw(st.integers(min_blocks, 6)), decode=draw(st.booleans()) if decode is None else decode
        ),
        profile=draw(profiles(spec, "cpu-core")) if measured else None,
    )


@st.composite
def planned(
    draw: st.DrawFn, *, min_devices: int = 1, min_blocks: int = 1, decode: bool | None = None
) -> tuple[Problem, Plan]:
    """A problem and the planner's answer for a pattern and a placement of Hypothesis' choice."""
    problem = draw(problems(min_devices=min_devices, min_blocks=min_blocks, decode=decode))
    placements = all_placements(problem.cluster.size, decode=problem.workload.decode)
    where: Placement = draw(st.sampled_from(placements))
    return problem, plan(problem, pattern=draw(patterns(problem.model)), placement=where)
