"""Which units may run each task, once chains and gangs are taken into account."""

from __future__ import annotations

from planner.instance import ANY, Instance

Units = tuple[int, ...]


def leaders(instance: Instance) -> list[int]:
    """For each task the first of its chain of `stays`, or itself: tasks with one leader run on one unit."""
    found = list(range(instance.size))
    for task, before in enumerate(instance.stays):
        if before != ANY:
            assert before < task, f"task {task} stays with {before}, which comes after it"
            found[task] = found[before]
    return found


def candidates(instance: Instance) -> list[Units]:
    """The units each task may run on; of a gang its first, of a chain those that may run all of it."""
    of_row: dict[tuple[int, ...], Units] = {}
    units = []
    for row in instance.durations:
        found = of_row.get(row)
        if found is None:
            found = of_row[row] = tuple(unit for unit, length in enumerate(row) if length)
        units.append(found)
    for task, gang in instance.gangs.items():
        units[task] = (gang[0],)
    everywhere = not instance.gangs and all(len(found) == instance.units for found in of_row.values())
    return units if everywhere else _shared(instance, units)


def is_uniform(instance: Instance) -> bool:
    """Whether every task runs on every unit, and takes as long on each."""
    width = instance.units
    return not instance.gangs and all(row[0] and row.count(row[0]) == width for row in set(instance.durations))


def _shared(instance: Instance, units: list[Units]) -> list[Units]:
    leads = leaders(instance)
    common: dict[int, Units] = {}
    for task, lead in enumerate(leads):
        if lead in common:
            common[lead] = tuple(unit for unit in common[lead] if unit in units[task])
        elif task != lead:
            common[lead] = tuple(unit for unit in units[lead] if unit in units[task])
    return [common.get(lead, units[task]) for task, lead in enumerate(leads)]
