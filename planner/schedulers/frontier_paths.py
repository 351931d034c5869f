"""Schedules from what the search over states found."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from planner.instance import Instance, Schedule
from planner.schedulers.frontier import Found, Step
from planner.schedulers.frontier_tables import Tables
from planner.schedulers.replay import replay

TRIED = 20  # how many of the states found are replayed where transfers may meet


def best_schedule(tables: Tables, found: Found, instance: Instance, *, backwards: bool) -> Schedule | None:
    """The shortest schedule among those of the best states found; of `instance`, if `tables` are of its mirror image.

    None if nothing was found.
    """
    wired = tables.travel_TRPP is not None
    best: Schedule | None = None
    for state in np.argsort(found.ends_S, kind="stable")[: TRIED if wired else 1].tolist():
        units, order = _unrolled(tables, found.steps, state, backwards)
        schedule = replay(instance, units, order)
        if schedule and (best is None or schedule.makespan_us < best.makespan_us):
            best = schedule
    return best


def _unrolled(tables: Tables, steps: list[Step], state: int, backwards: bool) -> tuple[list[int], list[int]]:
    """The unit of each task, and the tasks in order of time."""
    last = tables.size - 1
    units, keys = [0] * tables.size, []
    for task, unit, start in _placed(tables, _path(steps, state)):
        end = start + int(tables.duration_TP[task, tables.places.index(unit)])
        mirror = last - task if backwards else task
        units[mirror] = unit
        keys.append((-end if backwards else start, mirror))
    return units, [task for _, task in sorted(keys)]


def _path(steps: list[Step], state: int) -> list[tuple[int, int, int, list[int] | None]]:
    """Task, place, start and turn of each step that led to a state."""
    path = []
    for step in reversed(steps):
        turn = None if step.turn_PS is None else step.turn_PS[:, state].tolist()
        path.append((int(step.task_S[state]), int(step.place_S[state]), int(step.start_S[state]), turn))
        state = int(step.parent_S[state])
    return path[::-1]


def _placed(tables: Tables, path: list[tuple[int, int, int, list[int] | None]]) -> Iterator[tuple[int, int, int]]:
    """(task, unit, start): places are sorted anew at each step, units are not."""
    if tables.travel_TRPP is not None:
        units = list(tables.places)
        for task, place, start, turn in path:
            yield task, units[place], start
            units = units if turn is None else [units[at] for at in turn]
        return
    idle = [[(0, unit) for unit in tables.places[begin:end]] for begin, end in tables.spans]
    pool_of = [pool for pool, (begin, end) in enumerate(tables.spans) for _ in range(begin, end)]
    for task, place, start, _ in path:
        _, unit = heapq.heappop(idle[pool_of[place]])
        heapq.heappush(idle[pool_of[place]], (start + int(tables.duration_TP[task, place]), unit))
        yield task, unit, start
