"""A plan's programs, to be spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from planner.action import LEAVING, Action, Kind, Payload, TimedAction
from planner.flow import Flow
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem

T = TypeVar("T")
Place = tuple[int, int, TimedAction]  # rank, index, row
OTHER_END = {Kind.SEND: Kind.RECV, Kind.RECV: Kind.SEND, Kind.STREAM: Kind.TAP, Kind.TAP: Kind.STREAM}


class NoPlace(Exception):  # noqa: N818 - no error: there are other plans
    """The plan has nothing that could be spoilt so."""


class Draft:
    """A plan to be spoilt: its `programs`, and `changes` of its other fields."""

    def __init__(self, problem: Problem, plan: Plan, seed: object) -> None:
        self.problem, self.plan = problem, plan
        self.programs = [list(rows) for rows in plan.ranks]
        self.changes: dict[str, object] = {}
        self.flow = Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)
        self._chance = Random(str(seed))

    @property
    def spoilt(self) -> Plan:
        """The plan as it is now."""
        return self.plan.model_copy(update={"ranks": tuple(map(tuple, self.programs)), **self.changes})

    def one_of(self, places: Sequence[T]) -> T:
        if not places:
            raise NoPlace
        return self._chance.choice(places)

    def require(self, offered: bool) -> None:
        if not offered:
            raise NoPlace

    # -- places ----------------------------------------------------------------------------------

    def places(self, *kinds: Kind) -> list[Place]:
        """All rows of these kinds, or all."""
        return [
            (rank, index, row)
            for rank, rows in enumerate(self.programs)
            for index, row in enumerate(rows)
            if not kinds or row.action.kind in kinds
        ]

    def place(self, *kinds: Kind, such: Callable[[Place], bool] = lambda _: True) -> Place:
        """One of them."""
        return self.one_of([place for place in self.places(*kinds) if such(place)])

    def is_gang(self, place: Place) -> bool:
        """Whether other ranks share the action."""
        return len(self.shares(place)) > 1

    def shares(self, place: Place) -> list[Place]:
        """The action's rows on all ranks that share it."""
        gang = place[2].action.gang
        return [other for other in self.places(gang.kind) if other[2].action.gang == gang]

    def other_end(self, rank: int, action: Action) -> tuple[int, int]:
        """(rank, index) of the other end of a transfer."""
        assert action.peer is not None
        there = [row.action for row in self.programs[action.peer]]
        return action.peer, there.index(action._replace(kind=OTHER_END[action.kind], peer=rank))

    def unit(self, rank: int) -> int:
        """The unit that a rank belongs to."""
        return next(u for u, ranks in enumerate(self.flow.layout.units) if rank in ranks)

    def uses(self, action: Action) -> list[Payload]:
        """What an action reads or sends."""
        if action.is_compute:
            return list(self.flow.needs(action))
        return [action.payload] if action.kind in LEAVING else []

    def sends_on_a_way(self) -> tuple[int, int, int]:
        """(rank, index, later index) of two sends to the same rank."""
        sends = self.places(Kind.SEND)
        pairs = [
            (rank, i, j)
            for rank, i, early in sends
            for other, j, late in sends
            if rank == other and i < j and early.action.peer == late.action.peer
        ]
        return self.one_of(pairs)

    # -- changes ---------------------------------------------------------------------------------

    def move(self, rank: int, index: int, start_us: int) -> None:
        """Another time for a row, as long as before."""
        action, start, end = self.programs[rank][index]
        self.programs[rank][index] = TimedAction(action, start_us, start_us + end - start)

    def move_transfer(self, rank: int, index: int, start_us: int) -> None:
        """Another time for both ends."""
        self.move(*self.other_end(rank, self.programs[rank][index].action), start_us)
        self.move(rank, index, start_us)

    def put(self, rank: int, index: int, **fields: object) -> Action:
        """Other fields for a row's action; returns what it is then."""
        row = self.programs[rank][index]
        action = row.action._replace(**fields)  # type: ignore[arg-type]
        self.programs[rank][index] = row._replace(action=action)
        return action
