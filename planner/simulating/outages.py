"""Ranks that are gone for a while or for good, and when what they do gets through all the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from planner.conditions import Outage

Window = tuple[int, float]  # out from, and until before; infinity for good


class Outages:
    """All times are microseconds from the clip's start."""

    def __init__(self, outages: Iterable[Outage]) -> None:
        self._of: dict[int, list[Window]] = {}
        for outage in outages:
            back = math.inf if outage.back_us is None else outage.back_us
            self._of.setdefault(outage.rank, []).append((outage.at_us, back))

    def attempt(self, ranks: Iterable[int], ready_us: int, lasts: Callable[[int], int]) -> tuple[int, int] | None:
        """When something of all these ranks begins if nothing cuts it any more, and when it ends; None if never.

        `lasts`: how long it takes if it begins at a time. An end at the moment the outage begins is no cut.
        """
        start, takes = ready_us, lasts(ready_us)
        for at, back in self._windows(ranks):
            if start < back and start + takes > at:
                if back == math.inf:
                    return None
                start = int(back)
                takes = lasts(start)
        return start, start + takes

    def awake_us(self, ranks: Iterable[int], at_us: int) -> int | None:
        """The first moment from `at_us` on at which none of the ranks is out; None if there is none."""
        moment: float = at_us
        for at, back in self._windows(ranks):
            if at <= moment < back:
                moment = back
        return None if moment == math.inf else int(moment)

    def cut_us(self, ranks: Iterable[int], at_us: int) -> float:
        """When the next outage of one of the ranks begins, from `at_us` on; infinity if none does."""
        return min((at for at, _ in self._windows(ranks) if at >= at_us), default=math.inf)

    def _windows(self, ranks: Iterable[int]) -> Sequence[Window]:
        """Those of several ranks, by when they begin."""
        return sorted(window for rank in set(ranks) for window in self._of.get(rank, ())) if self._of else ()
