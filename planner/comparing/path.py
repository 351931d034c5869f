"""What a run's time is made of along one longest path: from its last end back to its begin, by what was waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from planner.action import TRANSFERS
from planner.calibrating.script import Place
from planner.replaying.followed import Followed

TRANSFER, WAITING = "transfers", "waiting"


class _At(NamedTuple):
    """A stop on the way back: an action's place or a move's number, and the moment of it that others waited for."""

    at_us: int
    what: Literal["action", "move"]
    place: Place
    number: int = -1


class _Stop(NamedTuple):
    """What the time up to a moment went into, since when, and when what that waited for was over."""

    at: _At
    name: str
    since_us: int
    before_us: int


def longest_path(run: Followed) -> Mapping[str, int]:
    """Microseconds by kind of action, `transfers`, and `waiting`: posting, prompts not there yet, and what nothing in
    the plan explains. They sum to the makespan of the run's rows.
    """
    spent: Counter[str] = Counter()
    for stop in _Back(run).walk():
        spent[stop.name] += stop.at.at_us - stop.since_us
        spent[WAITING] += stop.since_us - stop.before_us
    return {name: us for name, us in sorted(spent.items()) if us}


def path_places(run: Followed) -> tuple[Place, ...]:
    """The same path: its compute actions and transfers, first to last, each once; a transfer stands at its sender."""
    stops = (stop.at.place for stop in _Back(run).walk() if stop.name != WAITING)
    return tuple(dict.fromkeys(reversed(list(stops))))


class _Back:
    def __init__(self, run: Followed) -> None:
        self._script, self._assumed, self._rows = run.script, run.assumed, run.rows
        self._moves = {
            end: number for number, move in enumerate(run.script.moves) for end in (move.sent, move.received)
        }
        self._before: dict[Place, Place | None] = {}
        for rank, program in enumerate(run.script.programs):
            last: Place | None = None
            for index, action in enumerate(program):
                self._before[rank, index] = last
                last = last if action.kind in TRANSFERS else (rank, index)

    def walk(self) -> Iterator[_Stop]:
        """From the last end back to the begin."""
        at: _At | None = self._last()
        while at is not None:
            name, since, before = self._step(at)
            following = max((stop for stop in before if stop.at_us <= since), default=None)
            yield _Stop(at, name, since, following.at_us if following else 0)
            at = following

    def _last(self) -> _At | None:
        ends = (
            (row.end_us, (rank, index)) for rank, program in enumerate(self._rows) for index, row in enumerate(program)
        )
        return max((self._end_of(place) for _, place in ends), default=None)

    def _end_of(self, place: Place) -> _At:
        if place in self._moves:
            return self._arrival(self._moves[place])
        return _At(self._rows[place[0]][place[1]].end_us, "action", place)

    def _arrival(self, number: int) -> _At:
        sent = self._script.moves[number].sent
        return _At(self._rows[sent[0]][sent[1]].end_us, "move", sent, number)

    def _step(self, at: _At) -> tuple[str, int, list[_At]]:
        """What the time up to a stop went into, since when, and what could have been waited for then."""
        return self._of_move(at) if at.what == "move" else self._of_action(at)

    # -- actions ---------------------------------------------------------------------------------

    def _of_action(self, at: _At) -> tuple[str, int, list[_At]]:
        script, place = self._script, at.place
        action, row = script.action(place), self._rows[place[0]][place[1]]
        if not action.is_compute:
            stops = [*self._programs(place), *map(self._arrival, script.clears[place])]
            return WAITING, at.at_us, stops
        name, gang = str(action.kind), script.gangs[action.gang]
        own = row.start_us + max(self._assumed.lasts[share] for share in gang)
        if at.at_us == row.end_us > own and (live := list(self._live(gang))):
            latest = max(live)
            return name, min(at.at_us, latest.at_us), [latest]
        stops = [stop for share in gang for stop in (*self._programs(share), *self._inputs(share))]
        return name, row.start_us, stops

    def _programs(self, place: Place) -> Iterator[_At]:
        """Where the place's rank was before."""
        before = self._before[place]
        if before is not None:
            yield self._end_of(before)

    def _inputs(self, place: Place) -> Iterator[_At]:
        for number, first in self._script.inputs[place]:
            arrival = self._arrival(number)
            sent = arrival.place
            layer = self._rows[sent[0]][sent[1]].start_us + self._assumed.wires[number]
            yield arrival._replace(at_us=layer) if first else arrival

    def _live(self, gang: tuple[Place, ...]) -> Iterator[_At]:
        return (self._arrival(number) for share in gang for number, first in self._script.inputs[share] if first)

    # -- moves -----------------------------------------------------------------------------------

    def _of_move(self, at: _At) -> tuple[str, int, list[_At]]:
        script, move = self._script, self._script.moves[at.number]
        row, wire = self._rows[move.sent[0]][move.sent[1]], self._assumed.wires[at.number]
        stops = [*self._programs(move.sent), *self._programs(move.received)]
        stops += [self._arrival(number) for number in self._assumed.after[at.number]]
        if move.streams and move.maker is not None:
            made = self._end_of(move.maker)
            if at.at_us == row.end_us == made.at_us + wire:
                return TRANSFER, made.at_us, [made]
            makes = script.layer_us(max(self._assumed.lasts[p] for p in script.gangs[script.action(move.maker).gang]))
            stops.append(made._replace(at_us=self._rows[move.maker[0]][move.maker[1]].start_us + makes))
        return TRANSFER, row.start_us, stops
