"""A stream's plan written out: the kernel's rows as often as they run."""

from __future__ import annotations

from collections.abc import Sequence

from planner.action import OF_PASSES, Action, Kind, TimedAction
from planner.plan import Plan, Repeat
from planner.rows import Rows


def unroll(plan: Plan, copies: int | None = None) -> Rows:
    """The rows of a plan with so many copies of its kernel, by default all; a plan without one as it is."""
    repeat = plan.repeat
    if repeat is None:
        return plan.ranks
    count = repeat.copies if copies is None else copies
    moved: list[tuple[TimedAction, ...]] = []
    for rows, (begin, end) in zip(plan.ranks, repeat.places, strict=True):
        program = list(rows[:end])
        for copy in range(1, count + 1):
            program += shifted(rows[begin:end], repeat, copy, plan.pattern.offset)
        moved.append((*program, *shifted(rows[end:], repeat, count, plan.pattern.offset)))
    return tuple(moved)


def shift(action: Action, blocks: int, first_block: int, offset: int) -> Action:
    """The action so many blocks later; blocks before `first_block`, a window's sink, stay where they are."""
    if action.kind is Kind.TEXT or action.carries == "text":
        return action
    batch = tuple((block + (blocks if block >= first_block else 0), step) for block, step in action.batch)
    if action.kind in OF_PASSES:
        ticks = 1 if action.kind is Kind.SLICE else offset
        return action._replace(block=action.block + blocks * ticks, batch=batch)
    if action.block < first_block and action.carries != "hidden":
        return action
    return action._replace(block=action.block + blocks)


def shifted(rows: Sequence[TimedAction], repeat: Repeat, copies: int, offset: int) -> list[TimedAction]:
    """The rows so many kernels later."""
    blocks, later = copies * repeat.kernel_blocks, copies * repeat.kernel_us
    return [
        TimedAction(shift(action, blocks, repeat.first_block, offset), start + later, end + later)
        for action, start, end in rows
    ]
