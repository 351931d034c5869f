"""A lower bound of the makespan from the work that units share, with what must come before it and after it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

NO_CHAIN = -1
Share = tuple[int, int, int, int]  # head, (weighted) work, tail, chain


def area(shares: Sequence[Share], weights: Sequence[int], least: int) -> int:
    """No makespan is less: units cannot do more weighted work between what must come first and what must follow.

    For any weights, sum(weights) x makespan is at least the sum over all tasks of the least weight x duration, and of
    the smallest heads and tails, one for each unit, the smallest on the heaviest. A chain runs on one unit, so it has
    no more than one of each. Subsets with large heads and with large tails are tried too, as the whole set is not
    always the tightest; they need `least` tasks or chains: one a unit, or two a unit but one if units are unequal, so
    that a unit left idle makes no difference. O(n log n). Source: J. Carlier, "Scheduling jobs with release dates and
    tails on identical machines", 1987.
    """
    heavy = sorted(weights, reverse=True)
    ahead = _largest(sorted(shares, key=lambda share: -share[0]), 0, 2, heavy, least)
    behind = _largest(sorted(shares, key=lambda share: -share[2]), 2, 0, heavy, least)
    return -(-max(ahead, behind) // sum(heavy))


def _largest(ranked: list[Share], near: int, far: int, heavy: list[int], least: int) -> int:
    """The largest sum over the subsets that hold all shares up to one in the ranking, by falling `near`."""
    heights = [share[near] for share in ranked]
    heights.append(-1)
    units, work, best, chained = len(heavy), 0, 0, 0
    nearest: list[int] = []  # of tasks in no chain
    farthest: list[int] = []  # the smallest of them
    near_of: dict[int, int] = {}
    far_of: dict[int, int] = {}
    for at, share in enumerate(ranked):
        work += share[1]
        height, distance, chain = heights[at], share[far], share[3]
        if chain != NO_CHAIN:
            near_of[chain] = height
            far_of[chain] = min(distance, far_of.get(chain, distance))
            chained = len(near_of)
        else:
            nearest.append(height)
            if len(farthest) < units or distance < farthest[-1]:
                insort(farthest, distance)
                del farthest[units:]
        if heights[at + 1] < height and len(nearest) + chained >= least:
            ends = nearest[: -units - 1 : -1], farthest
            if chained:
                ends = sorted([*ends[0], *near_of.values()])[:units], sorted([*farthest, *far_of.values()])[:units]
            best = max(best, work + _weighted(heavy, *ends))
    return best


def _weighted(heavy: list[int], heads: list[int], tails: list[int]) -> int:
    if heavy[0] == heavy[-1]:
        return heavy[0] * (sum(heads) + sum(tails))
    return sum(weight * (head + tail) for weight, head, tail in zip(heavy, heads, tails, strict=True))
