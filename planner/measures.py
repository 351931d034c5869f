"""`measure()`: all the figures of a plan, a simulation or a run, each as docs/metrics.md defines it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from planner.cluster import Device
from planner.conditions import Player
from planner.flow import Flow
from planner.measuring.blocks import (
    BlockTimes,
    block_times,
    counted,
    mean_period_us,
    periods_us,
    quantile_us,
    waits_us,
)
from planner.measuring.labels import (
    DEFINED,
    FIGURE_COLUMNS,
    LINK_COLUMNS,
    RANK_COLUMNS,
    link_row,
    named_rows,
    rank_row,
)
from planner.measuring.loads import RankLoad, link_loads, peaks, priced, rank_load
from planner.measuring.playing import attainment, play_marks_us, shown_us, stalls, starts, starts_us
from planner.metrics import US_PER_HOUR
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import makespan_us
from planner.trace import Trace
from planner.value import Document, Value


class RankMeasures(Value):
    """One device. `utilization`: share of the clip's time in compute; `bubble`: share without, from its first compute
    action to its last; `peak_bytes`: what its program needs at most, of `memory_bytes`.
    """

    rank: int
    device: str
    busy_us: int
    utilization: float
    bubble: float
    peak_bytes: int
    memory_bytes: int


class LinkMeasures(Value):
    """One way between two ranks: what it carries, and the share of the clip's time in which anything is under way."""

    source: int
    target: int
    bytes: int
    busy: float


