"""A plan's fixed order played with any durations: when everything happens if that is how long it takes.

As in `planner.timing`, a rank takes its actions in order and posts transfers without waiting; but who comes first on a
shared lane is given, not decided, and each start may be told to come later (or earlier) than the replay finds it
ready. So a measured run can be followed exactly, and any part of it exchanged for what was planned.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar

from planner.action import TRANSFERS, Action, Kind, TimedAction
from planner.calibrating.script import Place, Script
from planner.errors import InfeasibleError
from planner.rows import Rows

# Moments that others wait for: a post, a rank at an action, its inputs there, its first layer made, its end; the first
# layer and all of a move arrived.
Moment = tuple[Literal["posted", "ready", "layer", "done", "first", "end"], Place | int]
Process = Generator[Moment, int, None]
K = TypeVar("K")


class Marks(NamedTuple):
    """A time for when each move begins, each gang starts and each share of a gang ends: a moment, or a delay."""

    moves: dict[int, int]
    gangs: dict[Action, int]
    ends: dict[Place, int]


NO_DELAYS = Marks({}, {}, {})


class Assumed(NamedTuple):
    """What a replay takes for granted.

    `lasts`: of each compute action. `wires`: of each move, or of one layer where it streams. `after`: the moves whose
    end each one awaits, as they share a lane. `posts`: what posting takes the host, where that is not as planned.
    `delays`: how much later than ready something happens.
    """

    lasts: Mapping[Place, int]
    wires: Sequence[int]
    after: Sequence[tuple[int, ...]]
    posts: Mapping[Place, int] = MappingProxyType({})
    delays: Marks = NO_DELAYS


class Played(NamedTuple):
    """When everything happens: all rows, and of each compute action when its rank came to it and when all was ready.

    `delays` are those a replay that follows facts had to take.
    """

    rows: Rows
    came: Mapping[Place, int]
    ready: Mapping[Place, int]
    delays: Marks


def play(script: Script, assumed: Assumed, follow: Marks | None = None) -> Played:
    """The script's times. Raises InfeasibleError naming each rank's action if it never finishes."""
    return _Replay(script, assumed, follow).played()


def lane_order(script: Script, begun: Sequence[int] | None = None) -> tuple[tuple[int, ...], ...]:
    """What each move comes right after on its lanes, in the order in which they began.

    Where that is not known, as several ranks' clocks do not tell, only those of one way are in order: as they are sent.
    """
    last: dict[object, int] = {}
    after: list[tuple[int, ...]] = [()] * len(script.moves)
    at = [0] * len(script.moves) if begun is None else begun
    for number in sorted(range(len(at)), key=lambda n: (at[n], script.moves[n].sent[1], script.moves[n].way)):
        lanes: Sequence[object] = (script.moves[number].way,) if begun is None else script.lanes(number)
        after[number] = tuple(sorted({last[lane] for lane in lanes if lane in last}))
        last.update((lane, number) for lane in lanes)
    return tuple(after)


class _Replay:
    """Ranks, gangs and moves as processes, each of which stops at a moment that is not known yet."""

    def __init__(self, script: Script, assumed: Assumed, follow: Marks | None) -> None:
        self._script, self._assumed = script, assumed
        self._facts = follow
        self._delays = assumed.delays if follow is None else Marks({}, {}, {})
        self._at: dict[Moment, int] = {}
        self._waiting: dict[Moment, list[Process]] = defaultdict(list)
        self._todo: deque[tuple[Process, int | None]] = deque()
        self._spans: dict[Place, tuple[int, int]] = {}
        self._came: dict[Place, int] = {}

    def played(self) -> Played:
        script = self._script
        processes = [self._rank(rank) for rank in range(len(script.programs))]
        processes += [self._gang(gang, places) for gang, places in script.gangs.items()]
        processes += [self._move(number) for number in range(len(script.moves))]
        self._todo.extend((process, None) for process in processes)
        while self._todo:
            self._advance(*self._todo.popleft())
        return Played(self._rows(), self._came, {p: self._at["ready", p] for p in self._came}, self._delays)

    def _advance(self, process: Process, value: int | None) -> None:
        """Runs a process until it ends or waits for what is not known yet."""
        try:
            moment = next(process) if value is None else process.send(value)
            while moment in self._at:
                moment = process.send(self._at[moment])
        except StopIteration:
            return
        self._waiting[moment].append(process)

    def _tell(self, moment: Moment, at_us: int) -> None:
        self._at[moment] = at_us
        self._todo.extend((process, at_us) for process in self._waiting.pop(moment, ()))

    def _rows(self) -> Rows:
        stuck = []
        for rank, program in enumerate(self._script.programs):
            at = next((index for index in range(len(program)) if (rank, index) not in self._spans), None)
            stuck += [] if at is None else [f"r{rank} at {program[at]}"]
        if stuck:
            raise InfeasibleError(f"the plan never finishes: {', '.join(stuck)}")
        return tuple(
            tuple(TimedAction(action, *self._spans[rank, index]) for index, action in enumerate(program))
            for rank, program in enumerate(self._script.programs)
        )

    # -- processes -------------------------------------------------------------------------------

    def _rank(self, rank: int) -> Process:
        script, now = self._script, 0
        for index, action in enumerate(script.programs[rank]):
            place = rank, index
            if action.kind in TRANSFERS:
                self._tell(("posted", place), now)
                now += self._assumed.posts.get(place, script.costs.post_us)
            elif action.kind is Kind.FREE:
                for number in script.clears[place]:
                    now = max(now, (yield "end", number))
                self._spans[place] = now, now
            else:
                self._came[place] = now
                ready = max(now, script.flow.release_us(action))
                for number, first in script.inputs[place]:
                    ready = max(ready, (yield "first" if first else "end", number))
                self._tell(("ready", place), ready)
                now = yield "done", place

    def _gang(self, gang: Action, places: Sequence[Place]) -> Process:
        """Shares start together once all are ready; each lasts its own time, and a layer beyond what it reads live."""
        ready = 0
        for place in places:
            ready = max(ready, (yield "ready", place))
        start = self._settled(self._delays.gangs, self._facts and self._facts.gangs, gang, ready)
        layer = self._script.layer_us(max(self._assumed.lasts[place] for place in places))
        for place in places:
            self._tell(("layer", place), start + layer)
        held = 0
        for place in places:
            for number, first in self._script.inputs[place]:
                if first:
                    held = max(held, (yield "end", number) + layer)
        for place in places:
            end = max(start + self._assumed.lasts[place], held)
            end = self._settled(self._delays.ends, self._facts and self._facts.ends, place, end)
            self._spans[place] = start, end
            self._tell(("done", place), end)

    def _move(self, number: int) -> Process:
        move, wire = self._script.moves[number], self._assumed.wires[number]
        ready = max((yield "posted", move.sent), (yield "posted", move.received))
        if move.streams and move.maker is not None:
            ready = max(ready, (yield "layer", move.maker))
        for before in self._assumed.after[number]:
            ready = max(ready, (yield "end", before))
        begun = self._settled(self._delays.moves, self._facts and self._facts.moves, number, ready)
        end = begun + wire
        if move.streams:
            self._tell(("first", number), end)
            made = 0 if move.maker is None else (yield "done", move.maker)
            end = max(made, begun + (self._script.costs.spec.layers - 1) * wire) + wire
        self._spans[move.sent] = self._spans[move.received] = begun, end
        self._tell(("end", number), end)

    def _settled(self, delays: dict[K, int], facts: dict[K, int] | None, key: K, ready: int) -> int:
        """When it happens: in fact, where facts are followed, or as much later than ready as it is delayed."""
        if facts is not None:
            delays[key] = facts[key] - ready
        return ready + delays.get(key, 0)
