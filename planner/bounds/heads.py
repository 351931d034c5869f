"""How early each task can start, and how much must follow it: the longest ways through an instance."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from planner.bounds.candidates import Units, candidates
from planner.instance import ORDER, Instance, Live

NEVER = 1 << 60  # microseconds


class HeadsTails(NamedTuple):
    """No schedule starts task t before `heads[t]`, nor ends less than `tails[t]` after task t has. Microseconds."""

    heads: list[int]
    tails: list[int]


def least_work(instance: Instance, units: list[Units]) -> list[int]:
    """The shortest time each task can take on the units that may run it."""
    least: dict[tuple[tuple[int, ...], Units], int] = {}
    work = []
    for key in zip(instance.durations, units, strict=True):
        found = least.get(key)
        if found is None:
            found = least[key] = min(key[0][unit] for unit in key[1])
        work.append(found)
    return work


def heads_tails(instance: Instance) -> HeadsTails:
    """The longest way to each task, and on from it.

    Each task is taken where it is fastest; a payload travels only if no unit may run both its maker and its reader.
    """
    units = candidates(instance)
    work = least_work(instance, units)
    travels = instance.wires is not None and any(len(found) < instance.units for found in set(units))
    if travels or instance.live:
        edges = _Edges(instance, units, work)
        return HeadsTails(edges.heads(), edges.tails())
    return HeadsTails(_heads(instance, work), _tails(instance, work))


def _heads(instance: Instance, work: list[int]) -> list[int]:
    heads: list[int] = []
    ends: list[int] = []
    release = instance.release_us
    for task, reads in enumerate(instance.inputs):
        head = release.get(task, 0) if release else 0
        for maker, _ in reads:
            end = ends[maker]
            if end > head:
                head = end
        heads.append(head)
        ends.append(head + work[task])
    return heads


def _tails(instance: Instance, work: list[int]) -> list[int]:
    tails = [0] * instance.size
    inputs = instance.inputs
    for task in range(instance.size - 1, -1, -1):
        after = tails[task] + work[task]
        for maker, _ in inputs[task]:
            if tails[maker] < after:
                tails[maker] = after
    return tails


class Travels:
    """The least time that each payload is under way between a maker and a reader."""

    def __init__(self, instance: Instance, units: list[Units]) -> None:
        self._wires = instance.wires
        self._bytes = instance.payload_bytes
        self._layers = instance.layers
        # Any unit of a gang may be the one that made a payload.
        self._units = [instance.gangs.get(task, found) for task, found in enumerate(units)]
        self._streamed = {live.payload for lives in instance.live.values() for live in lives}
        self._least: dict[tuple[Units, Units, int], int] = {}

    def must_us(self, maker: int, reader: int, payload: int) -> int:
        """The least time in which the payload gets there: none where one unit may run both."""
        if payload == ORDER or self._wires is None or set(self._units[maker]) & set(self._units[reader]):
            return 0
        return self.whole_us(maker, reader, payload)

    def whole_us(self, maker: int, reader: int, payload: int) -> int:
        """The least time from one unit to another; what others read live may have been there but for a layer."""
        size = self._bytes[payload]
        return self._between_us(maker, reader, -(-size // self._layers) if payload in self._streamed else size)

    def layer_us(self, maker: int, reader: int, payload: int) -> int:
        """The least time of one layer of it from one unit to another."""
        return self._between_us(maker, reader, -(-self._bytes[payload] // self._layers))

    def _between_us(self, maker: int, reader: int, size: int) -> int:
        key = (self._units[maker], self._units[reader], size)
        found = self._least.get(key)
        if found is None:
            assert self._wires is not None
            pairs = [pair for pair in product(key[0], key[1]) if pair[0] != pair[1]]
            found = self._least[key] = min((self._wires[pair].transfer_us(size) for pair in pairs), default=NEVER)
        return found


class _Edges:
    """Ways through an instance whose edges have lengths: transfers that must be, and live inputs."""

    def __init__(self, instance: Instance, units: list[Units], work: list[int]) -> None:
        self._instance = instance
        self._units = units
        self._work = work
        self._travels = Travels(instance, units)
        self._live = {
            task: [(live.source, *self._live_us(task, live)) for live in lives] for task, lives in instance.live.items()
        }

    def heads(self) -> list[int]:
        heads: list[int] = []
        ends: list[int] = []
        must_us = self._travels.must_us
        for task, reads in enumerate(self._instance.inputs):
            after = [ends[maker] + must_us(maker, task, payload) for maker, payload in reads]
            live = self._live.get(task, ())
            beside = [heads[source] + first for source, first, _ in live]
            heads.append(max(self._instance.release_us.get(task, 0), *after, *beside, 0))
            ends.append(max(heads[task] + self._work[task], *(ends[source] + last for source, _, last in live), 0))
        return heads

    def tails(self) -> list[int]:
        tails = [0] * self._instance.size
        runs = [0] * self._instance.size  # what follows a task's start
        must_us = self._travels.must_us
        for task in range(self._instance.size - 1, -1, -1):
            runs[task] = max(runs[task], self._work[task] + tails[task])
            for maker, payload in self._instance.inputs[task]:
                tails[maker] = max(tails[maker], runs[task] + must_us(maker, task, payload))
            for source, first, last in self._live.get(task, ()):
                tails[source] = max(tails[source], last + tails[task])
                runs[source] = max(runs[source], first + runs[task])
        return tails

    def _live_us(self, task: int, live: Live) -> tuple[int, int]:
        """By how much the reader starts after the source's start, and ends after its end, at least.

        On one unit the reader follows the source; on two it may also wait for the whole payload. The least of all.
        """
        makes, reads = self._work[live.source], self._work[task]
        if set(self._units[live.source]) & set(self._units[task]):
            return min(live.first_us, makes), min(live.last_us, reads)
        if self._instance.wires is None:
            return live.first_us, live.last_us
        whole = self._travels.whole_us(live.source, task, live.payload)
        layer = self._travels.layer_us(live.source, task, live.payload)
        return min(live.first_us + layer, makes + whole), min(live.last_us + layer, max(live.last_us, whole + reads))
