"""A schedule from who runs what and in which order: everything as early as that allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.instance import ANY, ORDER, Instance, Schedule, Transfer

Send = tuple[int, int]  # a payload and the unit it goes to


def replay(instance: Instance, units: Sequence[int], order: Iterable[int | Send]) -> Schedule | None:
    """The tasks on their units and the transfers in the given order, each as soon as what it needs is free and there.

    Transfers that the order leaves out go when the first reader is placed. None if the units may not run the tasks or
    the order has a task before what it reads, twice, or not at all. Live inputs only where nothing has to travel.
    """
    desk = _Desk(instance, units)
    if not all(desk.allowed(task) for task in range(instance.size)):
        return None
    for item in order:
        if not (desk.send(*item) if isinstance(item, tuple) else desk.run(item)):
            return None
    complete = all(end is not None for end in desk.ends)
    return Schedule(list(units), desk.starts, [end or 0 for end in desk.ends], desk.transfers) if complete else None


class _Desk:
    def __init__(self, instance: Instance, units: Sequence[int]) -> None:
        self._instance, self._units = instance, units
        self._makers = {payload: maker for reads in instance.inputs for maker, payload in reads}
        self._unit_free = [0] * instance.units
        self._lane_free: dict[int, int] = {}
        self._there: dict[Send, int] = {}
        self.starts = [0] * instance.size
        self.ends: list[int | None] = [None] * instance.size
        self.transfers: list[Transfer] = []

    def allowed(self, task: int) -> bool:
        unit, leader = self._units[task], self._instance.stays[task]
        in_gang = unit == self._instance.gangs.get(task, (unit,))[0]
        return self._instance.durations[task][unit] > 0 and in_gang and (leader == ANY or self._units[leader] == unit)

    def run(self, task: int) -> bool:
        unit, instance = self._units[task], self._instance
        held = instance.gangs.get(task, (unit,))
        before = [self.ends[maker] for maker, _ in instance.inputs[task]]
        before += [self.ends[live.source] for live in instance.live.get(task, ())]
        if self.ends[task] is not None or None in before:
            return False
        start = max(instance.release_us.get(task, 0), *(self._unit_free[member] for member in held))
        # What was made first goes first.
        for maker, payload in sorted(instance.inputs[task], key=lambda read: (self.ends[read[0]], read)):
            start = max(start, self._arrival(maker, payload, unit))
        start, end = self._beside_live(task, start)
        self.starts[task], self.ends[task] = start, end
        for member in held:
            self._unit_free[member] = end
        return True

    def send(self, payload: int, target: int) -> bool:
        maker = self._makers[payload]
        source, made = self._units[maker], self.ends[maker]
        if made is None or self._instance.wires is None or (payload, target) in self._there:
            return False
        wire = self._instance.wires[source, target]
        start = max(made, *(self._lane_free.get(lane, 0) for lane in wire.lanes), 0)
        end = start + wire.transfer_us(self._instance.payload_bytes[payload])
        self._lane_free.update(dict.fromkeys(wire.lanes, end))
        self._there[payload, target] = end
        self.transfers.append(Transfer(payload, source, target, start, end))
        return True

    def _arrival(self, maker: int, payload: int, unit: int) -> int:
        made = self.ends[maker]
        assert made is not None
        if payload == ORDER or self._instance.wires is None or self._units[maker] == unit:
            return made
        if (payload, unit) not in self._there:
            self.send(payload, unit)
        return self._there[payload, unit]

    def _beside_live(self, task: int, start: int) -> tuple[int, int]:
        """The start and end of a task that could start at `start` but for its live inputs."""
        latest = 0
        for live in self._instance.live.get(task, ()):
            made = self.ends[live.source]
            assert made is not None
            if self._units[live.source] == self._units[task]:
                start = max(start, made)
            else:
                start = max(start, self.starts[live.source] + live.first_us)
                latest = max(latest, made + live.last_us)
        return start, max(latest, start + self._instance.durations[task][self._units[task]])
