"""Hypothesis strategies for what the planner is given, and for plans it makes of that."""

from __future__ import annotations

from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.cluster import DEVICES, LINKS, Cluster, Link
from planner.cost import Costs, costs
from planner.flow import Flow
from planner.patterns import Pattern, all_patterns
from planner.placement import Method, PassPlacement, Placement, group_fault
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Parallel, Profile, Timing
from planner.schedulers.list_schedule import RULES
from planner.search import plan
from planner.workload import PromptSwitch, Workload
from tests.planner.clips import cascade, plan_of, timed

TIMESTEPS = (1000.0, 750.0, 500.0, 250.0)
SHARINGS = ("pair", "port", "bus")
METHODS: tuple[Method, ...] = ("ulysses", "tensor")
MAX_PARTS = 3  # of a decoder

durations_us = st.integers(1, 300)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """The toy, or a model of its size with 1 to 4 steps, a window of 1 to 4 blocks and a sink of at most one.

    An invented model's first block may take more steps and have other frames.
    """
    toy = load_spec("toy")
    if draw(st.booleans()):
        return toy
    frames, window = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    sink = draw(st.integers(0, min(1, window - 1)))
    steps, other = draw(st.integers(1, 4)), draw(st.booleans())
    invented = {
        "name": "invented",
        "frames_per_block": frames,
        "window": frames * window,
        "sink": frames * sink,
        "timesteps": TIMESTEPS[:steps],
        "clean_pass": draw(st.booleans()),
        "first_block_steps": draw(st.none() | st.integers(steps, steps + 2)) if other else None,
        "first_block_frames": draw(st.none() | st.integers(1, 3)) if other else None,
        "text_encoder_parameters": draw(st.sampled_from([0, 10**6])),
    }
    return ModelSpec.model_validate(toy.model_dump() | invented)


def patterns(spec: ModelSpec) -> st.SearchStrategy[Pattern]:
    """Every pattern the model can be planned with, tolerated or not."""
    longest = [cascade(spec.passes), cascade(spec.passes, "live-causal"), cascade(spec.passes, "live-joint")]
    return st.sampled_from([*all_patterns(spec), *longest])


def _patterns_for(problem: Problem) -> st.SearchStrategy[Pattern]:
    spec, barred = problem.model, set()
    if not problem.workload.decode:
        barred.add("sequential-recompute")  # reads pixels
    if spec.block_steps(0) != spec.steps:
        barred.add("layers")  # each round of a ring takes all blocks one step on
    return patterns(spec).filter(lambda pattern: pattern.name not in barred)


@st.composite
def placements(draw: st.DrawFn, pattern: Pattern, problem: Problem) -> Placement:
    """Every placement that fits the pattern, sensible or not, on all ranks or on the fastest few."""
    size, profile, decode = problem.cluster.size, problem.profile, problem.workload.decode
    used = draw(st.integers(1, size)) if draw(st.booleans()) else size
    passes: PassPlacement = draw(st.sampled_from(_ways(pattern)))
    groups: list[tuple[Method, int]] = [
        (method, degree)
        for method in METHODS
        for degree in range(2, used + 1)
        if passes != "ring" and group_fault(problem.model, method, degree) is None
    ]
    method, degree = draw(st.sampled_from([("ulysses", 1), *groups]))
    measured = len(profile.decode_parts) if profile else 0
    apart = draw(st.integers(0, min(measured or MAX_PARTS, MAX_PARTS, used - degree))) if decode else 0
    return Placement(
        passes=passes,
        decoder="apart" if apart else "shared",
        parts=max(1, apart),
        method=method,
        degree=degree,
        ranks=None if used == size else used,
    )


def _ways(pattern: Pattern) -> list[PassPlacement]:
    if pattern.name != "cascade":
        return ["ring"] if pattern.name == "layers" else ["free", "block", "step"]
    if pattern.is_joint:
        return ["block", "step", "batched"]
    return ["free", "block", "step"] if pattern.is_live else ["free", "block", "step", "batched"]


