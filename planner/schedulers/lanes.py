"""When wires are in use."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

from planner.bounds.heads import NEVER

Booking = tuple[tuple[int, ...], int, int]  # lanes, start, end


class Lanes:
    """Bookings of lanes, each exclusive while it lasts; gaps may be filled later."""

    def __init__(self) -> None:
        self._busy: dict[int, list[tuple[int, int]]] = {}  # by lane: (end, start), in order

    def book(self, booking: Booking) -> None:
        lanes, start, end = booking
        for lane in lanes:
            insort(self._busy.setdefault(lane, []), (end, start))

    def earliest(self, lanes: tuple[int, ...], from_us: int, length_us: int, also: Sequence[Booking] = ()) -> int:
        """The first moment from which all the lanes are free for so long; `also` counts as booked."""
        moment, tried = from_us, -1
        while moment > tried:
            tried = moment
            for lane in lanes:
                busy = self._busy.get(lane)
                if busy and busy[-1][0] > moment:
                    moment = _gap(busy, moment, length_us)
            for others, start, end in also:
                if start < moment + length_us and end > moment and not set(lanes).isdisjoint(others):
                    moment = end
        return moment


def _gap(busy: list[tuple[int, int]], from_us: int, length_us: int) -> int:
    """The first moment from which nothing in the list is under way for so long."""
    for end, start in busy[bisect_right(busy, (from_us, NEVER)) :]:
        if start >= from_us + length_us:
            break
        from_us = end
    return from_us
