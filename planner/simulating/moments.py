"""What has happened in a run so far: an event for each moment that others wait for, and the rows of what is over."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import simpy

from planner.action import Action
from planner.calibrating.script import Place, Script

Process = Generator[simpy.Event, Any, None]


class Moments:
    """The clock and its events. A moment that never comes is an event that never happens."""

    def __init__(self, script: Script) -> None:
        self.env = env = simpy.Environment()
        self.script = script
        self.posted: dict[Place, simpy.Event] = {}
        self.ready: dict[Place, simpy.Event] = {}
        self.layer: dict[Action, simpy.Event] = {}
        self.done: dict[Action, simpy.Event] = {}
        for gang, places in script.gangs.items():
            self.layer[gang], self.done[gang] = env.event(), env.event()
            self.ready |= {place: env.event() for place in places}
        for move in script.moves:
            self.posted[move.sent], self.posted[move.received] = env.event(), env.event()
        self.first = [env.event() for _ in script.moves]
        self.there = [env.event() for _ in script.moves]
        self.spans: dict[Place, tuple[int, int]] = {}

    @property
    def now(self) -> int:
        return int(self.env.now)

    def all(self, events: Iterable[simpy.Event]) -> Process:
        """Waits for all of them."""
        if pending := [event for event in events if not event.processed]:
            yield pending[0] if len(pending) == 1 else self.env.all_of(pending)

    def until(self, at_us: int | None) -> Process:
        """Waits for a time, which may be past; for ever if it is None."""
        if at_us is None:
            yield self.env.event()
        elif at_us > self.now:
            yield self.env.timeout(at_us - self.now)

    def over_us(self, place: Place) -> int:
        return self.spans[place][1]
