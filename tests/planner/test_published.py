"""The planner's own figures against what other systems measured; `pytest -s` prints predicted against published."""

from __future__ import annotations

import pytest

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import Kind
from planner.cluster import Cluster, Link
from planner.metrics import metrics
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.search import plan
from planner.workload import Workload
from tests.planner import published

# Where a case says nothing of its links, what it measured of the passes has them inside.
FREE = {"link_latency_us": 0, "link_bandwidth_gbps": 1e9}


def ms(value: float, context: int | None = None) -> Timing:
    us = round(value * 1000)
    return Timing(median_us=us, p95_us=us, samples=1, context=context)


def told(what: str, predicted: float, measured: float, tolerance: float) -> None:
    """Prints both and fails where they differ by more than the tolerance."""
    off = predicted / measured - 1
    print(f"{what}: predicted {predicted:.2f}, published {measured:.2f}, {off:+.2%} (tolerance {tolerance:.0%})")
    assert abs(off) <= tolerance, what


def by_hand(spec: ModelSpec, device: str, **given: object) -> Profile:
    data = {"model": spec.name, "device": device, "software": "published", "decode": ms(1), "decode_first": ms(1)}
    return Profile.model_validate(data | FREE | given)


def planned(problem: Problem, pattern: str, placement: str) -> Plan:
    return plan(
        problem,
        pattern=Pattern.parse(pattern, problem.model),
        placement=Placement.parse(placement),
        objective="makespan",
    )


def steady_fps(problem: Problem, pattern: str, placement: str) -> float:
    """12 frames over the exact period of the plan's endless stream."""
    endless = problem.model_copy(update={"workload": Workload(blocks=1000, decode=problem.workload.decode)})
    steady = planned(endless, pattern, placement).repeat
    assert steady is not None
    return float(12e6 / steady.period_us)


# -- Block Cascading -----------------------------------------------------------------------------


def headline_problem(case: published.Headline, ranks: int, overhead_ms: float, stretch: float) -> Problem:
    spec = load_spec(case.model)
    profile = by_hand(
        spec,
        "h100",
        denoise=(ms(case.pass_ms),),
        clean=(ms(case.pass_ms),),
        tick_overhead_us=round(1000 * overhead_ms),
        joint_stretch=stretch,
    )
    workload = Workload(blocks=21, decode=False)
    return Problem(model=spec, cluster=Cluster.of("h100", ranks), workload=workload, profile=profile)


def fitted_headline() -> tuple[float, float]:
    """(tick overhead in milliseconds, stretch): two unknowns from the two published cascade rates."""
    beside = []  # what the cost model adds to a tick by itself: the collectives of its layers
    for case in published.HEADLINES:
        tick_ms = 12_000 / steady_fps(headline_problem(case, 5, 0, 1), "cascade:1:live-joint", "block")
        beside.append(tick_ms - case.pass_ms)
    small, large = published.HEADLINES
    wanted = [12_000 / case.fps_cascade - extra for case, extra in zip(published.HEADLINES, beside, strict=True)]
    stretch = (wanted[1] - wanted[0]) / (large.pass_ms - small.pass_ms)
    return wanted[0] - stretch * small.pass_ms, stretch


def test_block_cascading_headline() -> None:
    overhead, stretch = fitted_headline()
    print(f"fitted: {overhead:.0f} ms a tick, passes stretched {stretch:.2f} times")
    assert 0 < overhead < 400
    assert 1 < stretch < 2
    for case in published.HEADLINES:
        alone = headline_problem(case, 1, overhead, stretch)
        told(f"{case.model} sequential fps", steady_fps(alone, "sequential", "free"), case.fps_sequential, 0.01)
        five = headline_problem(case, 5, overhead, stretch)
        found = steady_fps(five, "cascade:1:live-joint", "block")
        told(f"{case.model} cascade fps", found, case.fps_cascade, 0.01)


def test_block_cascading_latency() -> None:
    """Not fitted: the published block latencies, 0.60 -> 1.60 s at 1.3B and 2.13 -> 3.84 s at 14B."""
    overhead, stretch = fitted_headline()
    for case, alone, cascaded in zip(published.HEADLINES, (0.60, 2.13), (1.60, 3.84), strict=True):
        for ranks, pattern, latency in ((1, "sequential", alone), (5, "cascade:1:live-joint", cascaded)):
            problem = headline_problem(case, ranks, overhead, stretch)
            found = planned(problem, pattern, "free" if ranks == 1 else "block")
            got = metrics(problem.model, problem.cluster, found.ranks).block_latency_us / 1e6
            told(f"{case.model} {pattern} block latency, s", got, latency, 0.02)


# -- LiveAvatar ----------------------------------------------------------------------------------


