"""Times many things in turns, so that what else the machine does falls on all of them alike.

What does not fit into memory is left out with the reason, and the rest goes on.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from executor.measuring.timer import Timer
from executor.world.causes import out_of_memory

REPEATS = 5
WARM_UP = 3
NO_MEMORY, NO_TIME = "out of memory", "out of time"


def nothing() -> None:
    """Holds nothing to let go of."""


class Point(NamedTuple):
    """Something to time, by name: `prepare` is not timed and gives what is; `drop` lets go of the memory it took."""

    name: str
    prepare: Callable[[], Callable[[], object]]
    drop: Callable[[], None] = nothing


class Found(NamedTuple):
    """Times in microseconds by point, and why points have none."""

    times: Mapping[str, Sequence[float]]
    missing: Mapping[str, str]


def in_rounds(
    points: Sequence[Point],
    timer: Timer,
    *,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
    limit_s: float = float("inf"),
) -> Found:
    """Each point timed once a round, in `repeats` rounds, after `warm_up` calls each that do not count.

    Begins nothing more after `limit_s`: some points then have fewer samples than others, or none.
    """
    deadline = time.monotonic() + limit_s
    times: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for turn in range(repeats + 1):
        for point in points:
            if point.name in missing:
                continue
            if time.monotonic() > deadline:
                if not times.get(point.name):
                    missing[point.name] = NO_TIME
                continue
            us = _once(point, timer, warm_up if turn == 0 else 0)
            if us is None:
                missing[point.name] = NO_MEMORY
                times.pop(point.name, None)
            else:
                # The first, after its warm-up, counts only where time allows no other.
                times[point.name] = [us] if turn <= 1 else [*times[point.name], us]
    return Found(times, missing)


def _once(point: Point, timer: Timer, warm_up: int) -> float | None:
    """One timing after `warm_up` calls; None if memory does not suffice."""
    try:
        for _ in range(warm_up):
            point.prepare()()
        return timer.us(point.prepare())
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    # Outside of the handler, whose traceback still holds the tensors.
    point.drop()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return None
