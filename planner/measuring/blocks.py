"""When each block begins, has its clean latents and is finished: of a plan however long, or of a run.

Arrays are int64 microseconds whose last axis is blocks; any axes before it are runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.spec import ModelSpec
from planner.action import Kind, TimedAction
from planner.measuring.playing import Times
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import quantile_place
from planner.rows import Rows
from planner.streams.unroll import shifted

NEVER = np.iinfo(np.int64).max

Number = TypeVar("Number", NDArray[np.int64], NDArray[np.float64])


class Often(NamedTuple):
    """A row, and how often it runs: each time a kernel's blocks and time later."""

    row: TimedAction
    times: int


class BlockTimes(NamedTuple):
    """Of the blocks up to the first that is never finished: [blocks] each."""

    begun: Times
    clean: Times  # its last denoise step is done
    finished: Times  # decoded, or clean where nothing is decoded


class _Ends:
    """The last end of what makes a block, and of how many rows there have been."""

    def __init__(self, blocks: int) -> None:
        self.last = np.zeros(blocks, np.int64)
        self.count = np.zeros(blocks, np.int32)

    def add(self, blocks: slice, ends: Times | int) -> None:
        self.last[blocks] = np.maximum(self.last[blocks], ends)
        self.count[blocks] += 1


def counted(plan: Plan, rows: Rows | None = None) -> tuple[tuple[Often, ...], ...]:
    """The rows of each rank: a run's once each, or the plan's with those of a kernel as often as it runs."""
    if rows is not None or plan.repeat is None:
        return tuple(tuple(Often(row, 1) for row in program) for program in rows or plan.ranks)
    repeat, found = plan.repeat, []
    for program, (begin, end) in zip(plan.ranks, repeat.places, strict=True):
        after = shifted(program[end:], repeat, repeat.copies, plan.pattern.offset)
        kernel = (Often(row, repeat.copies + 1) for row in program[begin:end])
        found.append((*(Often(row, 1) for row in program[:begin]), *kernel, *(Often(row, 1) for row in after)))
    return tuple(found)


def block_times(problem: Problem, plan: Plan, rows: Rows | None = None) -> BlockTimes:
    """The times of a run's blocks, or of the plan's; a block counts once all has run that the plan has for it."""
    begun, clean, decoded = _reckoned(problem, plan, counted(plan, rows))
    done = decoded if problem.workload.decode else clean
    count = problem.workload.blocks
    if rows is not None:
        _, asked_clean, asked_decoded = _reckoned(problem, plan, counted(plan))
        asked = asked_decoded if problem.workload.decode else asked_clean
        short = np.flatnonzero(done.count < asked.count)
        count = int(short[0]) if short.size else count
    return BlockTimes(begun[:count], clean.last[:count], done.last[:count])


def _reckoned(problem: Problem, plan: Plan, programs: tuple[tuple[Often, ...], ...]) -> tuple[Times, _Ends, _Ends]:
    blocks, spec = problem.workload.blocks, problem.model
    begun, clean, decoded = np.full(blocks, NEVER), _Ends(blocks), _Ends(blocks)
    jump, later = (1, 0) if plan.repeat is None else (plan.repeat.kernel_blocks, plan.repeat.kernel_us)
    for row, times in (often for program in programs for often in program):
        shift = later * np.arange(times, dtype=np.int64) if times > 1 else 0
        if row.action.kind is Kind.DECODE:
            decoded.add(_copies(row.action.block, times, jump), row.end_us + shift)
        for block, is_last in _passes(row, spec):
            where = _copies(block, times, jump)
            begun[where] = np.minimum(begun[where], row.start_us + shift)
            if is_last:
                clean.add(where, row.end_us + shift)
    return begun, clean, decoded


def _copies(block: int, times: int, jump: int) -> slice:
    return slice(block, block + (times - 1) * jump + 1, jump)


def _passes(row: TimedAction, spec: ModelSpec) -> Iterator[tuple[int, bool]]:
    """The blocks of a row's passes, and whether each is the last of its steps."""
    for block, step in row.action.passes:
        yield block, step == spec.block_steps(block) - 1


# -- figures of arrays ---------------------------------------------------------------------------


def periods_us(finished: Times) -> Times:
    """The times from block to block in which they can be shown in order, [..., blocks - 1]; of one block, its own."""
    if finished.shape[-1] < 2:
        return finished
    gaps: Times = np.diff(np.maximum.accumulate(finished, axis=-1), axis=-1)
    return gaps


def mean_period_us(finished: Times) -> Times:
    """From the first finished block to the last, over the blocks between; at least a microsecond. [...]"""
    count = finished.shape[-1]
    whole = finished[..., -1] - finished[..., 0] if count > 1 else finished[..., 0]
    mean: Times = np.maximum(whole / max(1, count - 1), 1.0)
    return mean


def waits_us(begun: Times, finished: Times) -> Times:
    """From just after each block has begun until the next is finished, [..., blocks - 1]; of one block, its own end."""
    waits: Times = finished[..., 1:] - begun[..., :-1] if finished.shape[-1] > 1 else finished
    return waits


def quantile_us(values: Number, share: float) -> Number:
    """The value below which this share of the last axis lies. [...]"""
    at = quantile_place(values.shape[-1], share)
    found: Number = np.partition(values, at, axis=-1)[..., at]
    return found