class Measures(Document):
    """The figures of one clip. None: there is no such figure, as nothing was finished or nobody knows the power.

    Blocks are finished when they are decoded, or if nothing is decoded, through their last step. A stream's kernel
    counts as often as it runs, exactly. A run that stopped is measured over the blocks up to the first unfinished one.
    """

    schema_name: Literal["blockcascade.measures/1"] = "blockcascade.measures/1"
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["planned", "simulated", "measured"]
    stopped: str = Field(default="", description="why the run did not come to its end")
    player: Player
    blocks: int
    blocks_asked: int
    frames: int
    makespan_us: int
    fps: float
    fps_without_decode: float
    steady_fps: float | None
    real_time_factor: float
    first_frame_us: int | None
    period_us: float | None
    period_p50_us: int | None
    period_p95_us: int | None
    period_p99_us: int | None
    block_latency_us: int | None
    control_us: int | None
    control_p95_us: int | None
    switches_us: tuple[int | None, ...]
    play_start_us: int | None
    deadline_attainment: float
    underruns: int
    stall_us: int
    devices: int
    money: float
    money_per_minute: float | None
    energy_joules: float | None
    energy_per_minute: float | None
    ranks: tuple[RankMeasures, ...]
    links: tuple[LinkMeasures, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: every figure, and folded away those of devices and links."""
        from planner.pictures.inline import Table, listing

        ranks = Table(RANK_COLUMNS, map(rank_row, self.ranks), "devices")
        links = Table(LINK_COLUMNS, map(link_row, self.links), "links")
        notes = [f"stopped: {self.stopped}"] if self.stopped else []
        figures = Table(FIGURE_COLUMNS, named_rows(self))
        return listing(f"Measures, {self.kind}", figures, ranks, links, notes=[*notes, DEFINED], most=40)


def measure(
    problem: Problem,
    plan: Plan,
    trace: Trace | None = None,
    player: Player = Player(),  # noqa: B008 - frozen value
) -> Measures:
    """The figures of a run of the plan, or without a trace of the plan's own times.

    Raises MismatchError if the plan is of another problem, or the trace of another plan.
    """
    plan.require(problem)
    if trace is not None:
        trace.require(plan)
    rows = None if trace is None else trace.ranks
    times = block_times(problem, plan, rows)
    makespan = plan.whole_us if rows is None else makespan_us(rows)
    programs, timing = counted(plan, rows), priced(problem, plan)
    later = 0 if plan.repeat is None else plan.repeat.kernel_us
    loads = [rank_load(program, later) for program in programs]
    return Measures(
        plan_digest=plan.digest,
        kind="planned" if trace is None else trace.kind,
        stopped="" if trace is None else trace.stopped,
        player=player,
        blocks_asked=problem.workload.blocks,
        makespan_us=makespan,
        **_speeds(problem, times, makespan),
        **_latencies(times),
        switches_us=_switches_us(problem, plan, timing.flow, times),
        **_playing(problem, times, player),
        **_spent(problem, times, loads, makespan),
        ranks=_ranks(problem, loads, peaks(plan, timing), makespan),
        links=tuple(
            LinkMeasures(source=way[0], target=way[1], bytes=load.bytes, busy=load.busy_us / max(1, makespan))
            for way, load in link_loads(programs, timing).items()
        ),
    )


def _frames(problem: Problem, blocks: int) -> int:
    spec = problem.model
    return spec.pixel_frames(0) + (blocks - 1) * spec.pixel_frames(1) if blocks else 0


def _speeds(problem: Problem, times: BlockTimes, makespan: int) -> dict[str, Any]:
    blocks = len(times.finished)
    frames = _frames(problem, blocks)
    fps = frames * 1e6 / max(1, makespan)
    steady = problem.model.pixel_frames(1) * 1e6 / float(mean_period_us(times.finished)) if blocks else None
    return {
        "blocks": blocks,
        "frames": frames,
        "fps": fps,
        "fps_without_decode": frames * 1e6 / max(1, int(times.clean.max())) if blocks else 0.0,
        "steady_fps": steady,
        "real_time_factor": fps / problem.model.frame_rate,
    }


class _Latencies(NamedTuple):
    first_frame_us: int | None = None
    period_us: float | None = None
    period_p50_us: int | None = None
    period_p95_us: int | None = None
    period_p99_us: int | None = None
    block_latency_us: int | None = None
    control_us: int | None = None
    control_p95_us: int | None = None


def _latencies(times: BlockTimes) -> dict[str, Any]:
    begun, finished = times.begun, times.finished
    if not len(finished):
        return _Latencies()._asdict()
    periods, waits = periods_us(finished), waits_us(begun, finished)
    return _Latencies(
        first_frame_us=int(finished[0]),
        period_us=float(mean_period_us(finished)),
        period_p50_us=int(quantile_us(periods, 0.5)),
        period_p95_us=int(quantile_us(periods, 0.95)),
        period_p99_us=int(quantile_us(periods, 0.99)),
        block_latency_us=int((finished - begun).max()),
        control_us=int(waits.max()),
        control_p95_us=int(quantile_us(waits, 0.95)),
    )._asdict()


def _switches_us(problem: Problem, plan: Plan, flow: Flow, times: BlockTimes) -> tuple[int | None, ...]:
    """Of each prompt switch, the time until the first block that reads its prompt from its first pass on is finished;
    None if there is no such block.
    """
    found: list[int | None] = []
    for tick, switch in zip(plan.switch_ticks, problem.workload.switches, strict=True):
        block = bisect_left(range(len(times.finished)), tick, key=lambda each: flow.tick(each, 0))
        found.append(int(times.finished[block]) - switch.at_us if block < len(times.finished) else None)
    return tuple(found)


def _playing(problem: Problem, times: BlockTimes, player: Player) -> dict[str, Any]:
    finished, asked = times.finished, problem.workload.blocks
    if not starts(len(finished), player.start_blocks, asked):
        return {"play_start_us": None, "deadline_attainment": 0.0, "underruns": 0, "stall_us": 0}
    marks = play_marks_us(problem.model, len(finished))
    underruns, stalled = stalls(shown_us(finished, marks, player.start_blocks), marks)
    return {
        "play_start_us": int(starts_us(finished, player.start_blocks)),
        "deadline_attainment": float(attainment(finished, marks, player.start_blocks, asked)),
        "underruns": int(underruns),
        "stall_us": int(stalled),
    }


def _spent(problem: Problem, times: BlockTimes, loads: Sequence[RankLoad], makespan: int) -> dict[str, Any]:
    used = [(device, load) for device, load in zip(problem.cluster.devices, loads, strict=True) if load.busy_us]
    money = math.fsum(device.price_per_hour for device, _ in used) * makespan / US_PER_HOUR
    minutes = _frames(problem, len(times.finished)) / problem.model.frame_rate / 60
    energy = energy_joules(used)
    return {
        "devices": len(used),
        "money": money,
        "money_per_minute": money / minutes if minutes else None,
        "energy_joules": energy,
        "energy_per_minute": energy / minutes if minutes and energy is not None else None,
    }


def energy_joules(used: Sequence[tuple[Device, RankLoad]]) -> float | None:
    """What the devices take while they compute, at their rated power; None if that of one is not known."""
    watts = [(device.power_watts, load.busy_us) for device, load in used]
    known = [power * busy / 1e6 for power, busy in watts if power is not None]
    return math.fsum(known) if len(known) == len(watts) else None


def _ranks(
    problem: Problem, loads: Sequence[RankLoad], memory: Sequence[int], makespan: int
) -> tuple[RankMeasures, ...]:
    return tuple(
        RankMeasures(
            rank=rank,
            device=device.kind,
            busy_us=load.busy_us,
            utilization=load.busy_us / max(1, makespan),
            bubble=1 - load.busy_us / load.span_us if load.span_us else 0.0,
            peak_bytes=peak,
            memory_bytes=device.memory_bytes,
        )
        for rank, (device, load, peak) in enumerate(zip(problem.cluster.devices, loads, memory, strict=True))
    )
