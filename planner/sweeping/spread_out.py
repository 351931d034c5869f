"""Chunks of a grid handed to an executor, and their rows back in the grid's order."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager

from planner.sweeping.answer import answer, is_answer
from planner.sweeping.basis import Basis
from planner.sweeping.grid import Grid, Point
from planner.sweeping.row import Row

ALONE = 64  # points that are answered sooner than processes start
# Points of a chunk: enough to share work, few enough for all processes to have some and for rows to come soon.
LEAST, MOST = 32, 256
AHEAD = 4  # chunks under way for each process, so that a sweep of a million points does not stand in memory
UNKNOWN_AHEAD = 64  # the same for an executor whose size is not known


def answered(grid: Grid, first: int, executor: Executor | None, workers: int | None) -> Iterator[Row]:
    """The rows from point `first` on, in order."""
    processes = workers or os.cpu_count() or 1
    chunks = _chunks(grid, first, processes)
    if executor is not None:
        yield from _in_order(executor, grid, chunks, UNKNOWN_AHEAD)
    elif processes == 1 or (workers is None and not grid.exact and grid.size - first <= ALONE):
        for start, stop in chunks:
            yield from _rows(grid, start, stop)
    else:
        with _processes(processes) as pool:
            yield from _in_order(pool, grid, chunks, AHEAD * processes)


def rows_of(grid: Grid, start: int, stop: int) -> list[Row]:
    """The rows of points `start` to `stop`: what a worker does."""
    return list(_rows(grid, start, stop))


def are_first(grid: Grid, rows: Sequence[Row]) -> bool:
    """Whether rows are answers to the grid's first points, as far as can be told without answering them again."""
    numbered = all(row.point == number for number, row in enumerate(rows))
    return (
        numbered
        and len(rows) <= grid.size
        and all(
            is_answer(row, grid, point, basis)
            for row, (point, basis) in zip(rows, _points(grid, 0, len(rows)), strict=True)
        )
    )


def _rows(grid: Grid, start: int, stop: int) -> Iterator[Row]:
    return (answer(grid, point, basis) for point, basis in _points(grid, start, stop))


def _points(grid: Grid, start: int, stop: int) -> Iterator[tuple[Point, Basis]]:
    """Points with what they share with those before them."""
    basis: Basis | None = None
    for number in range(start, stop):
        point = grid.point(number)
        if basis is None or basis.point != point.basis:
            basis = Basis(point.basis, grid.base)
        yield point, basis


def _chunks(grid: Grid, first: int, processes: int) -> Iterator[tuple[int, int]]:
    """Points that share work stay together, unless they are more than a chunk."""
    size = max(LEAST, min(MOST, (grid.size - first) // (2 * processes)))
    together = grid.together
    size = 1 if grid.exact else size // together * together if together <= size else size
    start = first
    while start < grid.size:
        stop = min(grid.size, (start // size + 1) * size)
        yield start, stop
        start = stop


def _in_order(pool: Executor, grid: Grid, chunks: Iterator[tuple[int, int]], ahead: int) -> Iterator[Row]:
    waiting: deque[Future[list[Row]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(rows_of, grid, *chunk))
            if len(waiting) >= ahead:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """A pool that leaves Ctrl-C to the process that asked. Forked, which is quickest, unless threads would be lost."""
    alone = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if alone else "spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a worker makes is mostly kept, and looking for cycles in it took a fifteenth of its time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
