"""When everything in a set of programs happens, if every duration is as the costs say.

A rank runs its compute actions in order, each as soon as its inputs are there. A send or receive is posted without
waiting when the rank reaches it; a transfer begins when both sides are posted and the link has served what was posted
before. A free waits until no send of its payload is under way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import networkx as nx

from planner.action import Action, Kind, Payload, TimedAction
from planner.cost import Costs
from planner.errors import InfeasibleError

Link = tuple[int, int]


def retime(
    programs: Sequence[Sequence[Action]], graph: nx.DiGraph[Action], costs: Costs
) -> tuple[tuple[TimedAction, ...], ...]:
    """The programs' rows with the earliest times their order allows.

    Raises InfeasibleError naming what each rank waits for if the programs can never finish.
    """
    run = _Run(programs, graph, costs)
    progress = True
    while progress:
        progress = False
        for rank in range(len(programs)):
            while run.advance(rank):
                progress = True
    stuck = [f"r{rank} at {programs[rank][at]}" for rank, at in enumerate(run.position) if at < len(programs[rank])]
    if stuck:
        raise InfeasibleError(f"the programs never finish: {', '.join(stuck)}")
    return run.rows()


class _Run:
    def __init__(self, programs: Sequence[Sequence[Action]], graph: nx.DiGraph[Action], costs: Costs) -> None:
        self._programs = programs
        self._graph = graph
        self._costs = costs
        self._expected = {
            (rank, action.payload)
            for rank, program in enumerate(programs)
            for action in program
            if action.kind is Kind.RECV
        }
        self.position = [0] * len(programs)
        self._now = [0] * len(programs)
        self._times: dict[tuple[int, int], tuple[int, int]] = {}
        self._posts: dict[tuple[Kind, Link], list[tuple[int, int, int]]] = defaultdict(list)
        self._served: dict[Link, int] = defaultdict(int)
        self._link_free: dict[Link, int] = defaultdict(int)
        self._arrived: dict[tuple[int, Payload], int] = {}
        self._sending: dict[tuple[int, Payload], list[int | None]] = defaultdict(list)

    def advance(self, rank: int) -> bool:
        """Takes the rank's next action if it is known when that happens."""
        index = self.position[rank]
        if index == len(self._programs[rank]):
            return False
        action = self._programs[rank][index]
        if action.kind in (Kind.SEND, Kind.RECV):
            self._post(rank, index, action)
        else:
            start = self._free_at(rank, action) if action.kind is Kind.FREE else self._inputs_at(rank, action)
            if start is None:
                return False
            start = max(start, self._now[rank])
            end = start + (self._costs.compute_us(action, rank) if action.is_compute else 0)
            self._times[rank, index] = start, end
            self._now[rank] = end
        self.position[rank] += 1
        return True

    def rows(self) -> tuple[tuple[TimedAction, ...], ...]:
        return tuple(
            tuple(TimedAction(action, *self._times[rank, index]) for index, action in enumerate(program))
            for rank, program in enumerate(self._programs)
        )

    def _inputs_at(self, rank: int, action: Action) -> int | None:
        """When the inputs from other ranks are all here; the rank's own lie before the action in its program."""
        at = [0]
        for _, _, data in self._graph.in_edges(action, data=True):
            payload = data["payload"]
            if payload is not None and (rank, payload) in self._expected:
                at.append(self._arrived.get((rank, payload), -1))
        return None if min(at) < 0 else max(at)

    def _free_at(self, rank: int, action: Action) -> int | None:
        ends = self._sending[rank, action.payload]
        known = [end for end in ends if end is not None]
        return max(known, default=0) if len(known) == len(ends) else None

    def _post(self, rank: int, index: int, action: Action) -> None:
        assert action.peer is not None
        link = (rank, action.peer) if action.kind is Kind.SEND else (action.peer, rank)
        self._posts[action.kind, link].append((rank, index, self._now[rank]))
        if action.kind is Kind.SEND:
            self._sending[rank, action.payload].append(None)
        self._serve(link)

    def _serve(self, link: Link) -> None:
        sends, receives = self._posts[Kind.SEND, link], self._posts[Kind.RECV, link]
        while self._served[link] < min(len(sends), len(receives)):
            nth = self._served[link]
            (sender, sent, send_us), (receiver, received, receive_us) = sends[nth], receives[nth]
            payload = self._programs[sender][sent].payload
            start = max(send_us, receive_us, self._link_free[link])
            end = start + self._costs.transfer_us(payload)
            self._times[sender, sent] = self._times[receiver, received] = start, end
            self._link_free[link] = end
            self._arrived[receiver, payload] = end
            pending = self._sending[sender, payload]
            pending[pending.index(None)] = end
            self._served[link] = nth + 1
