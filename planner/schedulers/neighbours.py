"""Schedules like another: what is critical in it runs elsewhere, or before what it waits for."""

from __future__ import annotations

from random import Random

from planner.instance import Schedule
from planner.schedulers.desk import Desk
from planner.schedulers.table import Table

BACK = (1, 2, 3, 5)  # how many tasks of a unit another may be put before

Placing = tuple[list[int], list[int]]  # tasks in the order in which they are placed, and the unit of each


def placed(table: Table, order: list[int], units: list[int]) -> Schedule:
    """The schedule that places the tasks one after the other on the units given."""
    desk = Desk(table)
    for task in order:
        desk.take(task, units[task])
    return desk.schedule()


def latest_starts(table: Table, schedule: Schedule) -> list[int]:
    """When each task may start at the latest, with the same order on the same units and the same makespan.

    Transfers take as long as they did, whenever that is; tasks end after those they read live.
    """
    latest = [schedule.makespan_us] * len(schedule.units)
    free = [schedule.makespan_us] * table.instance.units
    travel = {(way.payload, way.target): way.end_us - way.start_us for way in schedule.transfers}
    for task in sorted(range(len(latest)), key=lambda task: (schedule.starts_us[task], task), reverse=True):
        unit = schedule.units[task]
        team = table.instance.gangs.get(task, (unit,))
        end = min(latest[task], *(free[held] for held in team))
        start = latest[task] = end - (schedule.ends_us[task] - schedule.starts_us[task])
        for held in team:
            free[held] = start
        for maker, payload in table.instance.inputs[task]:
            away = travel.get((payload, unit), 0) if schedule.units[maker] != unit else 0
            latest[maker] = min(latest[maker], start - away)
        for live in table.instance.live.get(task, ()):
            latest[live.source] = min(latest[live.source], end)
    return latest


class Neighbourhood:
    """What may change in a schedule."""

    def __init__(self, table: Table, schedule: Schedule) -> None:
        starts, latest = schedule.starts_us, latest_starts(table, schedule)
        self._table = table
        self._units = schedule.units
        self._order = sorted(range(len(starts)), key=lambda task: (starts[task], task))
        self._critical = [task for task in self._order if latest[task] <= starts[task]]
        self._before = self._unit_orders()

    def draw(self, dice: Random) -> Placing | None:
        """A critical task goes before some that run before it on its unit, or to another unit, or changes places with a
        task that runs at about the same time. None if what was drawn cannot be.
        """
        task, what = dice.choice(self._critical), dice.random()
        if what < 0.4:
            return self._advanced(task, dice)
        return self._moved(task, dice) if what < 0.7 else self._exchanged(task, dice)

    def _unit_orders(self) -> dict[int, int]:
        """The task before each on its unit."""
        last: dict[int, int] = {}
        before: dict[int, int] = {}
        for task in self._order:
            for held in self._table.instance.gangs.get(task, (self._units[task],)):
                if held in last:
                    before[task] = last[held]
                last[held] = task
        return before

    def _advanced(self, task: int, dice: Random) -> Placing | None:
        """The task before an earlier one of its unit, with what it needs; None if that is the earlier one."""
        earlier = task
        for _ in range(dice.choice(BACK)):
            earlier = self._before.get(earlier, earlier)
        first, last = self._order.index(earlier), self._order.index(task)
        needed, ahead, behind = {task}, [], []
        for other in reversed(self._order[first : last + 1]):
            if other in needed:
                needed |= self._reads(other)
                ahead.append(other)
            else:
                behind.append(other)
        if earlier in needed:
            return None
        return [*self._order[:first], *reversed(ahead), *reversed(behind), *self._order[last + 1 :]], self._units

    def _reads(self, task: int) -> set[int]:
        instance = self._table.instance
        return {maker for maker, _ in instance.inputs[task]} | {live.source for live in instance.live.get(task, ())}

    def _moved(self, task: int, dice: Random) -> Placing | None:
        others = [unit for unit in self._table.units[task] if unit != self._units[task]]
        return (self._order, self._with({task: dice.choice(others)})) if others else None

    def _exchanged(self, task: int, dice: Random) -> Placing | None:
        reach = self._table.instance.units
        at = self._order.index(task) + dice.randint(-reach, reach)
        other = self._order[max(0, min(len(self._order) - 1, at))]
        mine, its = self._units[task], self._units[other]
        if mine == its or its not in self._table.units[task] or mine not in self._table.units[other]:
            return None
        return self._order, self._with({task: its, other: mine})

    def _with(self, chosen: dict[int, int]) -> list[int]:
        """The units with those chosen, which the rest of a chain follows."""
        leads = self._table.leads
        homes = {leads[task]: unit for task, unit in chosen.items()}
        return [homes.get(lead, unit) for lead, unit in zip(leads, self._units, strict=True)]
