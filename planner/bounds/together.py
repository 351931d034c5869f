"""How early a task can start if what it reads has to travel, or be made on its own unit."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from planner.bounds.candidates import Units
from planner.bounds.heads import NEVER
from planner.bounds.one_machine import one_machine

Link = tuple[int, int]  # a task that comes before, and the least time from another unit; NEVER if on the same for sure

# How many tasks that must share a unit are looked at. More find hardly more.
MOST = 12


def earliest_start(
    task: int,
    at_us: int,
    links: Sequence[Sequence[Link]],
    heads: Sequence[int],
    work: Sequence[int],
    units: Sequence[Units],
    place: Sequence[int],
) -> int:
    """No schedule starts the task before; at least `at_us`, and NEVER if it cannot start at all.

    Suppose it starts at some moment. What it reads and cannot travel in time was made on its own unit; so was what
    that was made from, and so on. If the unit cannot run all that one after the other, the task starts later: when it
    can, or when the first of it could have travelled. `place` orders the tasks before `task` by who comes first.
    """
    while True:
        jobs, common, later = _on_one_unit(task, at_us, links, heads, work, units, place)
        done = one_machine(jobs) if common else NEVER
        if done <= at_us:
            return at_us
        at_us = min(done, later)
        if at_us >= NEVER:
            return NEVER


def _on_one_unit(
    task: int,
    at_us: int,
    links: Sequence[Sequence[Link]],
    heads: Sequence[int],
    work: Sequence[int],
    units: Sequence[Units],
    place: Sequence[int],
) -> tuple[list[tuple[int, int, int]], set[int], int]:
    """What shares the task's unit if it starts at `at_us`, as jobs; the units that may run it all; and the first
    moment from which one of them need not.
    """
    span = {task: 0}  # from each one's start to the task's
    queue = [(-place[task], task)]
    jobs: list[tuple[int, int, int]] = []
    common, later = set(units[task]), NEVER
    while queue and len(jobs) < MOST:
        _, near = heappop(queue)
        if near != task:
            jobs.append((heads[near], work[near], span[near] - work[near]))
            common &= set(units[near])
        for maker, travel_us in links[near]:
            least = heads[maker] + work[maker] + travel_us + span[near]
            if least <= at_us:
                continue
            later = min(later, least)
            if maker not in span:
                heappush(queue, (-place[maker], maker))
            span[maker] = max(span.get(maker, 0), span[near] + work[maker])
    return jobs, common, later
