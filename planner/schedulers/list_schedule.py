"""List scheduling: what is ready goes to a unit, one task after the other."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Literal

from planner.bounds.heads import heads_tails
from planner.instance import Instance, Schedule
from planner.schedulers.desk import Desk
from planner.schedulers.equal_units import fill
from planner.schedulers.table import Table

Rule = Literal["oldest block", "earliest start", "longest tail"]
RULES: tuple[Rule, ...] = ("oldest block", "earliest start", "longest tail")


def list_schedule(
    instance: Instance,
    rule: Rule = "earliest start",
    tails: Sequence[int] | None = None,
    priorities: Sequence[int] | None = None,
) -> Schedule:
    """A schedule of every task.

    A ready task would go to the unit where it ends first. Of all that are ready, `earliest start` takes what begins
    first there, ties by the longest tail, then the newest; `oldest block` does too, but breaks ties for the block that
    shows first; `longest tail` takes the most urgent, whenever it begins. `tails` are those of `heads_tails`, reckoned
    if not given. `priorities`, the larger the more urgent, stand in for what breaks ties. O(n log n) on equal units
    without transfers, gangs and live inputs; else O(n x units) offers and more where tasks wait for one another.
    """
    table = Table.of(instance)
    order = _order(table, rule, tails, priorities)
    if rule == "longest tail":
        return urgent_first(table, order)
    return fill(table, order) if table.is_plain else first_come(table, order)


def urgent_first(table: Table, order: Sequence[int]) -> Schedule:
    """The most urgent of what is ready is placed, on the unit where it ends first."""
    desk, place, waiting = Desk(table), _places(order), table.waits.copy()
    ready = [at for at, task in enumerate(order) if not waiting[task]]
    while ready:
        task = order[heappop(ready)]
        desk.take(task, desk.best(task)[0])
        for reader in table.readers[task]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(ready, place[reader])
    return desk.schedule()


def first_come(table: Table, order: Sequence[int]) -> Schedule:
    """What begins first of what is ready is placed, ties by `order`, on the unit where it ends first.

    Whatever else is placed, a task hardly ever begins earlier than once reckoned: only the first is reckoned again.
    """
    desk, place, waiting = Desk(table), _places(order), table.waits.copy()
    begins = [(desk.best(task)[1], at) for at, task in enumerate(order) if not waiting[task]]
    heapify(begins)
    while begins:
        at = begins[0][1]
        unit, start = desk.best(order[at])
        heapreplace(begins, (start, at))
        if begins[0] != (start, at):
            continue
        heappop(begins)
        desk.take(order[at], unit)
        for reader in table.readers[order[at]]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heappush(begins, (desk.best(reader)[1], place[reader]))
    return desk.schedule()


def _order(table: Table, rule: Rule, tails: Sequence[int] | None, priorities: Sequence[int] | None) -> list[int]:
    """All tasks, the most urgent first."""
    size = table.instance.size
    if priorities is None:
        after = heads_tails(table.instance).tails if tails is None else tails
        if rule == "oldest block":
            return sorted(range(size), key=lambda task: (table.instance.blocks[task], after[task], task))
        priorities = [tail + work for tail, work in zip(after, table.work, strict=True)]
    codes = sorted([urgency * size + task for task, urgency in enumerate(priorities)], reverse=True)
    return [code % size for code in codes]


def _places(order: Sequence[int]) -> list[int]:
    place = [0] * len(order)
    for at, task in enumerate(order):
        place[task] = at
    return place
