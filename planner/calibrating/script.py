"""What a plan's programs tie together: which actions form a gang, which send meets which receive, who made what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from planner.action import LEAVING, TRANSFERS, Action, Kind, Payload
from planner.cost import Costs, costs
from planner.errors import InfeasibleError, InputError
from planner.flow import Flow
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.streams.unroll import unroll

Place = tuple[int, int]  # rank, index in its program
Way = tuple[int, int]  # from rank, to rank

MOST_ROWS = 300_000  # half a minute or so


class Move(NamedTuple):
    """One payload's way between two ranks: where it is sent, where it is received, and what made it, if its sender."""

    payload: Payload
    way: Way
    sent: Place
    received: Place
    streams: bool
    maker: Place | None


class Script(NamedTuple):
    """The programs of a plan, and what holds them together. Moves are named by their number.

    `inputs`: of each compute action the moves it waits for, and whether the first layer of each is enough. `clears`:
    of each free the moves that must be over.
    """

    costs: Costs
    programs: tuple[tuple[Action, ...], ...]
    gangs: Mapping[Action, tuple[Place, ...]]
    moves: tuple[Move, ...]
    inputs: Mapping[Place, tuple[tuple[int, bool], ...]]
    clears: Mapping[Place, tuple[int, ...]]

    @property
    def flow(self) -> Flow:
        return self.costs.flow

    def action(self, place: Place) -> Action:
        return self.programs[place[0]][place[1]]

    def key(self, place: Place) -> object:
        """What an action's duration depends on: equal keys are repetitions of one another."""
        action = self.action(place)
        if action.kind in (Kind.DECODE, Kind.ENCODE):
            action = action._replace(block=min(action.block, 1))
        if action.kind is Kind.TEXT:
            action = action._replace(block=0)
        return self.costs.passes.key(action, place[0])

    def layer_us(self, lasts_us: int) -> int:
        """How long one layer takes of a pass that lasts so long."""
        return -(-lasts_us // self.costs.spec.layers)

    def compute_us(self, place: Place) -> int:
        """How long a compute action's share lasts by the costs."""
        return self.costs.compute_us(self.action(place), place[0])

    def wire_us(self, move: int) -> int:
        """How long the move is on its way by the costs, or one layer of it where it streams."""
        costs, found = self.costs, self.moves[move]
        return (costs.stream_layer_us if found.streams else costs.transfer_us)(found.payload, *found.way)

    def firsts(self) -> frozenset[Place]:
        """The first action of each kind of work on each rank."""
        found: dict[tuple[int, object], Place] = {}
        for rank, program in enumerate(self.programs):
            for index, action in enumerate(program):
                if action.is_compute:
                    found.setdefault((rank, self.costs.passes.key(action, rank)), (rank, index))
        return frozenset(found.values())

    def lanes(self, move: int) -> tuple[int, ...]:
        """What the move has to itself while it is under way."""
        return self.costs.wire(*self.moves[move].way).lanes


def script(plan: Plan, problem: Problem) -> Script:
    """The programs of a plan of this problem, a stream's kernel as often as it repeats.

    Raises MismatchError for a plan of another problem, InputError if it is too long to be played, InfeasibleError
    if a send has no receive.
    """
    plan.require(problem)
    _require_short(plan)
    flow = Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)
    programs = tuple(tuple(row.action for row in rows) for rows in unroll(plan))
    gangs: dict[Action, list[Place]] = defaultdict(list)
    for rank, program in enumerate(programs):
        for index, action in enumerate(program):
            if action.is_compute:
                gangs[action.gang].append((rank, index))
    moves = _moves(programs, flow)
    return Script(
        costs(problem, flow),
        programs,
        {gang: tuple(places) for gang, places in gangs.items()},
        moves,
        _inputs(programs, moves, flow),
        _clears(programs, moves),
    )


def _require_short(plan: Plan) -> None:
    rows, repeat = sum(len(rows) for rows in plan.ranks), plan.repeat
    kernel = 0 if repeat is None else sum(end - begin for begin, end in repeat.places)
    if repeat is not None and kernel and rows + repeat.copies * kernel > MOST_ROWS >= rows:
        raise InputError(
            f"plan: {repeat.copies} copies of a kernel of {kernel} actions are too many to play; plan a clip of at "
            f"most {MOST_ROWS // kernel * repeat.kernel_blocks} blocks"
        )
    if rows > MOST_ROWS:
        raise InputError(f"plan: {rows} actions are too many to play; plan a clip of at most {MOST_ROWS} actions")


def _moves(programs: Sequence[Sequence[Action]], flow: Flow) -> tuple[Move, ...]:
    ends: tuple[dict[tuple[Way, Payload], Place], dict[tuple[Way, Payload], Place]] = ({}, {})
    makers: dict[tuple[int, Payload], Place] = {}
    for rank, program in enumerate(programs):
        for index, action in enumerate(program):
            if action.kind in TRANSFERS:
                assert action.peer is not None
                leaves = action.kind in LEAVING
                way = (rank, action.peer) if leaves else (action.peer, rank)
                ends[leaves][way, action.payload] = rank, index
            elif action.is_compute:
                makers.update(((rank, payload), (rank, index)) for payload in flow.makes(action))
    received, sent = ends
    if odd := sorted(
        str(programs[r][i]) for r, i in ({**sent, **received}[key] for key in sent.keys() ^ received.keys())
    ):
        raise InfeasibleError(f"the plan never finishes: {odd[0]!r} has no other end; check the plan")
    return tuple(
        Move(
            payload,
            way,
            place,
            received[way, payload],
            _kind(programs, place) is Kind.STREAM,
            makers.get((way[0], payload)),
        )
        for (way, payload), place in sorted(sent.items(), key=lambda item: item[1])
    )


def _kind(programs: Sequence[Sequence[Action]], place: Place) -> Kind:
    return programs[place[0]][place[1]].kind


def _inputs(
    programs: Sequence[Sequence[Action]], moves: Sequence[Move], flow: Flow
) -> dict[Place, tuple[tuple[int, bool], ...]]:
    coming = {(move.way[1], move.payload): number for number, move in enumerate(moves)}
    found = {}
    for rank, program in enumerate(programs):
        for index, action in enumerate(program):
            if not action.is_compute:
                continue
            beside = flow.beside(action)
            numbers = ((coming[rank, p], p) for p in flow.needs(action) if (rank, p) in coming)
            found[rank, index] = tuple((number, p in beside and moves[number].streams) for number, p in numbers)
    return found


def _clears(programs: Sequence[Sequence[Action]], moves: Sequence[Move]) -> dict[Place, tuple[int, ...]]:
    held: dict[tuple[int, Payload], list[int]] = defaultdict(list)
    for number, move in enumerate(moves):
        for rank in move.way:
            held[rank, move.payload].append(number)
    return {
        (rank, index): tuple(held.get((rank, action.payload), ()))
        for rank, program in enumerate(programs)
        for index, action in enumerate(program)
        if action.kind is Kind.FREE
    }
