"""Moves from rank to rank, each a process: posted, its turn, under way, there."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

import simpy

from planner.simulating.effects import Effects
from planner.simulating.moments import Moments, Process
from planner.simulating.turns import Turns

# When a move began and when it was there; None if an outage without an end cut it.
Carried = Generator[simpy.Event, Any, tuple[int, int] | None]


class Carrier(Protocol):
    """Takes a move over its wire, and tells when its first layer is there."""

    def carry(self, number: int) -> Carried: ...


class Alone:
    """A move has its lanes to itself. What an outage cuts keeps them until it is through."""

    def __init__(self, moments: Moments, effects: Effects) -> None:
        self._moments, self._effects = moments, effects

    def carry(self, number: int) -> Carried:
        move, moments = self._moments.script.moves[number], self._moments
        layer = self._effects.wire_us(number)
        unit = layer * max(1, moments.script.costs.spec.layers - 1) if move.streams else layer
        found = self._effects.outages.attempt(move.way, moments.now, lambda _: unit)
        if found is None:
            return None
        if not move.streams:
            yield from moments.until(found[1])
            return found
        return (yield from self._stream(number, found[0], layer))

    def _stream(self, number: int, begun: int, layer: int) -> Carried:
        """The last layer leaves when it is made and the one before is there."""
        move, moments = self._moments.script.moves[number], self._moments
        yield from moments.until(begun + layer)
        moments.first[number].succeed()
        last = begun + (moments.script.costs.spec.layers - 1) * layer
        yield from moments.until(last)
        assert move.maker is not None, "what nobody makes never leaves"
        yield from moments.all([moments.done[moments.script.action(move.maker).gang]])
        last = max(last, moments.over_us(move.maker))
        found = self._effects.outages.attempt(move.way, last, lambda _: layer)
        if found is None:
            return None
        yield from moments.until(found[1])
        return begun, found[1]


def transfer(number: int, moments: Moments, turns: Turns, carrier: Carrier) -> Process:
    """A move from the first of its two posts on."""
    move = moments.script.moves[number]
    yield from moments.all([moments.posted[move.sent], moments.posted[move.received]])
    if move.streams:
        if move.maker is None:
            return
        yield from moments.all([moments.layer[moments.script.action(move.maker).gang]])
    yield from turns.wait(number)
    span = yield from carrier.carry(number)
    if span is not None:
        moments.spans[move.sent] = moments.spans[move.received] = span
        moments.there[number].succeed()
    turns.over(number)
