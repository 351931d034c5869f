"""A plan changed blindly in a few places: what comes of it may be valid or not."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from planner.action import TimedAction
from planner.plan import Plan

Rows = list[list[TimedAction]]


def shaken(plan: Plan, chance: Random) -> Plan:
    """The plan after one to three changes of rows."""
    rows = [list(program) for program in plan.ranks]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        rank = chance.choice([rank for rank, program in enumerate(rows) if program] or [0])
        if rows[rank]:
            chance.choice(_CHANGES)(rows, rank, chance.randrange(len(rows[rank])), chance)
    return plan.model_copy(update={"ranks": tuple(map(tuple, rows))})


def reordered(plan: Plan, chance: Random) -> Plan:
    """The plan with one row elsewhere in its program."""
    rows = [list(program) for program in plan.ranks]
    rank = chance.choice([rank for rank, program in enumerate(rows) if program])
    _elsewhere(rows, rank, chance.randrange(len(rows[rank])), chance)
    return plan.model_copy(update={"ranks": tuple(map(tuple, rows))})


def _later(row: TimedAction, by_us: int) -> TimedAction:
    return TimedAction(row.action, max(0, row.start_us + by_us), max(0, row.end_us + by_us))


def _move(rows: Rows, rank: int, index: int, chance: Random) -> None:
    rows[rank][index] = _later(rows[rank][index], chance.choice((-20, -1, 1, 5)))


def _move_all_of_it(rows: Rows, rank: int, index: int, chance: Random) -> None:
    """Both ends of a transfer, or all shares of a gang."""
    row, by_us = rows[rank][index], chance.choice((-1, 1, 7))
    for program in rows:
        for at, other in enumerate(program):
            same = other.action.gang == row.action.gang or (row.action[1:4] == other.action[1:4] and row.action.carries)
            if same and other[1:] == row[1:]:
                program[at] = _later(other, by_us)


def _last(rows: Rows, rank: int, index: int, chance: Random) -> None:
    row = rows[rank][index]
    rows[rank][index] = row._replace(end_us=row.end_us + chance.choice((-1, 1)))


def _drop(rows: Rows, rank: int, index: int, _chance: Random) -> None:
    del rows[rank][index]


def _double(rows: Rows, rank: int, index: int, chance: Random) -> None:
    rows[rank].insert(chance.randrange(len(rows[rank]) + 1), rows[rank][index])


def _elsewhere(rows: Rows, rank: int, index: int, chance: Random) -> None:
    row = rows[rank].pop(index)
    rows[rank].insert(chance.randrange(len(rows[rank]) + 1), row)


def _on_another_rank(rows: Rows, rank: int, index: int, chance: Random) -> None:
    row, to = rows[rank].pop(index), chance.randrange(len(rows))
    rows[to].insert(chance.randrange(len(rows[to]) + 1), row)


def _put(rows: Rows, rank: int, index: int, **fields: object) -> None:
    row = rows[rank][index]
    rows[rank][index] = row._replace(action=row.action._replace(**fields))  # type: ignore[arg-type]


def _other_block(rows: Rows, rank: int, index: int, chance: Random) -> None:
    _put(rows, rank, index, block=max(0, rows[rank][index].action.block + chance.choice((-1, 1))))


def _other_step(rows: Rows, rank: int, index: int, chance: Random) -> None:
    step = rows[rank][index].action.step
    if step is not None:
        _put(rows, rank, index, step=chance.choice((None, max(0, step - 1), step + 1)))


def _other_peer(rows: Rows, rank: int, index: int, chance: Random) -> None:
    if rows[rank][index].action.peer is not None:
        _put(rows, rank, index, peer=chance.randrange(len(rows) + 1))


def _other_passes(rows: Rows, rank: int, index: int, chance: Random) -> None:
    batch = list(rows[rank][index].action.batch)
    if batch:
        at = chance.randrange(len(batch))
        block, step = batch.pop(at)
        if chance.random() < 0.5:
            batch.insert(at, (max(0, block + chance.choice((-1, 0, 1))), chance.choice((None, 0, 1, 2, step))))
        _put(rows, rank, index, batch=tuple(batch))


_CHANGES: tuple[Callable[[Rows, int, int, Random], None], ...] = (
    _move,
    _move_all_of_it,
    _last,
    _drop,
    _double,
    _elsewhere,
    _on_another_rank,
    _other_block,
    _other_step,
    _other_peer,
    _other_passes,
)
