"""Transfers that nobody orders: all that are under way on a lane share its bandwidth evenly.

A transfer's latency passes first and takes no bandwidth. Then it goes at 1/n of the wire's rate, n the most that any
of its lanes carries. It ends with the microsecond in which its last byte is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from fractions import Fraction
from typing import Any

import simpy

from planner.simulating.effects import Effects
from planner.simulating.moments import Moments
from planner.simulating.transfers import Carried

Through = Generator[simpy.Event, Any, bool]


class _Flow:
    """`left_us`: how long it would still take alone."""

    def __init__(self, lanes: Sequence[int], left_us: int, through: simpy.Event) -> None:
        self.lanes, self.left_us, self.through = lanes, Fraction(left_us), through
        self.rate = Fraction(1)


class Medium:
    """All lanes, and what is under way on them."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._flows: list[_Flow] = []
        self._since = 0
        self._version = 0

    def begin(self, lanes: Sequence[int], alone_us: int) -> _Flow:
        flow = _Flow(lanes, alone_us, self._moments.env.event())
        self._advance()
        self._flows.append(flow)
        self._share()
        return flow

    def drop(self, flow: _Flow) -> bool:
        """Takes a flow off, and says whether it is through."""
        self._advance()
        if flow in self._flows:
            self._flows.remove(flow)
        self._share()
        return flow.left_us <= 0

    def _advance(self) -> None:
        """Everybody's progress up to now; who is through, leaves."""
        passed, self._since = self._moments.now - self._since, self._moments.now
        for flow in self._flows:
            flow.left_us -= passed * flow.rate
        through = [flow for flow in self._flows if flow.left_us <= 0]
        self._flows = [flow for flow in self._flows if flow.left_us > 0]
        for flow in through:
            flow.through.succeed()

    def _share(self) -> None:
        """New rates, and an alarm for when the first is through."""
        self._version += 1
        if not self._flows:
            return
        crowd = Counter(lane for flow in self._flows for lane in flow.lanes)
        for flow in self._flows:
            flow.rate = Fraction(1, max(crowd[lane] for lane in flow.lanes))
        first = min(math.ceil(flow.left_us / flow.rate) for flow in self._flows)
        self._moments.env.process(self._alarm(first, self._version))

    def _alarm(self, after_us: int, version: int) -> Generator[simpy.Event, Any, None]:
        yield self._moments.env.timeout(after_us)
        if version == self._version:
            self._advance()
            self._share()


class Together:
    """Carries moves over shared lanes. What an outage cuts begins anew: of a stream all but its last layer."""

    def __init__(self, moments: Moments, effects: Effects) -> None:
        self._moments, self._effects = moments, effects
        self._medium = Medium(moments)

    def carry(self, number: int) -> Carried:
        moments, move = self._moments, self._moments.script.moves[number]
        layers = moments.script.costs.spec.layers if move.streams else 1
        begun = yield from self._anew(number, max(1, layers - 1))
        if begun is None or not move.streams:
            return None if begun is None else (begun, moments.now)
        if layers > 1:
            assert move.maker is not None, "what nobody makes never leaves"
            yield from moments.all([moments.done[moments.script.action(move.maker).gang]])
            if (yield from self._anew(number, 1)) is None:
                return None
        return begun, moments.now

    def _anew(self, number: int, messages: int) -> Generator[simpy.Event, Any, int | None]:
        """So many messages, one after the other, until no outage cuts them; when the first of them left."""
        moments, way = self._moments, self._moments.script.moves[number].way
        while True:
            awake = self._effects.outages.awake_us(way, moments.now)
            if awake is None:
                return None
            yield from moments.until(awake)
            begun, done = moments.now, 0
            while done < messages and (yield from self._message(number)):
                done += 1
                if not moments.first[number].triggered:
                    moments.first[number].succeed()
            if done == messages:
                return begun

    def _message(self, number: int) -> Through:
        """Whether it got through before an outage."""
        moments, way = self._moments, self._moments.script.moves[number].way
        cut, latency = self._effects.outages.cut_us(way, moments.now), self._effects.latency_us(number)
        alone = self._effects.wire_us(number) - latency
        over = moments.now + latency
        yield from moments.until(min(over, int(cut)) if cut < math.inf else over)
        if cut < over:
            return False
        if not alone:
            return True
        flow = self._medium.begin(moments.script.lanes(number), alone)
        if cut == math.inf:
            yield flow.through
            return True
        yield flow.through | moments.env.timeout(int(cut) - moments.now)
        return self._medium.drop(flow)
