"""List scheduling on equal units without transfers, in O(n log n): no unit idles while a task it may run waits."""

from __future__ import annotations

from heapq import heappop, heappush

from planner.instance import ANY, Schedule
from planner.schedulers.table import Table


def fill(table: Table, order: list[int]) -> Schedule:
    """The schedule that at each moment starts, of all that waits, what comes first in `order`.

    Needs equal units, and neither transfers, gangs nor live inputs. A chain of `stays` runs where its first task ran;
    other tasks go there only if no other unit is free.
    """
    floor = _Floor(table, order)
    events, size = floor.events, len(order)
    for task, count in enumerate(table.waits):
        if not count:
            floor.arrive(task, 0)
    floor.start(0)
    while events:
        now = events[0] // (2 * size)
        limit = (now + 1) * 2 * size
        while events and events[0] < limit:
            code = heappop(events) % (2 * size)
            if code < size:
                floor.end(code, now)
            else:
                floor.queue(code - size)
        floor.start(now)
    return Schedule(floor.units, floor.starts, floor.ends, [])


class _Floor:
    """What runs, what waits and which units idle. Tasks wait by their place in the order."""

    def __init__(self, table: Table, order: list[int]) -> None:
        size, units = len(order), table.instance.units
        self.units, self.starts, self.ends = [ANY] * size, [0] * size, [0] * size
        self.events: list[int] = []  # moment x 2 n + task that ends, or + n + task that is released
        self._waiting = table.waits.copy()
        self._readers = table.readers
        self._work = table.work
        self._release = table.instance.release_us
        self._order = order
        self._place = [0] * size
        for place, task in enumerate(order):
            self._place[task] = place
        self._ready: list[int] = []
        self._idle = list(range(units - 1, -1, -1))
        self._chain = _chains(table)
        self._home: dict[int, int] = {}  # the unit of each chain that has begun
        self._kept: dict[int, list[int]] = {}  # what waits for a chain's unit
        self._idle_homes: list[int] = []

    def arrive(self, task: int, now: int) -> None:
        """All that the task reads is there."""
        release = self._release.get(task, 0)
        if release > now:
            heappush(self.events, (2 * release + 1) * len(self.units) + task)
        else:
            self.queue(task)

    def queue(self, task: int) -> None:
        """The task could start."""
        home = self._home.get(self._chain[task]) if self._chain else None
        heappush(self._ready if home is None else self._kept[home], self._place[task])

    def end(self, task: int, now: int) -> None:
        """The task's unit is free, and what it made is there."""
        unit = self.units[task]
        (self._idle_homes if unit in self._kept else self._idle).append(unit)
        for reader in self._readers[task]:
            self._waiting[reader] -= 1
            if not self._waiting[reader]:
                self.arrive(reader, now)

    def start(self, now: int) -> None:
        """Starts tasks until no unit idles that could run one."""
        ready, order, none = self._ready, self._order, len(self.units)
        while self._idle or self._idle_homes:
            place = ready[0] if ready else none
            unit = self._urgent_home(place) if self._idle_homes else ANY
            if unit != ANY:
                self._idle_homes.remove(unit)
                self._run(order[heappop(self._kept[unit])], unit, now)
            elif place == none:
                return
            elif not self._chain or self._chain[order[place]] == ANY:
                self._run(order[heappop(ready)], (self._idle or self._idle_homes).pop(), now)
            else:
                self._begin_chain(order[heappop(ready)], now)

    def _run(self, task: int, unit: int, now: int) -> None:
        end = now + self._work[task]
        self.units[task], self.starts[task], self.ends[task] = unit, now, end
        heappush(self.events, end * 2 * len(self.units) + task)

    def _urgent_home(self, place: int) -> int:
        """The idle unit that keeps the most urgent task of all, if that is before `place`; else ANY."""
        found = ANY
        for unit in self._idle_homes:
            kept = self._kept[unit]
            if kept and kept[0] < place:
                place, found = kept[0], unit
        return found

    def _begin_chain(self, task: int, now: int) -> None:
        """Gives the task's chain a unit; if another task of the chain has done so, the task waits for that one."""
        lead = self._chain[task]
        if lead in self._home:
            heappush(self._kept[self._home[lead]], self._place[task])
            return
        unit = (self._idle or self._idle_homes).pop()
        self._home[lead] = unit
        self._kept.setdefault(unit, [])
        self._run(task, unit, now)


def _chains(table: Table) -> list[int]:
    """The chain each task is in, by its first task, or ANY; empty if there are none."""
    chained = {lead for lead, before in zip(table.leads, table.instance.stays, strict=True) if before != ANY}
    return [lead if lead in chained else ANY for lead in table.leads] if chained else []
