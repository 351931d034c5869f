"""R16: a stream's kernel stands where it says, and the clip is whole with as many copies of it as can differ."""

from __future__ import annotations

from collections.abc import Iterator

from planner.action import OF_PASSES, Action, Kind, Pass, TimedAction
from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.rows import Rows

# Rows of an unrolled plan. A kernel that reaches further than these is none that a stream's window could ask for.
MOST_ROWS = 2_000_000


def kernel_faults(plan: Plan, problem: Problem) -> list[str]:
    """What keeps the kernel from being repeated, or the clip from having its length."""
    repeat = plan.repeat
    if repeat is None:
        return []
    return list(_misplaced(plan, repeat)) or list(_misfit(plan, repeat, problem))


def _misplaced(plan: Plan, repeat: Repeat) -> Iterator[str]:
    if len(repeat.places) != len(plan.ranks):
        yield f"R16 kernel: has places on {len(repeat.places)} ranks of {len(plan.ranks)}"
    for rank, ((begin, end), rows) in enumerate(zip(repeat.places, plan.ranks, strict=False)):
        if not 0 <= begin <= end <= len(rows):
            yield f"R16 r{rank} kernel: is at rows {begin} to {end} of {len(rows)}"


def _misfit(plan: Plan, repeat: Repeat, problem: Problem) -> Iterator[str]:
    if problem.workload.switches:
        yield "R16 kernel: repeats, while the prompt switches"
    blocks, copied = _blocks(plan), repeat.copies * repeat.kernel_blocks
    if blocks + copied != problem.workload.blocks:
        yield (
            f"R16 kernel: {blocks} blocks in rows and {repeat.copies} copies of {repeat.kernel_blocks} make "
            f"{blocks + copied}, the clip has {problem.workload.blocks}"
        )
    rows = sum(end - begin for begin, end in repeat.places)
    if enough(plan) * rows > MOST_ROWS:
        yield f"R16 kernel: its rows are so far apart that {enough(plan)} copies of it meet one another"


def _blocks(plan: Plan) -> int:
    """How many blocks the rows have, as their passes tell."""
    return 1 + max((item[0] for rows in plan.ranks for row in rows for item in row.action.passes), default=-1)


def of_length(plan: Plan, problem: Problem, copies: int) -> tuple[Plan, Problem]:
    """The plan written out with so many copies of its kernel, and the problem of a clip that long."""
    assert plan.repeat is not None, "asked only of a plan that repeats"
    blocks = _blocks(plan) + copies * plan.repeat.kernel_blocks
    workload = problem.workload.model_copy(update={"blocks": blocks})
    written = plan.model_copy(update={"ranks": _unrolled(plan, plan.repeat, copies), "repeat": None})
    return written, problem.model_copy(update={"workload": workload})


def few(plan: Plan) -> tuple[int, ...]:
    """The rows as they stand, and the first copies."""
    assert plan.repeat is not None, "asked only of a plan that repeats"
    return tuple(range(min(plan.repeat.copies, 2) + 1))


def enough(plan: Plan) -> int:
    """So many copies that further ones meet nothing new: some has neither prologue nor epilogue within its reach.

    A kernel's rows reach as far as the blocks and the times that they name are apart.
    """
    repeat = plan.repeat
    assert repeat is not None, "asked only of a plan that repeats"
    rows = [row for rows, (begin, end) in zip(plan.ranks, repeat.places, strict=True) for row in rows[begin:end]]
    if not rows:
        return min(repeat.copies, 2)
    named = [block for row in rows for block in _blocks_named(row.action) if block >= repeat.first_block]
    blocks = max(named, default=0) - min(named, default=0) + 1
    times = max(row.end_us for row in rows) - min(row.start_us for row in rows)
    reach = max(-(-blocks // repeat.kernel_blocks), -(-times // repeat.kernel_us))
    return min(repeat.copies, 2 * reach + 2)


def _blocks_named(action: Action) -> tuple[int, ...]:
    if action.kind in OF_PASSES:
        return tuple(block for block, _ in action.batch)
    return () if action.carries in ("hidden", "text") or action.kind is Kind.TEXT else (action.block,)


def _unrolled(plan: Plan, repeat: Repeat, copies: int) -> Rows:
    """The rows with so many copies of the kernel behind it, and what follows moved on by all of them."""
    programs = []
    for rows, (begin, end) in zip(plan.ranks, repeat.places, strict=True):
        kernel, program = rows[begin:end], list(rows[:end])
        for copy in range(1, copies + 1):
            program += [_moved(row, plan, repeat, copy) for row in kernel]
        program += [_moved(row, plan, repeat, copies) for row in rows[end:]]
        programs.append(tuple(program))
    return tuple(programs)


def _moved(row: TimedAction, plan: Plan, repeat: Repeat, copies: int) -> TimedAction:
    """A row so many kernels later. Blocks before the first that moves, a window's sink, stay; so do prompts."""
    action, blocks, later = row.action, copies * repeat.kernel_blocks, copies * repeat.kernel_us
    batch: tuple[Pass, ...] = ()
    moves_on = blocks if action.block >= repeat.first_block else 0
    if action.kind is Kind.TEXT or action.carries == "text":
        moves_on = 0
    elif action.kind is Kind.SLICE or action.carries == "hidden":
        moves_on = blocks
    elif action.kind in (Kind.TICK, Kind.BATCH):
        moves_on = blocks * plan.pattern.offset
    if action.batch:
        batch = tuple((block + (blocks if block >= repeat.first_block else 0), step) for block, step in action.batch)
    moved = action._replace(block=action.block + moves_on, batch=batch)
    return TimedAction(moved, row.start_us + later, row.end_us + later)
