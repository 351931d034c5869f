"""Clips whose times can be reckoned by hand: one latent frame a block, invented durations, round transfer times."""

from __future__ import annotations

from collections.abc import Sequence

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import Action
from planner.cluster import Cluster
from planner.cost import costs
from planner.graph import build_graph
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.schedulers.list_schedule import Rule, Schedule, list_schedule
from planner.workload import Workload

# K/V of a block are 16 tokens x 192 x 2 x 4 bytes x 6 layers, its latents 16 x 4 x 4 x 4 bytes. At 1.024 bytes per
# nanosecond and 5 us of latency that is 149 us and 6 us.
KV_BYTES, LATENT_BYTES = 147_456, 1_024
KV_US, LATENTS_US = 149, 6


def model(steps: int, *, clean: bool = False, window: int = 8, sink: int = 0) -> ModelSpec:
    """The toy with one frame a block; `window` and `sink` are blocks."""
    timesteps = [1000 - 100 * step for step in range(steps)]
    shape = {"frames_per_block": 1, "window": window, "sink": sink, "timesteps": timesteps, "clean_pass": clean}
    return ModelSpec.model_validate(load_spec("toy").model_dump() | {"name": "by-hand"} | shape)


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
) -> Problem:
    """Durations by context from 0 blocks, beyond the last along the last two; the first decode's, then the others'."""
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
    workload = Workload(blocks=blocks, decode=decode)
    return Problem(model=spec, cluster=Cluster.of("cpu-core", ranks), workload=workload, profile=profile)


def grid(ranks: int, *, blocks: int = 7, steps: int = 5, pass_us: int = 10, decode_us: int = 7) -> Problem:
    """The cascade grid of DESIGN's scheduling notes: equal passes, equal decodes, transfers of 1 us."""
    spec, decode = model(steps, window=blocks), (decode_us, decode_us)
    return clip(spec, blocks, ranks, denoise_us=(pass_us,), decode_us=decode, latency_us=0, bandwidth_gbps=1e6)


def cascade(offset: int) -> Pattern:
    return Pattern(name="cascade", offset=offset)


def scheduled(problem: Problem, pattern: Pattern, placement: str = "free", rule: Rule = "earliest start") -> Schedule:
    timing = costs(problem)
    graph = build_graph(problem, pattern, timing)
    return list_schedule(graph, timing, Placement.parse(placement), problem.cluster.size, rule)


def program(text: str) -> list[Action]:
    """The actions of a text, one a line."""
    return [Action.parse(line.strip()) for line in text.strip().splitlines()]
