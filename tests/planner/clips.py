"""Clips whose times can be reckoned by hand: one latent frame a block, invented durations, round transfer times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import Action
from planner.cluster import Cluster
from planner.cost import Costs, costs
from planner.draft import Draft, draft
from planner.expand import expand
from planner.flow import Flow
from planner.instance import Schedule
from planner.lower import lower
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.rows import Rows, makespan_us
from planner.schedulers.list_schedule import Rule, list_schedule
from planner.timing import retime
from planner.workload import Workload

# K/V of a block are 16 tokens x 192 x 2 x 4 bytes x 6 layers, its latents 16 x 4 x 4 x 4 bytes. At 1.024 bytes per
# nanosecond and 5 us of latency that is 149 us and 6 us.
KV_BYTES, LATENT_BYTES = 147_456, 1_024
KV_US, LATENTS_US = 149, 6


def model(steps: int, *, clean: bool = False, window: int = 8, sink: int = 0, **changes: object) -> ModelSpec:
    """The toy with one frame a block; `window` and `sink` are blocks."""
    timesteps = [1000 - 100 * step for step in range(steps)]
    shape = {"frames_per_block": 1, "window": window, "sink": sink, "timesteps": timesteps, "clean_pass": clean}
    return ModelSpec.model_validate(load_spec("toy").model_dump() | {"name": "by-hand"} | shape | changes)


def us(*medians: int) -> tuple[Timing, ...]:
    return tuple(Timing(median_us=median, p95_us=median, samples=1) for median in medians)


def clip(
    spec: ModelSpec,
    blocks: int,
    ranks: int = 1,
    *,
    decode: bool = True,
    denoise_us: Sequence[int] = (100, 150),
    clean_us: Sequence[int] = (80,),
    decode_us: tuple[int, int] = (40, 60),
    latency_us: int = 5,
    bandwidth_gbps: float = 1.024,
    measured: Mapping[str, object] | None = None,
    asked: Mapping[str, object] | None = None,
) -> Problem:
    """Durations by context from 0 blocks, beyond the last along the last two; the first decode's, then the others'.

    `measured` and `asked` are further fields of the profile and of the workload.
    """
    profile = Profile(
        model=spec.name,
        device="cpu-core",
        software="invented",
        denoise=us(*denoise_us),
        clean=us(*clean_us),
        decode_first=us(decode_us[0])[0],
        decode=us(decode_us[1])[0],
        link_latency_us=latency_us,
        link_bandwidth_gbps=bandwidth_gbps,
    )
    profile = Profile.model_validate(profile.model_dump() | dict(measured or {}))
    workload = Workload.model_validate({"blocks": blocks, "decode": decode} | dict(asked or {}))
    return Problem(model=spec, cluster=Cluster.of("cpu-core", ranks), workload=workload, profile=profile)


def grid(ranks: int, *, blocks: int = 7, steps: int = 5, pass_us: int = 10, decode_us: int = 7) -> Problem:
    """The cascade grid of DESIGN's scheduling notes: equal passes, equal decodes, transfers of 1 us."""
    spec, decode = model(steps, window=blocks), (decode_us, decode_us)
    return clip(spec, blocks, ranks, denoise_us=(pass_us,), decode_us=decode, latency_us=0, bandwidth_gbps=1e6)


def cascade(offset: int, way: Literal["after", "live-causal", "live-joint"] = "after") -> Pattern:
    exchange, _, direction = way.partition("-")
    fields = {"name": "cascade", "offset": offset, "exchange": exchange, "direction": direction or "causal"}
    return Pattern.model_validate(fields)


# -- from a problem to a plan, without the planner's search --------------------------------------


def costed(
    problem: Problem, pattern: Pattern, placement: str | Placement = "free", switch_ticks: Sequence[int] = ()
) -> Costs:
    where = Placement.parse(placement) if isinstance(placement, str) else placement
    return costs(problem, Flow(problem, pattern, where, switch_ticks))


def scheduled(problem: Problem, pattern: Pattern, placement: str = "free", rule: Rule = "earliest start") -> Schedule:
    return list_schedule(expand(costed(problem, pattern, placement)).instance, rule)


def drafted(timing: Costs, rule: Rule = "earliest start") -> Draft:
    tasks = expand(timing)
    return draft(list_schedule(tasks.instance, rule), tasks, timing)


def timed(timing: Costs, rule: Rule = "earliest start") -> Rows:
    """A list schedule's rows."""
    return retime(lower(drafted(timing, rule), timing.flow), timing)


def plan_of(timing: Costs, rows: Rows | None = None) -> Plan:
    """A plan of these rows, or of a list schedule's, that proves nothing."""
    flow, problem = timing.flow, timing.problem
    ranks = timed(timing) if rows is None else rows
    value = makespan_us(ranks)
    evidence = Evidence(
        status="FEASIBLE" if value else "OPTIMAL",
        value=value,
        bound=0,
        bound_by="nothing",
        solver="by hand",
        version="1",
    )
    return Plan(
        problem_digest=problem.digest,
        pattern=flow.pattern,
        placement=str(flow.placement),
        switch_ticks=flow.switch_ticks,
        last_step=problem.model.steps - 1,
        ranks=ranks,
        evidence=evidence,
    )


def program(text: str) -> list[Action]:
    """The actions of a text, one a line."""
    return [Action.parse(line.strip()) for line in text.strip().splitlines()]
