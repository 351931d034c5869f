"""R10: all programs at once, without times: what an executor does, in any order of events."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from planner.action import LEAVING, TRANSFERS, Action, Kind, Payload, TimedAction
from planner.checking.clip import Clip

Way = tuple[int, int]
Program = Sequence[TimedAction]


class DryRun:
    """Posting a transfer does not block; a compute action and a send wait for what they read to arrive, shares of a
    gang for one another, and a free for the transfers of its payload. A way takes the k-th it sends to the k-th that
    is received once both are posted, a stream only once its maker runs.
    """

    def __init__(self, programs: Sequence[Program], clip: Clip) -> None:
        self._programs, self._clip = programs, clip
        self._at = [0] * len(programs)
        self._coming: list[set[Payload]] = [set() for _ in programs]
        self._leaving: list[dict[Payload, list[int]]] = [{} for _ in programs]
        self._made: list[set[Payload]] = [set() for _ in programs]
        self._posted: dict[Way, tuple[deque[Action], deque[Payload]]] = defaultdict(lambda: (deque(), deque()))
        self._members = _members(programs, clip)
        self._here: dict[Action, set[int]] = defaultdict(set)
        self._awake = list(range(len(programs)))

    def stuck(self) -> list[str]:
        """For each rank that never reaches its program's end, where it stands and what it waits for."""
        while self._awake:
            self._advance(self._awake.pop())
        places = enumerate(zip(self._programs, self._at, strict=True))
        stops = [(rank, rows[at].action) for rank, (rows, at) in places if at < len(rows)]
        return [f"R10 r{rank} {stop}: waits forever for {', '.join(self._awaits(rank, stop))}" for rank, stop in stops]

    def _advance(self, rank: int) -> None:
        rows = self._programs[rank]
        while self._at[rank] < len(rows):
            action = rows[self._at[rank]].action
            if action.is_compute and not self._data_awaited(rank, action):
                self._arrive(rank, action)
            if self._awaits(rank, action):
                return
            if action.kind in TRANSFERS:
                self._post(rank, action)
            elif action.is_compute:
                self._run(rank, action)
            self._at[rank] += 1

    # -- waiting ---------------------------------------------------------------------------------

    def _awaits(self, rank: int, action: Action) -> list[str]:
        if action.is_compute:
            waits = [f"{payload} to arrive" for payload in self._data_awaited(rank, action)]
            return waits or [f"r{mate} to come to it" for mate in self._mates_awaited(rank, action)]
        if action.kind not in (Kind.SEND, Kind.FREE):
            return []
        waits = [f"{action.payload} to arrive"] if action.payload in self._coming[rank] else []
        if action.kind is Kind.FREE:
            waits += [f"its send to r{peer}" for peer in self._leaving[rank].get(action.payload, ())]
        return waits

    def _data_awaited(self, rank: int, action: Action) -> list[Payload]:
        coming = self._coming[rank]
        return [read.payload for read in self._clip.reads(action) if read.payload in coming]

    def _mates_awaited(self, rank: int, action: Action) -> list[int]:
        mates = self._members.get((rank, action.gang), ())
        return [mate for mate in mates if mate not in self._here[action.gang]]

    def _arrive(self, rank: int, action: Action) -> None:
        mates = self._members.get((rank, action.gang), ())
        if mates and rank not in self._here[action.gang]:
            self._here[action.gang].add(rank)
            if not self._mates_awaited(rank, action):
                self._awake += mates

    # -- going on --------------------------------------------------------------------------------

    def _run(self, rank: int, action: Action) -> None:
        made = self._clip.leaves(action)
        self._made[rank].update(made)
        if self._clip.pattern.is_live:
            for payload in made:
                for peer in set(self._leaving[rank].get(payload, ())):
                    self._move((rank, peer))

    def _post(self, rank: int, action: Action) -> None:
        assert action.peer is not None, "R1 lets no transfer without a peer through"
        payload = action.payload
        if action.kind in LEAVING:
            way = rank, action.peer
            self._posted[way][0].append(action)
            self._leaving[rank].setdefault(payload, []).append(action.peer)
        else:
            way = action.peer, rank
            self._posted[way][1].append(payload)
            self._coming[rank].add(payload)
        self._move(way)

    def _move(self, way: Way) -> None:
        """Takes what is posted at both ends across, as far as there is something to take."""
        source, target = way
        sends, receives = self._posted[way]
        while sends and receives:
            payload = sends[0].payload
            if sends[0].kind is Kind.STREAM and payload not in self._made[source]:
                return
            sends.popleft()
            self._leaving[source][payload].remove(target)
            self._coming[target].discard(receives.popleft())
            self._awake += way


def _members(programs: Sequence[Program], clip: Clip) -> dict[tuple[int, Action], tuple[int, ...]]:
    """The ranks that share each action, where they are several."""
    ranks_of: dict[tuple[Action, tuple[int, ...]], set[int]] = defaultdict(set)
    for rank, rows in enumerate(programs):
        for action, _, _ in rows:
            if action.is_compute:
                unit = () if action.kind is Kind.TICK else clip.mates(rank)
                ranks_of[action.gang, unit].add(rank)
    return {
        (rank, action): tuple(sorted(ranks))
        for (action, _), ranks in ranks_of.items()
        if len(ranks) > 1
        for rank in ranks
    }
