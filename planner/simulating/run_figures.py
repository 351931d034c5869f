"""The figures of many runs at once: those of `planner.measures.measure`, an array each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planner.conditions import Player
from planner.measuring.blocks import mean_period_us, periods_us, quantile_us, waits_us
from planner.measuring.playing import Times, attainment, play_marks_us, shown_us, stalls, starts, starts_us
from planner.metrics import US_PER_HOUR
from planner.problem import Problem
from planner.simulating.maxplus_play import Played

Figure = NDArray[np.float64]  # [runs]; not a number where a run has no such figure


def run_figures(problem: Problem, player: Player, played: Played) -> dict[str, Figure]:
    """By the names and definitions of docs/metrics.md; of runs that stopped, over blocks up to the first unfinished."""
    found: dict[str, Figure] = {}
    runs = len(played.makespan_us)
    counts = (played.finished_us >= 0).sum(axis=1)
    for count in np.unique(counts):
        chosen = np.flatnonzero(counts == count)
        for name, values in _of_blocks(problem, player, played, chosen, int(count)):
            found.setdefault(name, np.full(runs, np.nan))[chosen] = values
    found["makespan_us"] = played.makespan_us.astype(np.float64)
    return found | _spent(problem, played, found["frames"])


def _of_blocks(
    problem: Problem, player: Player, played: Played, chosen: NDArray[np.intp], count: int
) -> Iterator[tuple[str, Times | Figure | float]]:
    """Of the runs that finished so many blocks."""
    spec = problem.model
    frames = spec.pixel_frames(0) + (count - 1) * spec.pixel_frames(1) if count else 0
    fps = frames * 1e6 / np.maximum(1, played.makespan_us[chosen])
    yield from (("blocks", count), ("frames", frames), ("fps", fps), ("real_time_factor", fps / spec.frame_rate))
    yield from _playing(problem, player, played.finished_us[chosen, :count])
    if not count:
        yield "fps_without_decode", 0.0
        return
    clean, finished = played.clean_us[chosen, :count], played.finished_us[chosen, :count]
    yield "fps_without_decode", frames * 1e6 / np.maximum(1, clean.max(axis=1))
    yield from _paces(problem, played.begun_us[chosen, :count], finished)


def _playing(problem: Problem, player: Player, finished: Times) -> Iterator[tuple[str, Times | Figure | float]]:
    count, start, asked = finished.shape[-1], player.start_blocks, problem.workload.blocks
    if not starts(count, start, asked):
        yield from (("play_start_us", np.nan), ("deadline_attainment", 0.0), ("underruns", 0.0), ("stall_us", 0.0))
        return
    marks = play_marks_us(problem.model, count)
    underruns, stalled = stalls(shown_us(finished, marks, start), marks)
    yield "play_start_us", starts_us(finished, start)
    yield "deadline_attainment", attainment(finished, marks, start, asked)
    yield from (("underruns", underruns), ("stall_us", stalled))


def _paces(problem: Problem, begun: Times, finished: Times) -> Iterator[tuple[str, Times | Figure]]:
    period, periods, waits = mean_period_us(finished), periods_us(finished), waits_us(begun, finished)
    yield "steady_fps", problem.model.pixel_frames(1) * 1e6 / period
    yield from (("first_frame_us", finished[:, 0]), ("period_us", period))
    yield from ((f"period_p{share}_us", quantile_us(periods, share / 100)) for share in (50, 95, 99))
    yield "block_latency_us", (finished - begun).max(axis=1)
    yield from (("control_us", waits.max(axis=1)), ("control_p95_us", quantile_us(waits, 0.95)))


def _spent(problem: Problem, played: Played, frames: Figure) -> dict[str, Figure]:
    devices, used = problem.cluster.devices, played.busy_us > 0
    prices = np.array([device.price_per_hour for device in devices])
    watts = np.array([np.nan if device.power_watts is None else device.power_watts for device in devices])
    money = (used * prices).sum(axis=1) * played.makespan_us / US_PER_HOUR
    # A device that does nothing takes nothing, known or not.
    energy = np.where(used, watts * played.busy_us / 1e6, 0.0).sum(axis=1)
    minutes = np.where(frames > 0, frames / problem.model.frame_rate / 60, np.nan)
    return {
        "devices": used.sum(axis=1).astype(np.float64),
        "money": money,
        "money_per_minute": money / minutes,
        "energy_joules": energy,
        "energy_per_minute": energy / minutes,
    }
