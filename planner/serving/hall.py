"""Plays sessions on groups of devices in SimPy, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import simpy

from models.spec import ModelSpec
from planner.conditions import Conditions
from planner.draws import Draws
from planner.serving.demand import Session
from planner.serving.outcome import Tally, Visited
from planner.serving.policy import Policy
from planner.serving.station import Station
from planner.serving.viewing import Viewing

Process = Generator[simpy.Event, Any, None]


def play(
    stations: Sequence[Station],
    places: Sequence[int],
    policy: Policy,
    sessions: Sequence[Session],
    spec: ModelSpec,
    conditions: Conditions,
    *,
    recache: bool = False,
) -> Tally:
    """What becomes of the sessions on groups with so many places each; the same seed gives the same."""
    return _Hall(stations, places, policy, spec, conditions, recache=recache).play(sessions)


class _Group:
    """One group: its members, and the process that gives each block its slot."""

    def __init__(self, hall: _Hall, number: int, station: Station, places: int) -> None:
        self.hall, self.number, self.station, self.places = hall, number, station, places
        self.members: list[Viewing] = []
        self.slots_us = self.placed_us = 0
        self._compile_us = hall.drawn_us(hall.conditions.start_up.compile_us, f"compile {number}")
        self._factor = float(hall.draws.of(hall.conditions.jitter.ranks, f"group {number}")[0]) * hall.run_factor
        self.wake = hall.env.event()
        hall.env.process(self._run())

    def load_with(self, fps: float) -> float:
        """Share of its time that it needs to give all members, and one more, their frames."""
        wanted = sum(member.session.fps for member in self.members) + fps
        return wanted * self.station.period_us / (self.hall.spec.pixel_frames(1) * 1e6)

    def join(self, viewing: Viewing) -> None:
        self.members.append(viewing)
        if not self.wake.triggered:
            self.wake.succeed()

    def _run(self) -> Process:
        env, start_up = self.hall.env, self.hall.conditions.start_up
        yield env.timeout(self.hall.drawn_us(start_up.ready_us, f"ready {self.number}"))
        while True:
            ready, later = self._due(int(env.now))
            if ready is not None:
                slot = self._begin(ready, int(env.now))
                if ready.done:
                    env.process(self._leave(ready))
                yield env.timeout(slot)
                continue
            self.wake = wake = env.event()
            if later is not None:
                self._ring(wake, later - int(env.now))
            yield wake

    def _due(self, now: int) -> tuple[Viewing | None, int | None]:
        """Whose block is next, or else when one may begin at the earliest."""
        after = self._in_turn() * self.station.tail_us
        chosen: tuple[int, int, Viewing] | None = None
        later: int | None = None
        for member in self.members:
            if member.done:
                continue
            begin = member.may_end_us() - self.station.slot_us(member.next) - after
            if begin > now:
                later = begin if later is None else min(later, begin)
                continue
            by_deadline = self.hall.policy.turn == "deadline"
            key = (member.needed_us if by_deadline else member.last_slot_us, member.session.number, member)
            if chosen is None or key[:2] < chosen[:2]:
                chosen = key
        return (None if chosen is None else chosen[2]), later

    def _in_turn(self) -> int:
        """How many sessions take turns at a tick, where ticks are what is shared; else a block waits for no other."""
        return len(self.members) if self.station.joint else 1

    def _begin(self, viewing: Viewing, now: int) -> int:
        """Gives a session's next block its slot, and returns how long that is."""
        station = self.station
        slot = round(station.slot_us(viewing.next) * viewing.factors[viewing.next] * self._factor)
        slot += self._compile_us
        self._compile_us = 0
        turns = self._in_turn()
        read_us = now - turns * station.lead_us
        if self.hall.recache and viewing.switched_by(read_us):
            slot += station.recache_us
        # One that was begun when there were more in turn may be finished later than this would be.
        finished = max(viewing.finished_us, now + slot + turns * station.tail_us)
        viewing.show_switches(read_us, finished)
        viewing.last_slot_us = now
        viewing.finish(finished)
        self.slots_us += slot
        return slot

    def _ring(self, wake: simpy.Event, wait_us: int) -> None:
        def ring(_: simpy.Event) -> None:
            if not wake.triggered:
                wake.succeed()

        timeout = self.hall.env.timeout(wait_us)
        assert timeout.callbacks is not None
        timeout.callbacks.append(ring)

    def _leave(self, viewing: Viewing) -> Process:
        """The place is free once the last block is finished."""
        yield self.hall.env.timeout(viewing.finished_us - int(self.hall.env.now))
        self.members.remove(viewing)
        self.placed_us += int(self.hall.env.now) - viewing.placed_us
        self.hall.left(viewing, self.number)


