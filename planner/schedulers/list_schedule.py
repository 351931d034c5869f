"""List scheduling: what is ready goes to a rank, the longest way to the end first.

A payload that a rank lacks is sent once, as soon as its link is free; links serve in the order of the decisions.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import networkx as nx

from planner.action import Action, Kind, Payload, TimedAction
from planner.cost import Costs
from planner.placement import Placement

Rule = Literal["oldest block", "earliest start", "longest tail"]
RULES: tuple[Rule, ...] = ("oldest block", "earliest start", "longest tail")


class Transfer(NamedTuple):
    """One payload's way over one link, microseconds."""

    payload: Payload
    source: int
    target: int
    start_us: int
    end_us: int


class Schedule(NamedTuple):
    """Compute actions per rank in order of time, and the transfers between them."""

    ranks: list[list[TimedAction]]
    transfers: list[Transfer]

    @property
    def makespan_us(self) -> int:
        return max(rows[-1].end_us for rows in self.ranks if rows)


def bottom_levels(graph: nx.DiGraph[Action], costs: Costs, ranks: int) -> dict[Action, int]:
    """Longest way from each action's start to the end of the clip on the fastest ranks, transfers not counted."""
    levels: dict[Action, int] = {}
    for action in reversed(list(nx.topological_sort(graph))):
        after = max((levels[successor] for successor in graph.successors(action)), default=0)
        levels[action] = after + min(costs.compute_us(action, rank) for rank in range(ranks))
    return levels


def list_schedule(
    graph: nx.DiGraph[Action], costs: Costs, placement: Placement, ranks: int, rule: Rule = "earliest start"
) -> Schedule:
    """A schedule of every action of the graph.

    Of all that is ready, rule `earliest start` takes what can begin first, ties by the longest tail; `oldest block`
    does too, but breaks ties for the block that shows first; `longest tail` takes the most urgent, on the rank where
    it ends first.
    """
    levels = bottom_levels(graph, costs, ranks)
    waiting = {action: graph.in_degree(action) for action in graph}
    ready = {action for action, count in waiting.items() if count == 0}
    desk = _Desk(graph, costs, placement, ranks)
    while ready:
        if rule == "longest tail":
            considered = [min(ready, key=lambda action: (-levels[action], action.block, action.kind))]
        else:
            considered = list(ready)
        offers = [offer for action in considered for offer in desk.offers(action, levels[action], rule)]
        chosen = min(offers)
        action = chosen.action
        desk.take(action, chosen.rank)
        ready.discard(action)
        for successor in graph.successors(action):
            waiting[successor] -= 1
            if not waiting[successor]:
                ready.add(successor)
    return Schedule(desk.rows, desk.transfers)


class _Offer(NamedTuple):
    """Where an action could run; the smallest is taken."""

    key: tuple[int, int, int]
    block: int
    kind: Kind
    rank: int
    action: Action


def _key(rule: Rule, action: Action, start: int, end: int, tail: int) -> tuple[int, int, int]:
    if rule == "oldest block":
        return start, 2 * action.block + (action.kind is not Kind.DECODE), end
    return (start, -tail, end) if rule == "earliest start" else (-tail, end, start)


class _Desk:
    """What is placed so far."""

    def __init__(self, graph: nx.DiGraph[Action], costs: Costs, placement: Placement, ranks: int) -> None:
        self._inputs = {
            action: [(maker, data["payload"]) for maker, _, data in graph.in_edges(action, data=True)]
            for action in graph
        }
        self._costs = costs
        self._placement = placement
        self._ranks = ranks
        self._rank_of: dict[Action, int] = {}
        self._end_of: dict[Action, int] = {}
        self._rank_free = [0] * ranks
        self._link_free: dict[tuple[int, int], int] = {}
        self._arrived: dict[tuple[Payload, int], int] = {}
        self.rows: list[list[TimedAction]] = [[] for _ in range(ranks)]
        self.transfers: list[Transfer] = []

    def offers(self, action: Action, tail: int, rule: Rule) -> list[_Offer]:
        """Where the action could run, and how good that would be."""
        offers = []
        for rank in self._candidates(action):
            start = max(self._rank_free[rank], self._data_ready(action, rank, self._link_free.copy(), []))
            end = start + self._costs.compute_us(action, rank)
            offers.append(_Offer(_key(rule, action, start, end, tail), action.block, action.kind, rank, action))
        return offers

    def take(self, action: Action, rank: int) -> None:
        """Places the action, and the transfers it needs."""
        made: list[Transfer] = []
        start = max(self._rank_free[rank], self._data_ready(action, rank, self._link_free, made))
        end = start + self._costs.compute_us(action, rank)
        for transfer in made:
            self._arrived[transfer.payload, rank] = transfer.end_us
        self.transfers.extend(made)
        self.rows[rank].append(TimedAction(action, start, end))
        self._rank_free[rank] = end
        self._rank_of[action], self._end_of[action] = rank, end

    def _candidates(self, action: Action) -> range:
        # The decoder's state stays where the first block was decoded.
        if action.kind is Kind.DECODE and action.block:
            rank = self._rank_of[Action(Kind.DECODE, action.block - 1)]
            return range(rank, rank + 1)
        return self._placement.candidates(action, self._ranks, self._costs.spec.steps)

    def _data_ready(
        self, action: Action, rank: int, link_free: dict[tuple[int, int], int], made: list[Transfer]
    ) -> int:
        """When all inputs are on the rank; appends the transfers this takes and books them in `link_free`."""
        ready = 0
        for maker, payload in self._inputs[action]:
            source, at = self._rank_of[maker], self._end_of[maker]
            if payload is not None and source != rank:
                at = self._arrived.get((payload, rank)) or self._send(payload, source, rank, at, link_free, made)
            ready = max(ready, at)
        return ready

    def _send(
        self,
        payload: Payload,
        source: int,
        target: int,
        made_us: int,
        link_free: dict[tuple[int, int], int],
        made: list[Transfer],
    ) -> int:
        start = max(made_us, link_free.get((source, target), 0))
        end = start + self._costs.transfer_us(payload)
        link_free[source, target] = end
        made.append(Transfer(payload, source, target, start, end))
        return end
