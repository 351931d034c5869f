"""The chain of actions that a timeline's length hangs on, read off the rows alone.

From what ends last, back to what it waited for: of all that its rank did before, and of all that had to arrive or
leave before, the one that ended last. In a plan each link of the chain begins as the one before ends, or a post later;
in a run there may be gaps, and these are the run's own. What reads a stream layer by layer began beside its maker.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from planner.action import LEAVING, TRANSFERS, Action, Kind, Payload, TimedAction

Place = tuple[int, int]  # rank, index in its rows
Way = tuple[int, int]  # from rank, to rank


def critical_chain(ranks: Sequence[Sequence[TimedAction]]) -> tuple[Place, ...]:
    """The places of the chain, first to last; a transfer stands at its sender. Empty where nothing is computed."""
    return tuple(reversed(list(_Tracer(ranks).back())))


class _Tracer:
    def __init__(self, ranks: Sequence[Sequence[TimedAction]]) -> None:
        self._ranks = ranks
        self._gangs: dict[tuple[Action, int], list[Place]] = defaultdict(list)
        self._sends: dict[tuple[Way, Payload], Place] = {}
        self._receives: dict[tuple[Way, Payload], Place] = {}
        self._makers: dict[tuple[int, int, int | None], Place] = {}  # by rank, block and step
        self._before: list[list[int]] = []  # of each row the compute action before it, -1 for none
        for rank, rows in enumerate(ranks):
            self._before.append(list(self._read(rank, rows)))
        self._leaving = [self._by_end(rank, leaving=True) for rank in range(len(ranks))]
        self._coming = [self._by_end(rank, leaving=False) for rank in range(len(ranks))]
        taps = [[row for row in enumerate(rows) if row[1].action.kind is Kind.TAP] for rows in ranks]
        self._taps = [sorted((row.start_us, index) for index, row in found) for found in taps]
        self._longest = max((row.end_us - row.start_us for found in taps for _, row in found), default=0)
        self._sent_by: dict[int, list[Place]] = defaultdict(list)
        for place in self._sends.values():
            self._sent_by[self._row(place).end_us].append(place)

    def _read(self, rank: int, rows: Sequence[TimedAction]) -> Iterator[int]:
        last = -1
        for index, (action, start, _) in enumerate(rows):
            yield last
            if action.kind in TRANSFERS and action.peer is not None:
                leaves = action.kind in LEAVING
                way = (rank, action.peer) if leaves else (action.peer, rank)
                (self._sends if leaves else self._receives)[way, action.payload] = rank, index
            elif action.is_compute:
                self._gangs[action.gang, start].append((rank, index))
                self._makers.update(((rank, *item), (rank, index)) for item in action.passes)
                last = index

    def _by_end(self, rank: int, *, leaving: bool) -> list[tuple[int, int]]:
        """(end, index) of the transfers that leave a rank, or come to it, by their end."""
        found = enumerate(self._ranks[rank])
        kinds = TRANSFERS & LEAVING if leaving else TRANSFERS - LEAVING
        return sorted((row.end_us, index) for index, row in found if row.action.kind in kinds)

    def back(self) -> Iterator[Place]:
        """From the compute action that ends last to one that waited for nothing."""
        places = [(rank, i) for rank, rows in enumerate(self._ranks) for i, r in enumerate(rows) if r.action.is_compute]
        place = max(places, key=lambda p: (self._row(p).end_us, -p[0]), default=None)
        seen: set[Place] = set()
        while place is not None and place not in seen:
            seen.add(place)
            yield place
            row = self._row(place)
            found = self._of_transfer(place) if row.action.kind in TRANSFERS else self._of_compute(place)
            # The latest; of equals the first, which is the rank's own.
            place = max((p for p in found if p not in seen), key=lambda p: self._row(p).end_us, default=None)

    def _of_compute(self, place: Place) -> list[Place]:
        start = self._row(place).start_us
        found = []
        # One share of a gang holds up all others.
        for rank, index in dict.fromkeys((place, *self._gangs[self._row(place).action.gang, start])):
            found += self._own(rank, index, start)
            arrived = self._latest(self._coming[rank], start)
            found += [] if arrived is None else [self._sender((rank, arrived))]
        if any(self._row(p).end_us == start for p in found) or not start:
            return found
        return self._streams(place) or found

    def _streams(self, place: Place) -> list[Place]:
        """What a live reader reads: streams under way as it begins, of passes that are ending as late as it."""
        rank, start = place[0], self._row(place).start_us
        taps = self._taps[rank]
        first = bisect_left(taps, start - self._longest, key=lambda item: item[0])
        last = bisect_right(taps, start, key=lambda item: item[0])
        under_way = [index for _, index in taps[first:last] if start < self._ranks[rank][index].end_us]
        return [self._sender((rank, index)) for index in under_way]

    def _of_transfer(self, place: Place) -> list[Place]:
        (rank, index), (action, start, _) = place, self._row(place)
        assert action.peer is not None
        maker = self._makers.get((rank, action.block, action.step))
        if action.kind is Kind.STREAM and maker is not None:
            return [maker]
        found = self._own(rank, index, start)
        # What had one of the two ends, or the bus of a whole node, until then.
        for end in (rank, action.peer):
            left = self._latest(self._leaving[end], start)
            found += [] if left is None else [(end, left)]
            arrived = self._latest(self._coming[end], start)
            found += [] if arrived is None else [self._sender((end, arrived))]
        found += self._sent_by.get(start, ())
        received = self._receives.get(((rank, action.peer), action.payload))
        return found + ([] if received is None else self._own(*received, start))

    def _own(self, rank: int, index: int, start: int) -> list[Place]:
        """The compute action before a row on its rank, if it is over by then."""
        before = self._before[rank][index]
        return [(rank, before)] if before >= 0 and self._ranks[rank][before].end_us <= start else []

    def _latest(self, by_end: list[tuple[int, int]], start: int) -> int | None:
        """The transfer that ends last by `start`. It stands before what starts then, as posts come in order."""
        at = bisect_right(by_end, start, key=lambda item: item[0])
        return by_end[at - 1][1] if at else None

    def _sender(self, place: Place) -> Place:
        action = self._row(place).action
        assert action.peer is not None
        return self._sends.get(((action.peer, place[0]), action.payload), place)

    def _row(self, place: Place) -> TimedAction:
        return self._ranks[place[0]][place[1]]
