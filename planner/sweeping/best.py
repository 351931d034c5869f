"""The best of a point: what is best on fewer devices stands, unless one more makes something better."""

from __future__ import annotations

from planner.sweeping.basis import Basis
from planner.sweeping.candidates import asked_patterns, candidates, not_split, placed
from planner.sweeping.choose import Ask, Chosen, choose
from planner.sweeping.grid import Point

Bests = list[tuple[Chosen, bool]]  # on 1, 2 ... devices, and whether anything goes together on so many


def best(basis: Basis, point: Point, count: int, ask: Ask) -> Chosen:
    """What up to `count` devices run for a point, never worse than what fewer run; or why nothing can run.

    A placement that the point names is on exactly as many devices as it says, or on all. Raises InputError if nothing
    of what was asked for goes together, or it asks for more devices.
    """
    if point.placement is not None:
        return choose(basis, placed(basis, point, asked_patterns(basis, point), count), ask)
    known = _bests(basis, point, ask)
    _extend(known, basis, point, count, ask)
    found, any_split = known[count - 1]
    if not any_split:
        raise not_split(point, count)
    return found


def _bests(basis: Basis, point: Point, ask: Ask) -> Bests:
    """Those known so far of all points that ask alike: only a limit on it makes money count for a choice."""
    if ask.limits.money_per_minute is None:
        ask = ask._replace(money_per_us=0.0)
    key = "bests", point.pattern, point.offset, point.parallel, ask
    found: Bests = basis.known.setdefault(key, [])
    return found


def _extend(known: Bests, basis: Basis, point: Point, count: int, ask: Ask) -> None:
    patterns = asked_patterns(basis, point)
    while len(known) < count:
        found, any_split = known[-1] if known else ("", False)
        here = candidates(basis, point, patterns, len(known) + 1)
        known.append((choose(basis, here, ask, found) if here else found, any_split or bool(here)))
