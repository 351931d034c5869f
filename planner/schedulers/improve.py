"""Improving a schedule: it is built again from its own latest starts, then changed where it is critical."""

from __future__ import annotations

import math
from random import Random

from planner.instance import Instance, Schedule
from planner.schedulers.equal_units import fill
from planner.schedulers.list_schedule import first_come, urgent_first
from planner.schedulers.neighbours import Neighbourhood, latest_starts, placed
from planner.schedulers.table import Table

SEED = 20
REBUILT = 0.4  # share of the budget that goes to building anew
SHAKES = (0.2, 0.5, 1.0, 2.0)  # of a task's mean duration
WARMTH = 0.3  # likewise: how much worse a schedule may be at first, to be taken one time in e
DRAWS = 10


def improve(instance: Instance, schedule: Schedule, bound_us: int, budget: int) -> Schedule:
    """A schedule of no greater makespan, the same for the same arguments.

    `budget` is how many schedules are built at most; some hundreds bring most of what there is to gain. It stops once
    one meets `bound_us`. If payloads travel it first tries each unit alone. Then it builds list schedules whose
    priorities are the latest starts of the best so far, a little shaken (as in justification: V. Valls and others
    2005); then it anneals, moving critical tasks to other units or before what they wait for (P. van Laarhoven and
    others 1992).
    """
    search = _Search(instance, schedule, bound_us)
    if instance.wires:
        search.gather(budget)
    search.rebuild(round(REBUILT * budget))
    search.anneal(budget - search.count)
    return search.best


class _Search:
    def __init__(self, instance: Instance, schedule: Schedule, bound_us: int) -> None:
        self.best = schedule
        self.count = 0
        self._current = schedule
        self._table = Table.of(instance)
        self._bound_us = bound_us
        self._dice = Random(SEED)
        self._mean_us = sum(self._table.work) / max(1, instance.size)

    def gather(self, rounds: int) -> None:
        """Everything on one unit, where nothing travels."""
        common = set(range(self._table.instance.units)).intersection(*self._table.units)
        tasks = list(range(self._table.instance.size))
        for unit in sorted(common)[:rounds]:
            found = placed(self._table, tasks, [unit] * len(tasks))
            self._keep(found, found.makespan_us < self._current.makespan_us)

    def rebuild(self, rounds: int) -> None:
        """List schedules in the order of the current one's latest starts, shaken."""
        latest = latest_starts(self._table, self._current)
        while self.count < rounds and self._is_open():
            shake = self._mean_us * self._dice.choice(SHAKES)
            keys = [start + shake * self._dice.random() for start in latest]
            found = self._listed(sorted(range(len(keys)), key=keys.__getitem__))
            if self._keep(found, found.makespan_us <= self._current.makespan_us):
                latest = latest_starts(self._table, found)

    def anneal(self, rounds: int) -> None:
        """Small changes; worse ones too, less and less often."""
        around = Neighbourhood(self._table, self._current)
        until = self.count + rounds
        while self.count < until and self._is_open():
            changed = next(filter(None, (around.draw(self._dice) for _ in range(DRAWS))), None)
            if changed is None:
                self.count += 1
                continue
            found = placed(self._table, *changed)
            heat = WARMTH * self._mean_us * ((until - self.count) / rounds) ** 2
            worse = found.makespan_us - self._current.makespan_us
            if self._keep(found, worse <= 0 or self._dice.random() < math.exp(-worse / heat)):
                around = Neighbourhood(self._table, found)

    def _is_open(self) -> bool:
        return self.best.makespan_us > self._bound_us

    def _listed(self, order: list[int]) -> Schedule:
        if self._dice.random() < 0.5:
            return urgent_first(self._table, order)
        return fill(self._table, order) if self._table.is_plain else first_come(self._table, order)

    def _keep(self, found: Schedule, accepted: bool) -> bool:
        self.count += 1
        if found.makespan_us < self.best.makespan_us:
            self.best = found
        if accepted:
            self._current = found
        return accepted
