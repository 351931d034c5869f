"""From how sure the durations are to how sure the answer is: the same plan with all durations low, and high.

Of a profile: its quartiles. Of a data sheet: the share of the peak that published systems are seen to reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from planner.action import OF_PASSES, Kind
from planner.cost import Costs
from planner.instance import Instance
from planner.passes import PASS_EFFICIENCY
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.shipped import source_of_times
from planner.sweeping.stream_clip import Clip, Laid, laid, played, posted

# Shares of the peak that whole passes reach, from published times of passes and their FLOPs: 0.19 (LongLive 1.3B on
# H100, full window, NVlabs/LongLive issue 26), 0.27 (1.3B on H100, arXiv 2511.20426), 0.40 (1.3B on H200, WaveForcing's
# one-GPU clip), 0.45 (14B on H100, arXiv 2511.20426), 0.51 to 0.53 (1.3B on A100, NVIDIA/flashdreams), about 0.6
# (18.5B on H200 compiled, vllm-omni issue 6672).
LEAST_EFFICIENCY, MOST_EFFICIENCY = 0.19, 0.60
# The decoder's efficiency rests on one published measurement, so it is taken as sure within a factor of two.
DECODE_FACTOR = 2.0
PASSES = frozenset({Kind.DENOISE, Kind.COMMIT, Kind.RECACHE, Kind.TEXT}) | OF_PASSES

Scale = Callable[[Kind], float]


class Spread(NamedTuple):
    """The same plan with all durations low, and with all high."""

    quick: Clip
    slow: Clip


def spread(found: Laid) -> Spread:
    """How much the figures move with what is not known of the durations; nothing where a profile tells no quartiles."""
    profile = found.priced.problem.profile
    if profile is None:
        return Spread(_scaled(found, _quick), _scaled(found, _slow))
    quick, slow = (_at_quartile(found, profile, name) for name in ("lower_us", "upper_us"))
    return Spread(quick, slow)


def source(problem: Problem) -> str:
    """Where the durations and their interval come from, in a line."""
    if problem.profile is None:
        return (
            f"data sheet of {problem.cluster.devices[0].kind}: passes at {PASS_EFFICIENCY:.0%} of the peak "
            f"({LEAST_EFFICIENCY:.0%} to {MOST_EFFICIENCY:.0%} are published), decoder within a factor of "
            f"{DECODE_FACTOR:g}"
        )
    timings = (*problem.profile.denoise, *problem.profile.clean, problem.profile.decode)
    known = any(timing.lower_us is not None for timing in timings)
    return source_of_times(problem).removeprefix("times: ") + ("" if known else "; no quartiles, so no interval")


def _quick(kind: Kind) -> float:
    return PASS_EFFICIENCY / MOST_EFFICIENCY if kind in PASSES else 1 / DECODE_FACTOR


def _slow(kind: Kind) -> float:
    return PASS_EFFICIENCY / LEAST_EFFICIENCY if kind in PASSES else DECODE_FACTOR


def _scaled(found: Laid, scale: Scale) -> Clip:
    instance = found.tasks.instance
    factors = [scale(action.kind) for action in found.tasks.actions]
    durations = [
        tuple(us and max(1, round(us * factor)) for us in row)
        for row, factor in zip(instance.durations, factors, strict=True)
    ]
    return again(found, found.priced, instance._replace(durations=durations))


def _at_quartile(found: Laid, profile: Profile, name: str) -> Clip:
    tables = {table: tuple(_quartile(item, name) for item in getattr(profile, table)) for table in _TABLES}
    single = {table: _quartile(getattr(profile, table), name) for table in ("decode", "decode_first")}
    other = profile.model_copy(update=tables | single)
    if other == profile:
        return found.clip
    return recosted(found, _priced(found.priced, other))


_TABLES = ("denoise", "clean", "decode_parts")


def _quartile(timing: Timing, name: str) -> Timing:
    us = getattr(timing, name)
    return timing if us is None else timing.model_copy(update={"median_us": us})


def _priced(priced: Costs, profile: Profile) -> Costs:
    return Costs(priced.problem.model_copy(update={"profile": profile}), priced.flow)


def again(found: Laid, priced: Costs, instance: Instance) -> Clip:
    """The clip of the same plan, every task on its unit and in its order, with the durations of another instance."""
    return laid(
        priced, found.shape, found.tasks._replace(instance=instance), played(found.schedule, instance), bound=False
    ).clip


def recosted(found: Laid, priced: Costs) -> Clip:
    """The clip of the same plan with other costs."""
    instance = found.shape.timed(priced).instance
    return again(found, priced, posted(instance, found.schedule, priced.post_us) if priced.post_us else instance)
