"""Units that can stand in for one another: a search need not tell them apart."""

from __future__ import annotations

from collections import Counter, defaultdict

from planner.bounds.candidates import leaders
from planner.instance import Instance

Pool = tuple[int, ...]


def pools(instance: Instance) -> list[Pool]:
    """The units in groups of equal ones, in which tasks need not name their unit.

    Tasks that stay together do name theirs: of equal units as many stand alone as there are such chains, and it loses
    nothing if chains run on those only. A unit of a gang stands alone, and so do all where wires differ or live inputs
    ask who runs where.
    """
    chains = len(chained(instance))
    in_gangs = {unit for gang in instance.gangs.values() for unit in gang}
    wires = {(wire.latency_us, wire.bytes_per_us) for wire in (instance.wires or {}).values()}
    alike: dict[object, list[int]] = defaultdict(list)
    for unit in range(instance.units):
        alone = unit in in_gangs or len(wires) > 1 or bool(instance.live)
        alike[tuple(row[unit] for row in instance.durations), unit if alone else None].append(unit)
    found: list[Pool] = []
    for units in alike.values():
        named = min(chains, len(units)) if len(units) > 1 else 0
        found += [(unit,) for unit in units[:named]]
        found += [tuple(units[named:])] if units[named:] else []
    return found


def chained(instance: Instance) -> dict[int, int]:
    """A number for each chain of tasks that stay together, by its first task."""
    counts = Counter(leaders(instance))
    return {lead: number for number, lead in enumerate(lead for lead, count in sorted(counts.items()) if count > 1)}
