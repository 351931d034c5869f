"""A trace in the terms of a replay: what each action and each move took, and when each began.

In a simulated trace a transfer's row is the transfer. In a measured one it begins when it was posted and ends when
its rank noticed that it was over, which is the arrival only if the rank did nothing but wait for it. Of an arrival
noticed later only the latest possible time is known; it is taken to have come as planned if that is earlier.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from planner.action import Action, TimedAction
from planner.calibrating.replay import Assumed, Marks, lane_order
from planner.calibrating.script import Place, Script
from planner.errors import MismatchError
from planner.rows import Rows
from planner.trace import Trace

# A rank that did nothing for so long, or for half of a transfer, before it noticed its end was waiting for it. Looking
# at one that is long over takes less.
WAITED_US, LOOKED_US = 300, 50


class Run(NamedTuple):
    """One run. `lasted` and `wires` as a replay assumes them, without the time that shares of a gang wait for others.

    `held`: live readers that ended with what they read beside; how long they take themselves is not known. `exact`:
    the moves whose arrival was seen. `at_most`: how long each move, or a layer of it, can have taken. `posts`: what
    posting took the host, where the next row tells.
    """

    rows: Rows
    lasted: dict[Place, int]
    held: frozenset[Place]
    wires: tuple[int, ...]
    exact: tuple[bool, ...]
    at_most: tuple[int, ...]
    after: tuple[tuple[int, ...], ...]
    facts: Marks
    posts: dict[Place, int]


def observe(script: Script, trace: Trace, planned: Assumed) -> Run:
    """What a trace of the script's plan says. Raises MismatchError if it lacks an action or has one too many."""
    rows = in_order(script, trace)
    starts = {gang: max(rows[rank][index].start_us for rank, index in places) for gang, places in script.gangs.items()}
    ends = {place: rows[place[0]][place[1]].end_us for places in script.gangs.values() for place in places}
    lasted = {place: max(0, ends[place] - starts[gang]) for gang, places in script.gangs.items() for place in places}
    measured = trace.kind == "measured"
    posted = [max(_row(rows, move.sent).start_us, _row(rows, move.received).start_us) for move in script.moves]
    after = lane_order(script, None if measured else posted)
    noticed = [_row(rows, move.received).end_us for move in script.moves]
    marks = [sorted({at for row in rank for at in row[1:]}) for rank in rows]
    exact = tuple(
        not measured or _was_awaited(marks[move.way[1]], noticed[n], posted[n]) for n, move in enumerate(script.moves)
    )
    arrived = _arrivals(script, posted, noticed, exact, planned) if measured else noticed
    begun = [max([at, *(arrived[before] for before in after[n])]) for n, at in enumerate(posted)]
    held = _held(script, ends, lasted, arrived)
    wires, at_most = (
        tuple(_wire_us(script, n, begun[n], over[n], ends) for n in range(len(posted))) for over in (arrived, noticed)
    )
    facts = Marks(dict(enumerate(begun)), starts, ends)
    return Run(rows, lasted, held, wires, exact, at_most, after, facts, _posts(rows) if measured else {})


def in_order(script: Script, trace: Trace) -> Rows:
    """The trace's rows in the order of the programs. Raises MismatchError naming what is missing or too many."""
    if len(trace.ranks) != len(script.programs):
        raise MismatchError(f"trace: has {len(trace.ranks)} rank(s), the plan {len(script.programs)}; run it again")
    for rank, (program, rows) in enumerate(zip(script.programs, trace.ranks, strict=True)):
        asked, found = Counter(program), Counter(row.action for row in rows)
        if missing := list((asked - found).elements()):
            raise MismatchError(
                f"trace: rank {rank} lacks '{missing[0]}' and {len(missing) - 1} more: not a whole run; run it again"
            )
        if extra := list((found - asked).elements()):
            raise MismatchError(f"trace: rank {rank} has '{extra[0]}', which the plan has not; run it again")
    return tuple(_sorted_as(program, rows) for program, rows in zip(script.programs, trace.ranks, strict=True))


def _sorted_as(program: Sequence[Action], rows: Sequence[TimedAction]) -> tuple[TimedAction, ...]:
    found: dict[Action, deque[TimedAction]] = defaultdict(deque)
    for row in rows:
        found[row.action].append(row)
    return tuple(found[action].popleft() for action in program)


def _row(rows: Rows, place: Place) -> TimedAction:
    return rows[place[0]][place[1]]


def _was_awaited(marks: Sequence[int], noticed: int, posted: int) -> bool:
    """Whether the receiver, of which anything is known at `marks`, did nothing else for long before it noticed."""
    place = bisect_left(marks, noticed)
    waited = noticed - marks[place - 1] if place else 0
    # Clocks that differ may have it noticed before it was sent, which says nothing.
    return noticed >= posted and (waited > WAITED_US or waited > max(LOOKED_US, (noticed - posted) // 2))


def _arrivals(
    script: Script, posted: Sequence[int], noticed: Sequence[int], exact: Sequence[bool], planned: Assumed
) -> list[int]:
    """When each move was over: when that was seen, or else as planned, but no later than it was noticed."""
    arrived = list(noticed)
    next_on: dict[object, int] = {}
    for number in sorted(range(len(noticed)), key=lambda n: (script.moves[n].way, -script.moves[n].sent[1])):
        move = script.moves[number]
        # On one way nothing overtakes.
        arrived[number] = min(arrived[number], next_on.get(move.way, arrived[number]))
        if not exact[number]:
            alone = planned.wires[number] * (script.costs.spec.layers if move.streams else 1)
            arrived[number] = min(arrived[number], posted[number] + alone)
        next_on[move.way] = arrived[number]
    return arrived


def _held(
    script: Script, ends: Mapping[Place, int], lasted: Mapping[Place, int], arrived: Sequence[int]
) -> frozenset[Place]:
    """The shares of all gangs of which one ended with what it read live."""
    found = (
        places
        for places in script.gangs.values()
        for place in places
        for number, first in script.inputs[place]
        if first and ends[place] <= arrived[number] + script.layer_us(lasted[place])
    )
    return frozenset(place for places in found for place in places)


def _wire_us(script: Script, number: int, begun: int, arrived: int, ends: Mapping[Place, int]) -> int:
    """How long a move was under way, or a layer of it: a stream that keeps up ends a layer after what makes it."""
    move = script.moves[number]
    if not move.streams:
        return max(0, arrived - begun)
    layer = (arrived - begun) // script.costs.spec.layers
    tail = layer if move.maker is None else arrived - ends[move.maker]
    return max(0, min(layer, tail))


def _posts(rows: Rows) -> dict[Place, int]:
    """What each post took its host: until the rank's next row, if it noticed no end of a move in between."""
    found = {}
    for rank, program in enumerate(rows):
        noticed = sorted(row.end_us for row in program if row.action.peer is not None)
        for index, (row, following) in enumerate(pairwise(program)):
            begins, ends = row.start_us, following.start_us
            alone = bisect_right(noticed, ends) == bisect_right(noticed, begins)
            if row.action.peer is not None and begins <= ends and alone:
                found[rank, index] = ends - begins
    return found
