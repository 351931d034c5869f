"""The tightest lower bound there is without a search, for small instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from planner.bounds.candidates import candidates, leaders
from planner.bounds.heads import HeadsTails, heads_tails
from planner.bounds.makespan import Bound, makespan_bound
from planner.bounds.sharpen import sharpen
from planner.instance import Instance


def tight_bound(instance: Instance, sharpened: HeadsTails | None = None) -> Bound:
    """A lower bound of the makespan, no less than `makespan_bound`; milliseconds for a hundred tasks.

    It rests on sharpened heads and tails. If units differ, so that it matters where the longest chain runs, it is the
    least of the bounds for each unit that may run it. `sharpened` are those of the instance, reckoned if not given.
    """
    best = makespan_bound(instance, *(sharpened or sharpen(instance, heads_tails(instance))))
    least: Bound | None = None
    for fixed in _by_home(instance):
        bound = makespan_bound(fixed, *sharpen(fixed, heads_tails(fixed)))
        if bound.value_us <= best.value_us:
            return best
        if least is None or bound.value_us < least.value_us:
            least = bound
    return least or best


def _by_home(instance: Instance) -> Iterator[Instance]:
    """The instance with its longest chain on each of its units in turn; nothing if they are all alike."""
    leads = leaders(instance)
    lead, length = Counter(leads).most_common(1)[0] if leads else (0, 0)
    if length < 2:
        return
    tasks = {task for task, first in enumerate(leads) if first == lead}
    alike: dict[object, int] = {}
    for unit in candidates(instance)[lead]:
        alike.setdefault(_kind(instance, unit), unit)
    if len(alike) < 2:
        return
    for home in alike.values():
        rows = [
            tuple(length if unit == home else 0 for unit, length in enumerate(row)) if task in tasks else row
            for task, row in enumerate(instance.durations)
        ]
        yield instance._replace(durations=rows)


def _kind(instance: Instance, unit: int) -> object:
    """Equal for units that could change places."""
    wires = instance.wires or {}
    if instance.gangs or len({(wire.latency_us, wire.bytes_per_us) for wire in wires.values()}) > 1:
        return unit
    return tuple(row[unit] for row in instance.durations)
