"""`estimate()`: frames a second, first frame and period of a system whose parts are known."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from pydantic import Field

from planner.metrics import Metrics, metrics
from planner.pace import pace_us
from planner.placement import Placement
from planner.plan import RATIO, Plan
from planner.problem import Problem
from planner.rows import finished_us
from planner.search import plan
from planner.searching.case import price, schedule_case
from planner.searching.finish import rows_of
from planner.streams.stream import lookahead
from planner.system import System
from planner.value import Value

# Blocks of more passes are not planned as an endless stream: its kernel is looked for in a clip too short for them.
MOST_PASSES = 20
# Blocks of a clip between its ramps.
SETTLED = 10


class ClipEstimate(Value):
    """A clip from its first pass to its last frame, stages before and after included."""

    blocks: int
    frames: int
    seconds: float
    fps: float


class Estimate(Value):
    """What a system comes to. Times in milliseconds; `period_us` is exact, like `12345/2`.

    `fps`: pixel frames of a block over the period of the endless stream; `fps_without_decode` the same if nothing were
    decoded, None where the next block needs the pixels. `first_frame_ms`: until the first block is out, from when its
    prompt is there. `latency_ms`: of the slowest block, from the first of the stages before its first pass to its last
    frame. `limit`: what sets the period. `money_per_minute`: of a minute of the endless video, for the devices that
    compute; `devices` counts all.
    """

    name: str
    pattern: str
    placement: str
    devices: int
    frames: int
    period_us: str = Field(pattern=RATIO)
    period_ms: float
    fps: float
    fps_without_decode: float | None
    first_frame_ms: float
    latency_ms: float
    control_ms: float
    real_time_factor: float
    limit: str
    money_per_minute: float
    clip: ClipEstimate | None = None


class Paced(NamedTuple):
    """A system's schedule and how often it ends a block, stages around the loop left out."""

    problem: Problem
    plan: Plan
    figures: Metrics
    period_us: Fraction
    limit: str


def estimate(system: System) -> Estimate:
    """The figures of a system by hand; the schedule is planned as any other is.

    Stages before and after work side by side with the rest, one block at a time each, so the slowest of all sets the
    period and the first frame passes through every one. Raises InputError where pattern, placement and count do not go
    together, InfeasibleError if there is no schedule.
    """
    paced = _paced(system)
    problem, found, figures = paced.problem, paced.plan, paced.figures
    period, limit = _period(system, paced)
    frames = system.pixel_frames or problem.model.pixel_frames(1)
    outside, first_ms = _outside_ms(system), figures.first_frame_us / 1000 + _outside_ms(system)
    fps = float(frames * 10**6 / period)
    video_s_per_s = fps / problem.model.frame_rate
    price = sum(
        device.price_per_hour
        for device, rows in zip(problem.cluster.devices, found.ranks, strict=True)
        if any(row.action.is_compute for row in rows)
    )
    return Estimate(
        name=system.name or problem.model.name,
        pattern=str(found.pattern),
        placement=found.placement,
        devices=problem.cluster.size,
        frames=frames,
        period_us=str(period),
        period_ms=float(period / 1000),
        fps=fps,
        fps_without_decode=fps if _binds_without_decode(found) else _without_decode(system, frames, fps),
        first_frame_ms=first_ms,
        latency_ms=figures.block_latency_us / 1000 + outside,
        control_ms=figures.control_us / 1000 + outside,
        real_time_factor=video_s_per_s,
        limit=limit,
        money_per_minute=price / 60 / video_s_per_s,
        clip=_clip(system, frames, first_ms, period),
    )


def _planned(system: System, problem: Problem) -> Plan:
    pattern, placement = system.planned_pattern(problem.model), system.planned_placement()
    return plan(problem, pattern=pattern, placement=placement, only=system.has_share)


def _paced(system: System, *, decode: bool = True) -> Paced:
    """The endless stream's schedule, period and what sets it; of blocks of many passes that of a clip."""
    spec = system.spec
    if spec.passes <= MOST_PASSES:
        problem = system.problem(decode=decode)
        found = _planned(system, problem)
        assert found.steady is not None, "an endless stream has a period"
        limit = f"{found.steady.limit}: {', '.join(found.steady.certificate)}"
        figures = metrics(problem.model, problem.cluster, found.ranks)
        return Paced(problem, found, figures, Fraction(found.steady.period), limit)
    return _clip_pace(system, decode)


def _clip_pace(system: System, decode: bool) -> Paced:
    """The pace in the middle of a clip whose blocks are held back: what nobody waits for is not put off to its end."""
    spec, pattern = system.spec, system.planned_pattern(system.spec)
    ramp = spec.window_blocks + -(-spec.passes // pattern.offset)
    problem = system.problem(2 * ramp + SETTLED, decode=decode)
    found = _planned(system, problem)
    priced = price(problem, pattern, Placement.parse(found.placement))
    made = rows_of(schedule_case(problem, priced, "makespan", lookahead(problem, pattern)))
    rows = found.ranks if isinstance(made, str) else made.rows
    pace = pace_us(finished_us(rows, found.last_step), ramp)
    figures = metrics(problem.model, problem.cluster, rows)
    return Paced(problem, found, figures, pace, f"the middle of a clip of {problem.workload.blocks} blocks")


def _period(system: System, paced: Paced) -> tuple[Fraction, str]:
    """The period in microseconds with all stages around the loop, and what sets it."""
    period, limit = paced.period_us, paced.limit
    for name, stages in (("before", system.stages_before_ms), ("after", system.after_ms)):
        for at, ms in enumerate(stages):
            us = Fraction(round(ms * 1000))
            if us > period:
                period, limit = us, f"stage {at + 1} of those {name}"
    return period, limit


def _binds_without_decode(found: Plan) -> bool:
    """Whether what sets the period is a cycle of passes alone, which stays if nothing is decoded."""
    steady = found.steady
    if steady is None or steady.gap or steady.limit != "dependencies":
        return False
    return not any(task.startswith(("decode", "encode")) for task in steady.certificate)


def _without_decode(system: System, frames: int, fps: float) -> float | None:
    if system.feeds:
        return None
    if not system.latencies.decodes:
        return fps
    period, _ = _period(system, _paced(system, decode=False))
    return float(frames * 10**6 / period)


def _clip(system: System, frames: int, first_ms: float, period: Fraction) -> ClipEstimate | None:
    """The clip's own schedule and the stages around it; or, where one of those is slower, its pace."""
    if system.blocks is None:
        return None
    problem = system.problem(system.blocks)
    within = _planned(system, problem).whole_us + 1000 * _outside_ms(system)
    us = max(within, first_ms * 1000 + float(period) * (system.blocks - 1))
    total = frames * system.blocks
    if system.pixel_frames is None:
        total += problem.model.pixel_frames(0) - frames
    return ClipEstimate(blocks=system.blocks, frames=total, seconds=us / 1e6, fps=total * 1e6 / us)


def _outside_ms(system: System) -> float:
    return sum(system.stages_before_ms) + sum(system.after_ms)
