"""Optimal makespans of small instances, by complete search; knows nothing of schedulers.

`brute_force` takes any instance of up to about eight tasks, `staircase_optimum` cascades of unit tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product

from planner.instance import ANY, ORDER, Instance, Live

Way = tuple[int, int]  # a payload and the unit it goes to


def brute_force(instance: Instance) -> int:
    """The least makespan, in microseconds.

    Every placement of the tasks; for each, every choice of what live readers get as a stream or whole; for each, every
    order of tasks and transfers, each as early as those before it allow. Starts and ends are bounded from below only,
    so some optimum is among these. Branches that cannot beat the best so far are left out.
    """
    best = _no_hurry(instance)
    for busiest_us, units in sorted((max(_loads(instance, units)), units) for units in _placements(instance)):
        if busiest_us < best:
            for whole in _subsets(_live_ways(instance, units)):
                best = min(best, _Case(instance, units, whole).least(best))
    return best


def staircase_optimum(blocks: int, passes: int, units: int, offset: int) -> int:
    """The least number of ticks for passes that take one each and no transfers: a search over all staircases.

    The state is how many passes of each block are finished; C(blocks + passes, passes) states at offset 1. A tick runs
    as many ready passes as there are units: running more never hurts.
    """
    ticks, states = 0, {(0,) * blocks}
    while (passes,) * blocks not in states:
        states = {after for done in states for after in _ticked(done, passes, units, offset)}
        ticks += 1
    return ticks


def _ticked(done: tuple[int, ...], passes: int, units: int, offset: int) -> Iterator[tuple[int, ...]]:
    """What may be finished a tick later."""
    ready = [
        block
        for block, count in enumerate(done)
        if count < passes and (block == 0 or done[block - 1] > min(count + offset - 1, passes - 1))
    ]
    for chosen in combinations(ready, min(units, len(ready))):
        yield tuple(count + (block in chosen) for block, count in enumerate(done))


def _no_hurry(instance: Instance) -> int:
    """More than an optimum needs: everything after everything else, on the slowest units and wires."""
    waits = sum(live.first_us + live.last_us for lives in instance.live.values() for live in lives)
    wires = list((instance.wires or {}).values())
    sizes = sum(max((wire.transfer_us(size) for wire in wires), default=0) for size in instance.payload_bytes)
    released = max(instance.release_us.values(), default=0)
    return sum(map(max, instance.durations)) + waits + released + instance.units * instance.layers * sizes + 1


def _placements(instance: Instance) -> Iterator[tuple[int, ...]]:
    allowed = [[unit for unit, length in enumerate(row) if length] for row in instance.durations]
    for task, team in instance.gangs.items():
        allowed[task] = [team[0]]
    for units in product(*allowed):
        if all(leader == ANY or units[leader] == unit for unit, leader in zip(units, instance.stays, strict=True)):
            yield units


def _loads(instance: Instance, units: Sequence[int]) -> list[int]:
    loads = [0] * instance.units
    for task, unit in enumerate(units):
        for held in instance.gangs.get(task, (unit,)):
            loads[held] += instance.durations[task][unit]
    return loads


def _live_ways(instance: Instance, units: Sequence[int]) -> list[Way]:
    """The payloads that live readers need on units that did not make them."""
    rows = instance.live.items() if instance.wires else ()
    return sorted(
        {(live.payload, units[task]) for task, lives in rows for live in lives if units[live.source] != units[task]}
    )


def _subsets(ways: list[Way]) -> Iterator[tuple[Way, ...]]:
    return chain.from_iterable(combinations(ways, count) for count in range(len(ways) + 1))


class _Case:
    """One placement and one choice of what is sent whole: the search over orders.

    Items are the tasks, then the transfers; the state is when each item placed so far starts and ends.
    """

    def __init__(self, instance: Instance, units: Sequence[int], whole: tuple[Way, ...]) -> None:
        self._instance, self._units = instance, units
        self._streams = set(_live_ways(instance, units)) - set(whole)
        self._makers: dict[int, int] = {}
        sent = set(whole)
        for task, reads in enumerate(instance.inputs):
            for maker, payload in reads:
                self._makers[payload] = maker
                if payload != ORDER and instance.wires and units[maker] != units[task]:
                    sent.add((payload, units[task]))
        for live in chain.from_iterable(instance.live.values()):
            self._makers[live.payload] = live.source
        self._sent = sorted(sent - self._streams)
        self._first_us = {live.payload: live.first_us for live in chain.from_iterable(instance.live.values())}
        self._before = [self._needed(item) for item in range(instance.size + len(self._sent))]
        self._tails: dict[int, int] = {}

    def least(self, cutoff_us: int) -> int:
        """The least makespan of this case, or `cutoff_us` if none is below that."""
        self._best = cutoff_us
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._free: dict[tuple[str, int], int] = {}
        self._extend((0, -1))
        return self._best

    def _extend(self, last: tuple[int, int]) -> None:
        """Places one more item in every way that can matter, in order of (start, item)."""
        if len(self._starts) == len(self._before):
            self._best = max(self._ends.values())
            return
        offers = [
            (*self._times(item), item)
            for item, before in enumerate(self._before)
            if item not in self._starts and before <= self._starts.keys()
        ]
        if any(end + self._tail(item) >= self._best for _, end, item in offers):
            return
        # What could end before this item starts would be there already: it stands in nobody's way.
        soonest = min(end for _, end, _ in offers)
        for start, end, item in offers:
            if (start, item) > last and start < soonest:
                held = {place: self._free.get(place, 0) for place in self._holds(item)}
                self._starts[item], self._ends[item] = start, end
                self._free |= dict.fromkeys(held, end)
                self._extend((start, item))
                self._free |= held
                del self._starts[item], self._ends[item]

    def _needed(self, item: int) -> set[int]:
        """The items that come before, by start, wherever they run."""
        if item >= self._instance.size:
            return {self._makers[self._sent[item - self._instance.size][0]]}
        reads = [*self._instance.inputs[item], *((live.source, live.payload) for live in self._lives(item))]
        ways = [(payload, self._units[item]) for _, payload in reads]
        return {maker for maker, _ in reads} | {self._transfer(way) for way in ways if way in self._sent}

    def _transfer(self, way: Way) -> int:
        return self._instance.size + self._sent.index(way)

    def _lives(self, task: int) -> tuple[Live, ...]:
        return self._instance.live.get(task, ())

    def _holds(self, item: int) -> list[tuple[str, int]]:
        if item < self._instance.size:
            return [("unit", unit) for unit in self._instance.gangs.get(item, (self._units[item],))]
        payload, target = self._sent[item - self._instance.size]
        assert self._instance.wires
        return [("lane", lane) for lane in self._instance.wires[self._units[self._makers[payload]], target].lanes]

    def _least_us(self, item: int) -> int:
        if item < self._instance.size:
            return self._instance.durations[item][self._units[item]]
        payload, target = self._sent[item - self._instance.size]
        assert self._instance.wires
        wire = self._instance.wires[self._units[self._makers[payload]], target]
        return wire.transfer_us(self._instance.payload_bytes[payload])

    def _tail(self, item: int) -> int:
        """What must follow the item's end at least."""
        if item not in self._tails:
            after = (later for later, before in enumerate(self._before) if item in before)
            self._tails[item] = max((self._remains(item, later) + self._tail(later) for later in after), default=0)
        return self._tails[item]

    def _remains(self, item: int, later: int) -> int:
        """How much of a later item lies after this one's end at least."""
        live = [live for live in self._lives(later) if live.source == item]
        crosses = live and self._units[item] != self._units[later]
        return live[0].last_us if crosses else self._least_us(later)

    def _times(self, item: int) -> tuple[int, int]:
        """The earliest start and end after what is placed."""
        start = max(self._free.get(place, 0) for place in self._holds(item))
        if item >= self._instance.size:
            start = max(start, self._ends[self._makers[self._sent[item - self._instance.size][0]]])
            return start, start + self._least_us(item)
        start = max(start, self._instance.release_us.get(item, 0))
        for maker, payload in self._instance.inputs[item]:
            start = max(start, self._arrival(maker, payload, self._units[item]))
        limits = [self._live_limits(item, live) for live in self._lives(item)]
        start = max(start, *(limit for limit, _ in limits), 0)
        return start, max(start + self._least_us(item), *(limit for _, limit in limits), 0)

    def _arrival(self, maker: int, payload: int, unit: int) -> int:
        if payload == ORDER or not self._instance.wires or self._units[maker] == unit:
            return self._ends[maker]
        if (payload, unit) in self._streams:
            return self._stream(maker, payload, unit)[1]
        return self._ends[self._transfer((payload, unit))]

    def _live_limits(self, task: int, live: Live) -> tuple[int, int]:
        source, unit = live.source, self._units[task]
        if self._units[source] == unit:
            return self._ends[source], 0
        if not self._instance.wires:
            return self._starts[source] + live.first_us, self._ends[source] + live.last_us
        if (live.payload, unit) in self._streams:
            first, last = self._stream(source, live.payload, unit)
            return first, last + live.last_us
        return self._ends[self._transfer((live.payload, unit))], self._ends[source] + live.last_us

    def _stream(self, maker: int, payload: int, unit: int) -> tuple[int, int]:
        """When a stream's first and last layer are there."""
        assert self._instance.wires
        wire, first_us = self._instance.wires[self._units[maker], unit], self._first_us[payload]
        _, first, last = self._instance.stream(wire, payload, self._starts[maker], self._ends[maker], first_us)
        return first, last