@st.composite
def profiles(draw: st.DrawFn, spec: ModelSpec, device: str) -> Profile:
    """Invented measurements; a toy's K/V takes from a third of a pass to several to travel."""

    def timing(context: int | None = None) -> Timing:
        us = draw(durations_us)
        return Timing(median_us=us, p95_us=us, samples=1, context=context)

    def table() -> tuple[Timing, ...]:
        if draw(st.booleans()):
            return tuple(timing() for _ in range(draw(st.integers(1, 4))))
        contexts = sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=3)))
        return tuple(timing(context) for context in contexts)

    def sometimes(figures: st.SearchStrategy[int]) -> int | None:
        return draw(st.none() | figures)

    parallel = Parallel(method="ulysses", degree=2, share=0.625)
    return Profile(
        model=spec.name,
        device=device,
        software="invented",
        denoise=table(),
        clean=table() if spec.clean_pass else (),
        decode_first=timing(),
        decode=timing(),
        decode_parts=tuple(timing() for _ in range(draw(st.sampled_from([0, 0, 2, 4])))),
        encode_us=sometimes(durations_us),
        recache_us=sometimes(durations_us),
        text_us=sometimes(durations_us),
        block_overhead_us=sometimes(durations_us) or 0,
        tick_overhead_us=sometimes(durations_us) or 0,
        flight_overhead_us=sometimes(durations_us) or 0,
        joint_stretch=draw(st.none() | st.sampled_from([1.5, 2.0])),
        batch_share=draw(st.sampled_from([(), (0.5,), (0.75, 0.5)])),
        parallel=(parallel,) if draw(st.booleans()) else (),
        post_us=draw(st.sampled_from([0, 0, 3, 40])),
        link_latency_us=draw(st.integers(0, 50)),
        link_bandwidth_gbps=draw(st.sampled_from([0.5, 2.0, 20.0])),
        link_sharing=draw(st.sampled_from(SHARINGS)),
    )


@st.composite
def links(draw: st.DrawFn) -> Link:
    """One of the catalog's, shared in any way."""
    link: Link = draw(st.sampled_from(list(LINKS.values())))
    return link.model_copy(update={"sharing": draw(st.sampled_from(SHARINGS))})


@st.composite
def clusters(draw: st.DrawFn, kinds: list[str]) -> Cluster:
    """Devices of these kinds, on one node or, with a network, on two."""
    nodes: tuple[int, ...] = ()
    if len(kinds) > 1 and draw(st.integers(0, 2)) == 0:
        first = draw(st.integers(1, len(kinds) - 1))
        nodes = (first, len(kinds) - first)
    devices = tuple(DEVICES[kind] for kind in kinds)
    return Cluster(devices=devices, link=draw(links()), nodes=nodes, network=draw(links()) if nodes else None)


@st.composite
def workloads(draw: st.DrawFn, min_blocks: int = 1, decode: bool | None = None) -> Workload:
    """Up to six blocks, at times with the prompts' encoding and with other prompts from a time on."""
    times = draw(st.sets(st.integers(0, 3000), max_size=2)) if draw(st.integers(0, 2)) == 0 else set()
    return Workload(
        blocks=draw(st.integers(min_blocks, 6)),
        decode=draw(st.booleans()) if decode is None else decode,
        encode_text=draw(st.integers(0, 3)) == 0,
        switches=tuple(PromptSwitch(at_us=at, recache=draw(st.booleans())) for at in sorted(times)),
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
        cluster=draw(clusters(kinds)),
        workload=draw(workloads(min_blocks, decode)),
        profile=draw(profiles(spec, "cpu-core")) if measured else None,
    )


@st.composite
def costings(draw: st.DrawFn, *, min_devices: int = 1, min_blocks: int = 1, decode: bool | None = None) -> Costs:
    """A problem under a pattern, a placement and ticks of Hypothesis' choice; `flow` and `problem` are in it."""
    problem = draw(problems(min_devices=min_devices, min_blocks=min_blocks, decode=decode))
    pattern = draw(_patterns_for(problem))
    switches = len(problem.workload.switches)
    ticks = draw(st.sets(st.integers(0, 20), min_size=switches, max_size=switches))
    return costs(problem, Flow(problem, pattern, draw(placements(pattern, problem)), sorted(ticks)))


@st.composite
def listed(
    draw: st.DrawFn, *, min_devices: int = 1, min_blocks: int = 1, decode: bool | None = None
) -> tuple[Problem, Plan]:
    """A problem and a list schedule as its plan: any pattern, any placement, and no claim to be good."""
    timing = draw(costings(min_devices=min_devices, min_blocks=min_blocks, decode=decode))
    return timing.problem, plan_of(timing, timed(timing, draw(st.sampled_from(RULES))))


@st.composite
def planned(
    draw: st.DrawFn, *, min_devices: int = 1, min_blocks: int = 1, decode: bool | None = None
) -> tuple[Problem, Plan]:
    """A problem and the planner's answer for a pattern and a placement of Hypothesis' choice."""
    problem = draw(problems(min_devices=min_devices, min_blocks=min_blocks, decode=decode))
    pattern = draw(_patterns_for(problem))
    return problem, plan(problem, pattern=pattern, placement=draw(placements(pattern, problem)))