def liveavatar(steps: int, vae_ms: float) -> Problem:
    timesteps = (1000, 750, 500, 250)[:steps]
    shape = {"name": "liveavatar-14b", "timesteps": timesteps, "clean_pass": False, "tolerates": ("same-level",)}
    spec = ModelSpec.model_validate(load_spec("wan-14b").model_dump() | shape)
    pass_ms = 12_000 / published.LIVEAVATAR_FPS
    profile = by_hand(spec, "h100", denoise=(ms(pass_ms),), decode_first=ms(vae_ms), decode=ms(vae_ms))
    cluster = Cluster.of("h100", steps + 1)
    return Problem(model=spec, cluster=cluster, workload=Workload(blocks=12), profile=profile)


def test_liveavatar_first_frame() -> None:
    pass_ms = 12_000 / published.LIVEAVATAR_FPS
    vae_ms = published.LIVEAVATAR_TTFF_S[2] * 1000 - 2 * pass_ms  # the one constant, from the first row
    for steps, seconds in published.LIVEAVATAR_TTFF_S.items():
        problem = liveavatar(steps, vae_ms)
        found = plan(
            problem, pattern=Pattern.parse("same-level", problem.model), placement=Placement.parse("step+decoder")
        )
        assert not found.warnings
        figures = metrics(problem.model, problem.cluster, found.ranks)
        told(f"first frame at {steps} steps, s", figures.first_frame_us / 1e6, seconds, published.LIVEAVATAR_TOLERANCE)
        told(f"fps at {steps} steps", figures.steady_fps, published.LIVEAVATAR_FPS, published.LIVEAVATAR_TOLERANCE)


# -- WaveForcing ---------------------------------------------------------------------------------


def wavert(case: published.WaveRT, *, decode: bool) -> Problem:
    """A tick is a pass and the layer by which each rank trails the one before."""
    spec = load_spec("self-forcing-1.3b")
    pass_ms = case.mean_tick_ms * spec.layers / (spec.layers + 1)
    stages = tuple(ms(stage) for stage in published.WAVERT_STAGES_MS)
    profile = by_hand(
        spec,
        "h200",
        denoise=(ms(pass_ms),),
        clean=(ms(pass_ms),),
        decode=ms(sum(published.WAVERT_STAGES_MS)),
        decode_first=ms(sum(published.WAVERT_STAGES_MS)),
        decode_parts=stages,
    )
    free = Link(kind="free", latency_us=0, bandwidth_gbps=1e9)
    cluster = Cluster.of("h200", 8 if decode else 5, link=free)
    workload = Workload(blocks=published.WAVERT_BLOCKS, decode=decode)
    return Problem(model=spec, cluster=cluster, workload=workload, profile=profile)


@pytest.mark.parametrize("case", published.WAVERT, ids=lambda case: case.name)
def test_wavert(case: published.WaveRT) -> None:
    frames = 12 * published.WAVERT_BLOCKS  # as the source counts them
    for decode, placement, name in ((False, "step", "dit_fps"), (True, "step+decoder:3", "e2e_fps")):
        found = planned(wavert(case, decode=decode), "cascade:1:live-causal", placement)
        fps = frames * 1e6 / found.makespan_us
        told(f"{case.name} {name}", fps, getattr(case, name), published.WAVERT_TOLERANCE[name])


# -- FlashDreams ---------------------------------------------------------------------------------


def test_flashdreams_passes() -> None:
    spec = load_spec("self-forcing-1.3b")
    measured = published.FLASHDREAMS_CLEAN_MS
    two = (ms(measured[0], 0), ms(measured[6], 6))
    decode = ms(published.FLASHDREAMS_DECODE_MS)
    profile = by_hand(spec, "a100", denoise=two, clean=two, decode=decode, decode_first=decode)
    problem = Problem(model=spec, cluster=Cluster.of("a100"), workload=Workload(blocks=8), profile=profile)
    found = planned(problem, "sequential", "free")
    rows = [row for row in found.ranks[0] if row.action.is_compute]
    for block, clean_ms in enumerate(measured):
        clean = next(r.end_us - r.start_us for r in rows if r.action.kind is Kind.COMMIT and r.action.block == block)
        told(f"clean pass, {block} context blocks, ms", clean / 1000, clean_ms, published.FLASHDREAMS_TOLERANCE)
    for block, four_ms in published.FLASHDREAMS_FOUR_STEPS_MS.items():
        steps = [r for r in rows if r.action.kind is Kind.DENOISE and r.action.block == block]
        total = sum(row.end_us - row.start_us for row in steps) / 1000
        told(f"four passes, {block} context blocks, ms", total, four_ms, published.FLASHDREAMS_TOLERANCE)


def test_the_roofline_knows_an_a100() -> None:
    """Nothing fitted but the one share of the peak rate that the cost model states."""
    spec = load_spec("self-forcing-1.3b")
    problem = Problem(model=spec, cluster=Cluster.of("a100"), workload=Workload(blocks=8))
    rows = planned(problem, "sequential", "free").ranks[0]
    for block, clean_ms in enumerate(published.FLASHDREAMS_CLEAN_MS):
        clean = next(r.end_us - r.start_us for r in rows if r.action.kind is Kind.COMMIT and r.action.block == block)
        told(f"roofline, {block} context blocks, ms", clean / 1000, clean_ms, published.FLASHDREAMS_TOLERANCE)
