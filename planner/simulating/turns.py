"""Who goes first where transfers share a lane: the plan's order, or who was ready first."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Protocol

import simpy

from planner.calibrating.replay import lane_order
from planner.calibrating.script import Way
from planner.simulating.moments import Moments, Process
from planner.simulating.outages import Outages

AFTER_ALL_ELSE = simpy.events.EventPriority(2)


class Turns(Protocol):
    """Moves wait for their turn once they are ready, and say when they are over."""

    def wait(self, number: int) -> Process: ...

    def over(self, number: int) -> None: ...


class Planned:
    """On each lane in the order of the plan's times; what never comes holds up all behind it."""

    def __init__(self, moments: Moments, begun: Sequence[int]) -> None:
        self._moments = moments
        self._after = lane_order(moments.script, begun)

    def wait(self, number: int) -> Process:
        yield from self._moments.all(self._moments.there[before] for before in self._after[number])

    def over(self, number: int) -> None:
        pass


class Anyone:
    """Nobody waits."""

    def wait(self, number: int) -> Process:  # noqa: ARG002
        yield from ()

    def over(self, number: int) -> None:
        pass


class Ready:
    """Each way's in the order of its sends; on shared lanes the longest ready, then by place in the sender's program,
    then by way. In each microsecond turns are given after all else has happened.
    """

    def __init__(self, moments: Moments, outages: Outages) -> None:
        self._moments, self._outages = moments, outages
        self._moves = moments.script.moves
        self._queues: dict[Way, deque[int]] = defaultdict(deque)
        for number in sorted(range(len(self._moves)), key=lambda n: self._moves[n].sent):
            self._queues[self._moves[number].way].append(number)
        self._turn: dict[int, simpy.Event] = {}
        self._since: dict[int, int] = {}
        self._busy: set[int] = set()
        self._asked = False

    def wait(self, number: int) -> Process:
        self._turn[number] = self._moments.env.event()
        self._since[number] = max(self._moments.now, self._since.get(number, 0))
        self._ask()
        yield self._turn[number]

    def over(self, number: int) -> None:
        self._busy.difference_update(self._moments.script.lanes(number))
        self._ask()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            _Later(self._moments.env, self._give)

    def _give(self) -> None:
        self._asked = False
        heads = [queue[0] for queue in self._queues.values() if queue and queue[0] in self._turn]
        for number in sorted(heads, key=lambda n: (self._since[n], self._moves[n].sent[1], self._moves[n].way)):
            lanes = self._moments.script.lanes(number)
            if self._is_awake(number) and self._busy.isdisjoint(lanes):
                self._busy.update(lanes)
                self._begin(number)

    def _begin(self, number: int) -> None:
        queue = self._queues[self._moves[number].way]
        queue.popleft()
        if queue:
            self._since[queue[0]] = max(self._moments.now, self._since.get(queue[0], 0))
        self._turn.pop(number).succeed()

    def _is_awake(self, number: int) -> bool:
        """Whether both ends are there; if not, it is asked again when they are."""
        at = self._outages.awake_us(self._moves[number].way, self._moments.now)
        if at is None or at == self._moments.now:
            return at is not None
        self._since[number] = at
        self._moments.env.process(self._ask_at(at))
        return False

    def _ask_at(self, at_us: int) -> Process:
        yield from self._moments.until(at_us)
        self._ask()


class _Later(simpy.Event):
    """Happens in this microsecond, after all else."""

    def __init__(self, env: simpy.Environment, call: object) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        assert self.callbacks is not None
        self.callbacks.append(lambda _: call())  # type: ignore[operator]
        env.schedule(self, AFTER_ALL_ELSE)
