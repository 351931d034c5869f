"""The beginning of an endless stream, run greedily: where good cyclic orders come from."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from fractions import Fraction
from heapq import heappop, heappush
from typing import NamedTuple

from planner.streams.loop import Loop

# For each run of a unit in turn whether it is a pinned task (else any other); then from the start again.
Program = tuple[bool, ...]


class Run(NamedTuple):
    """Start and unit of each task, task t of block b at index b * tasks + t; -1 where a program never got to it."""

    starts_us: list[int]
    units: list[int]


def run_endless(
    loop: Loop,
    units: int,
    pins: Mapping[int, int],
    blocks: int,
    programs: Mapping[int, Program] | None = None,
    every_us: Fraction | None = None,
    stride_us: Fraction | None = None,
    *,
    downwards: bool = False,
) -> Run:
    """Whatever unit is idle takes what it has all inputs of, oldest block first; pinned tasks, on their unit, at once.

    With `stride_us` the longest way to go comes first instead, each later block having that much less time pressure.
    A unit with a program keeps to it, and waits if it has to. Block b begins no earlier than the one before, and than
    b * `every_us`. If several units are idle the first chooses first, or `downwards` the last.
    """
    desk = _Desk(loop, pins, _ranks(loop, blocks, stride_us), every_us)
    steps = dict.fromkeys(programs or {}, 0)
    idle = set(range(units))
    while desk.events:
        now = desk.events[0][0]
        idle.update(desk.advance())
        for unit in sorted(idle, reverse=downwards):
            pinned = None
            if programs and unit in programs:
                pinned = programs[unit][steps[unit] % len(programs[unit])]
            index = desk.choose(unit, now, pinned)
            if index >= 0:
                steps[unit] = steps.get(unit, 0) + 1
                idle.discard(unit)
                desk.start(index, unit, now)
    return Run(desk.starts_us, desk.units)


class _Input(NamedTuple):
    """What a task waits for: how far back in the index, for how long after its start, and how much longer elsewhere."""

    back: int
    lag_us: int
    transfer_us: int


class _Desk:
    """What has started, what waits and what is ready."""

    def __init__(self, loop: Loop, pins: Mapping[int, int], ranks: list[int], every_us: Fraction | None) -> None:
        self._ranks = ranks
        self._durations = loop.durations_us
        self._size = len(loop.tasks)
        self._pins = pins
        self._every_us = every_us or Fraction(0)
        self._inputs = _inputs(loop)
        self._next: list[list[int]] = [[] for _ in loop.tasks]
        self._waits = [0] * len(ranks)
        for task, inputs in enumerate(self._inputs):
            for back, _, _ in inputs:
                self._next[(task - back) % self._size].append(back)
                for index in range(task, len(self._waits), self._size):
                    self._waits[index] += index >= back
        self._begin_us = [0] * (len(ranks) // self._size)
        self._begun = 0
        self.starts_us = [-1] * len(ranks)
        self.units = [-1] * len(ranks)
        self._free: list[int] = []  # by rank
        self._pinned: dict[int, list[int]] = {unit: [] for unit in pins.values()}
        self.events: list[tuple[int, int, int]] = []  # (time, task that gets ready or -1, unit that gets idle or -1)
        self._begin(0)

    def advance(self) -> list[int]:
        """Goes to the next time at which something happens; the units that get idle then."""
        now = self.events[0][0]
        idle = []
        while self.events and self.events[0][0] == now:
            _, index, unit = heappop(self.events)
            if unit >= 0:
                idle.append(unit)
            elif index >= 0:
                pin = self._pins.get(index % self._size)
                insort(self._free if pin is None else self._pinned[pin], index, key=self._ranks.__getitem__)
        return idle

    def choose(self, unit: int, now: int, pinned: bool | None) -> int:
        """The first task by rank that is ready on the unit, one pinned there first; -1 if there is none of the kind."""
        mine = self._pinned.get(unit, [])
        if pinned is not False and mine:
            return mine.pop(0)
        if pinned:
            return -1
        for place, index in enumerate(self._free):
            if self._ready_us(index, unit) <= now:
                return self._free.pop(place)
        return -1

    def start(self, index: int, unit: int, now: int) -> None:
        self.starts_us[index], self.units[index] = now, unit
        heappush(self.events, (now + self._durations[index % self._size], -1, unit))
        for step in self._next[index % self._size]:
            if index + step < len(self._waits):
                self._waits[index + step] -= 1
                self._offer(index + step)
        if index // self._size + 1 == self._begun:
            self._begin(now)

    def _begin(self, now: int) -> None:
        """Lets the next block begin."""
        block = self._begun
        self._begun += 1
        if block < len(self._begin_us):
            self._begin_us[block] = max(now, int(self._every_us * block))
            for index in range(block * self._size, (block + 1) * self._size):
                self._offer(index)

    def _offer(self, index: int) -> None:
        """Notes when a task gets ready, first where, then elsewhere, once all that it waits for has started."""
        if self._waits[index] or index >= self._begun * self._size:
            return
        pin = self._pins.get(index % self._size)
        makers = {
            self.units[index - back] for back, _, more in self._inputs[index % self._size] if more and index >= back
        }
        times = sorted({self._ready_us(index, unit) for unit in ((-1, *makers) if pin is None else (pin,))})
        heappush(self.events, (times[0], index, -1))
        for later in times[1:]:
            heappush(self.events, (later, -1, -1))

    def _ready_us(self, index: int, unit: int) -> int:
        ready = self._begin_us[index // self._size]
        for back, lag, more in self._inputs[index % self._size]:
            if index >= back:
                arrives = self.starts_us[index - back] + lag
                ready = max(ready, arrives if self.units[index - back] == unit else arrives + more)
        return ready


def _ranks(loop: Loop, blocks: int, stride_us: Fraction | None) -> list[int]:
    """Place of each task in the order of who chooses first; of equally urgent ones the latest block's."""
    size = len(loop.tasks)
    if stride_us is None:
        return list(range(blocks * size))
    tails = list(loop.durations_us)
    for edge in sorted(loop.edges, key=lambda edge: -edge.source):
        if edge.distance == 0 and edge.target < size and edge.source < size:
            tails[edge.source] = max(tails[edge.source], edge.lag_us + tails[edge.target])
    step, scale = stride_us.numerator, stride_us.denominator
    keys = [(block * step - tail * scale, -block) for block in range(blocks) for tail in tails]
    ranks = [0] * len(keys)
    for rank, index in enumerate(sorted(range(len(keys)), key=keys.__getitem__)):
        ranks[index] = rank
    return ranks


def _inputs(loop: Loop) -> list[list[_Input]]:
    """What each task waits for; a late task is taken to last as long as its duration."""
    inputs: list[list[_Input]] = [[] for _ in loop.tasks]
    for edge in loop.edges:
        if edge.target < len(loop.tasks):
            source = loop.task(edge.source)
            ended = 0 if source == edge.source else loop.durations_us[source]
            back = edge.target - source + edge.distance * len(loop.tasks)
            inputs[edge.target].append(_Input(back, ended + edge.lag_us, edge.transfer_us))
    return inputs