class _Hall:
    """All groups, and those that wait for a place."""

    def __init__(
        self,
        stations: Sequence[Station],
        places: Sequence[int],
        policy: Policy,
        spec: ModelSpec,
        conditions: Conditions,
        *,
        recache: bool,
    ) -> None:
        self.env, self.policy, self.spec, self.conditions = simpy.Environment(), policy, spec, conditions
        self.recache = recache
        self.draws = Draws(conditions.jitter, conditions.seed)
        self.run_factor = float(self.draws.of(conditions.jitter.runs, "run")[0])
        self.groups = [
            _Group(self, number, station, count)
            for number, (station, count) in enumerate(zip(stations, places, strict=True))
        ]
        self._waiting: deque[tuple[Session, simpy.Event]] = deque()
        self._visited: list[Visited] = []
        self._most = self._placed = 0
        self._end_us = 0

    def drawn_us(self, us: int, name: str) -> int:
        return round(us * float(self.draws.of(self.conditions.start_up.spread, name)[0]))

    def play(self, sessions: Sequence[Session]) -> Tally:
        self.env.process(self._arrivals(sessions))
        self.env.run()
        self._visited.sort(key=lambda row: (row.arrival_us, row.number))
        return Tally(
            visited=tuple(self._visited),
            slots_us=tuple(group.slots_us for group in self.groups),
            placed_us=tuple(group.placed_us for group in self.groups),
            most=self._most,
            end_us=self._end_us,
        )

    def left(self, viewing: Viewing, group: int) -> None:
        """A session has gone: the next in line may come in."""
        self._visited.append(viewing.visited(group))
        self._placed -= 1
        self._end_us = max(self._end_us, int(self.env.now))
        while self._waiting and self._enter(self._waiting[0][0]):
            self._waiting.popleft()[1].succeed()

    def _arrivals(self, sessions: Sequence[Session]) -> Process:
        for session in sessions:
            if session.arrival_us > self.env.now:
                yield self.env.timeout(session.arrival_us - int(self.env.now))
            if not self._waiting and self._enter(session):
                continue
            if self.policy.admission == "queue" and any(group.places for group in self.groups):
                self.env.process(self._wait(session))
            else:
                self._turn_away(session)

    def _wait(self, session: Session) -> Process:
        place = self.env.event()
        mine = (session, place)
        self._waiting.append(mine)
        longest = self.policy.longest_wait_s
        if longest is None:
            yield place
            return
        yield place | self.env.timeout(round(longest * 1e6))
        if not place.triggered:
            self._waiting.remove(mine)
            self._turn_away(session)

    def _turn_away(self, session: Session) -> None:
        waited = int(self.env.now) - session.arrival_us
        self._visited.append(Visited(number=session.number, arrival_us=session.arrival_us, waited_us=waited))

    def _enter(self, session: Session) -> bool:
        """Gives a session its place, if there is one."""
        open_ = [(group, group.load_with(session.fps)) for group in self.groups if len(group.members) < group.places]
        if not open_:
            return False
        group, load = min(open_, key=lambda item: _standing(*item))
        if self.policy.admission == "rate" and load > 1:
            return False
        draws = Draws(self.conditions.jitter, self.conditions.seed, runs=session.blocks)
        factors = draws.of(self.conditions.jitter.passes, f"session {session.number}").tolist()
        viewing = Viewing(session, self.spec, self.conditions.player, factors)
        viewing.placed_us = int(self.env.now)
        self._placed += 1
        self._most = max(self._most, self._placed)
        group.join(viewing)
        return True


def _standing(group: _Group, load: float) -> tuple[bool, float, float, int]:
    """Smaller is better: the smallest group that can give all their frames, or the one that comes nearest."""
    late = load > 1
    return late, 0 if late else group.station.devices, load, group.number
