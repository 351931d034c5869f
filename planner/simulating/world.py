"""One run of a plan in SimPy: a process per rank, gang, transfer and player, and a host per node for posts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import simpy

from planner.action import TRANSFERS, Action, Kind
from planner.calibrating.script import Place, Script
from planner.conditions import Conditions
from planner.measuring.playing import play_marks_us
from planner.simulating.effects import Effects
from planner.simulating.fair import Together
from planner.simulating.finishing import finishers
from planner.simulating.moments import Moments, Process
from planner.simulating.transfers import Alone, Carrier, transfer
from planner.simulating.turns import Anyone, Planned, Ready, Turns

Closing = Generator[simpy.Event, Any, int | None]


class World:
    """`begun`: when each of the script's moves begins in the plan."""

    def __init__(self, script: Script, begun: Sequence[int], conditions: Conditions, run: int) -> None:
        self._script, self._conditions = script, conditions
        self._moments = Moments(script)
        self._effects = Effects(script, conditions, run)
        self._turns, self._carrier = self._lanes(begun)
        self._finishers = finishers(script)
        self._gates: dict[Action, list[simpy.Event]] = {}
        self._node_of = script.costs.problem.cluster.node_of
        slots = conditions.host_slots or len(script.programs)
        self._hosts = {node: simpy.Resource(self._moments.env, slots) for node in set(self._node_of)}

    def play(self) -> dict[Place, tuple[int, int]]:
        """Runs until nothing more happens; start and end of all that was done."""
        env = self._moments.env
        if self._conditions.player.queue_blocks is not None:
            env.process(self._play(self._hold_back(self._conditions.player.queue_blocks)))
        for rank in range(len(self._script.programs)):
            env.process(self._rank(rank))
        for gang, places in self._script.gangs.items():
            env.process(self._gang(gang, places))
        for number in range(len(self._script.moves)):
            env.process(transfer(number, self._moments, self._turns, self._carrier))
        env.run()
        return self._moments.spans

    def _lanes(self, begun: Sequence[int]) -> tuple[Turns, Carrier]:
        if self._conditions.turns == "fair":
            return Anyone(), Together(self._moments, self._effects)
        alone = Alone(self._moments, self._effects)
        if self._conditions.turns == "ready":
            return Ready(self._moments, self._effects.outages), alone
        return Planned(self._moments, begun), alone

    # -- ranks -----------------------------------------------------------------------------------

    def _rank(self, rank: int) -> Process:
        """Takes its actions in order; computing and freeing make it wait, posting takes the host's time."""
        moments = self._moments
        yield from moments.until(self._effects.ready_us(rank))
        for index, action in enumerate(self._script.programs[rank]):
            place = rank, index
            if action.kind in TRANSFERS:
                yield from self._post(place)
            elif action.kind is Kind.FREE:
                yield from moments.all(moments.there[number] for number in self._script.clears[place])
                yield from self._awake(rank)
                moments.spans[place] = moments.now, moments.now
            else:
                yield from moments.until(self._script.flow.release_us(action))
                yield from moments.all(self._inputs(place))
                moments.ready[place].succeed()
                yield moments.done[action.gang]

    def _inputs(self, place: Place) -> list[simpy.Event]:
        """All that is received for an action, of a live stream only the first layer."""
        moments = self._moments
        return [(moments.first if first else moments.there)[number] for number, first in self._script.inputs[place]]

    def _post(self, place: Place) -> Process:
        """Takes one of the host's slots and its time; a rank that went out while it waited for the slot asks again."""
        moments, rank = self._moments, place[0]
        host = self._hosts[self._node_of[rank]]
        while not moments.posted[place].triggered:
            yield from self._awake(rank)
            with host.request() as slot:
                yield slot
                if self._effects.outages.awake_us((rank,), moments.now) == moments.now:
                    moments.posted[place].succeed()
                    yield from moments.until(moments.now + self._script.costs.post_us)

    def _awake(self, rank: int) -> Process:
        yield from self._moments.until(self._effects.outages.awake_us((rank,), self._moments.now))

    # -- gangs -----------------------------------------------------------------------------------

    def _gang(self, gang: Action, places: Sequence[Place]) -> Process:
        """Begins with its last share, lasts as long as its slowest, and a layer after all that it reads live."""
        moments = self._moments
        yield from moments.all([*(moments.ready[place] for place in places), *self._gates.get(gang, ())])
        found = self._effects.attempt(places, moments.now)
        if found is None:
            return
        (start, lasts), layer = found, self._script.layer_us(found[1])
        yield from moments.until(start + layer)
        moments.layer[gang].succeed()
        yield from moments.until(start + lasts)
        end = yield from self._closed(places, layer)
        if end is None:
            return
        yield from moments.until(end)
        moments.spans |= dict.fromkeys(places, (start, moments.now))
        moments.done[gang].succeed()

    def _closed(self, places: Sequence[Place], layer: int) -> Closing:
        """When a pass's last layer is over, which comes after all that it reads live; None if an outage forbids it."""
        moments, ends = self._moments, [self._moments.now]
        live = [number for place in places for number, first in self._script.inputs[place] if first]
        yield from moments.all(moments.there[number] for number in live)
        for number in live:
            there = moments.over_us(self._script.moves[number].received)
            found = self._effects.outages.attempt([rank for rank, _ in places], there, lambda _: layer)
            if found is None:
                return None
            ends.append(found[1])
        return max(ends)

    # -- the player ------------------------------------------------------------------------------

    def _hold_back(self, queue_blocks: int) -> list[simpy.Event]:
        """An event for the begin of playing each block, which makes room for what finishes a later one."""
        begins = [self._moments.env.event() for _ in self._finishers]
        for begun, gangs in zip(begins, self._finishers[queue_blocks:], strict=False):
            for gang in gangs:
                self._gates.setdefault(gang, []).append(begun)
        return begins

    def _play(self, begins: Sequence[simpy.Event]) -> Process:
        """Shows one block after the other, each once it is finished; the first once the start buffer is full."""
        moments, start_blocks = self._moments, self._conditions.player.start_blocks
        marks = play_marks_us(self._script.costs.spec, len(begins))
        finished = [[moments.done[gang] for gang in gangs] for gangs in self._finishers]
        yield from moments.all(event for events in finished[:start_blocks] for event in events)
        for block, (due, over) in enumerate(pairwise(marks)):
            yield from moments.all(finished[block])
            begins[block].succeed()
            yield moments.env.timeout(int(over - due))
