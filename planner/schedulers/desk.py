"""What is placed so far on units and wires, and when a task could run where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.bounds.candidates import Units
from planner.bounds.heads import NEVER
from planner.instance import ANY, ORDER, Live, Schedule, Transfer, Wire
from planner.schedulers.lanes import Booking, Lanes
from planner.schedulers.table import Table


class Desk:
    """Tasks are placed one by one, each after all it reads; nothing placed moves.

    A payload that a unit lacks is sent in the first gap that all lanes of the wire have after it is made. A live
    payload is streamed while its source runs if the lanes are free for all of that, and else sent whole afterwards.
    """

    def __init__(self, table: Table) -> None:
        instance, size = table.instance, table.instance.size
        self.units, self.starts, self.ends = [ANY] * size, [0] * size, [0] * size
        self.transfers: list[Transfer] = []
        self._instance = instance
        self._leads = table.leads
        self._candidates = table.units
        self._strain_us = table.strain_us
        self._homes: dict[int, int] = {}
        self._wires: dict[tuple[int, int], Wire] = instance.wires or {}
        self._lengths = table.lengths_us
        self._free = [0] * instance.units
        self._lanes = Lanes()
        self._there: dict[tuple[int, int], _Way] = {}  # by (payload, unit)

    def units_of(self, task: int) -> Units:
        """The units that may run the task; one, if another task of its chain is placed."""
        home = self._homes.get(self._leads[task])
        return self._candidates[task] if home is None else (home,)

    def best(self, task: int) -> tuple[int, int]:
        """The unit where the task would end first, and when it would start there.

        For a chain's first task, what the chain would strain each unit is added; of equal units the one that ran
        something last is taken.
        """
        units = self.units_of(task)
        strain = self._strain_us.get(self._leads[task]) if self._strain_us and len(units) > 1 else None
        least = (NEVER, 0)
        found = starts = ANY
        lengths = self._instance.durations[task]
        for unit in units:
            free, late = self._free[unit], strain[unit] if strain else 0
            if free + lengths[unit] + late > least[0]:
                continue
            start, end, _ = self._fit(task, unit)
            offer = (end + late, -free)
            if offer < least:
                least, found, starts = offer, unit, start
        return found, starts

    def take(self, task: int, unit: int) -> int:
        """Places the task on the unit, with the transfers it needs; its end."""
        start, end, ways = self._fit(task, unit)
        self.units[task], self.starts[task], self.ends[task] = unit, start, end
        self._homes[self._leads[task]] = unit
        for held in self._instance.gangs.get(task, (unit,)):
            self._free[held] = end
        for way in ways:
            self.transfers.append(Transfer(way.payload, way.source, unit, way.leaves_us, way.last_us))
            self._there[way.payload, unit] = way
            self._lanes.book(way.booking)
        return end

    def schedule(self) -> Schedule:
        return Schedule(self.units, self.starts, self.ends, self.transfers)

    def _fit(self, task: int, unit: int) -> tuple[int, int, list[_Way]]:
        """Start and end of the task on the unit, and what has to travel there."""
        instance, ends, units = self._instance, self.ends, self.units
        start = self._begin_us(task, unit) if instance.gangs or instance.release_us else self._free[unit]
        missing: list[_Need] = []
        for maker, payload in instance.inputs[task]:
            at = ends[maker]
            if units[maker] != unit and payload != ORDER and self._wires:
                way = self._there.get((payload, unit))
                if way is None:
                    missing.append((at, payload, units[maker]))
                    continue
                at = way.last_us
            if at > start:
                start = at
        ways = self._sent(missing, unit) if missing else []
        for way in ways:
            start = max(start, way.last_us)
        if task in instance.live:
            return self._fit_live(task, unit, start, ways)
        return start, start + instance.durations[task][unit], ways

    def _fit_live(self, task: int, unit: int, start: int, ways: list[_Way]) -> tuple[int, int, list[_Way]]:
        """As `_fit`, with the task's live inputs too; it lasts until their last layers are through."""
        end = 0
        for live in self._instance.live[task]:
            first, last = self.starts[live.source] + live.first_us, self.ends[live.source]
            if self.units[live.source] == unit:
                start = max(start, last)
                continue
            if self._wires:
                way = self._there.get((live.payload, unit))
                if way is None:
                    way = self._stream(live, unit, ways)
                    ways.append(way)
                first, last = way.first_us, way.made_us
            start, end = max(start, first), max(end, last + live.last_us)
        return start, max(end, start + self._instance.durations[task][unit]), ways

    def _begin_us(self, task: int, unit: int) -> int:
        """When the unit, or each of the gang's, is done with what it runs, and the task is released."""
        gang = self._instance.gangs.get(task, (unit,))
        return max(self._instance.release_us.get(task, 0), *(self._free[held] for held in gang))

    def _sent(self, needs: list[_Need], unit: int) -> list[_Way]:
        """The ways of whole payloads to the unit, in the order in which they are made."""
        if len(needs) == 1:
            return [self._whole(needs[0], unit)]
        ways: list[_Way] = []
        booked: list[Booking] = []
        for need in sorted(set(needs)):
            way = self._whole(need, unit, booked)
            ways.append(way)
            booked.append((way.lanes, way.leaves_us, way.last_us))
        return ways

    def _whole(self, need: _Need, unit: int, also: Sequence[Booking] = ()) -> _Way:
        made_us, payload, source = need
        wire = self._wires[source, unit]
        size = self._instance.payload_bytes[payload]
        length = self._lengths.get((source, unit, size))
        if length is None:
            length = self._lengths[source, unit, size] = wire.transfer_us(size)
        leaves = self._lanes.earliest(wire.lanes, made_us, length, also)
        return _Way(payload, source, wire.lanes, leaves, leaves + length, leaves + length, made_us)

    def _stream(self, live: Live, unit: int, ways: list[_Way]) -> _Way:
        """The way of a live payload to the unit: layer by layer if its lanes are free while its task runs."""
        source, payload, end = self.units[live.source], live.payload, self.ends[live.source]
        wire = self._wires[source, unit]
        leaves, first, last = self._instance.stream(wire, payload, self.starts[live.source], end, live.first_us)
        also = [way.booking for way in ways]
        if self._lanes.earliest(wire.lanes, leaves, last - leaves, also) > leaves:
            return self._whole((end, payload, source), unit, also)
        return _Way(payload, source, wire.lanes, leaves, first, last, last)


_Need = tuple[int, int, int]  # when it was made, payload, the unit that made it


class _Way(NamedTuple):
    """A payload on its way to a unit: when it leaves, when its first layer is there, and its last.

    `made_us`: when a live reader can begin its last layer, but for that layer's own time: the source has ended, and
    of a stream the last layer is there.
    """

    payload: int
    source: int
    lanes: tuple[int, ...]
    leaves_us: int
    first_us: int
    last_us: int
    made_us: int

    @property
    def booking(self) -> Booking:
        return self.lanes, self.leaves_us, self.last_us
