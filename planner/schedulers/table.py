"""What schedulers look up in an instance, reckoned once."""

from __future__ import annotations

from typing import NamedTuple

from planner.bounds.candidates import Units, candidates, is_uniform, leaders
from planner.bounds.heads import heads_tails, least_work
from planner.bounds.one_machine import one_machine
from planner.instance import Instance


class Table(NamedTuple):
    """By task: who reads it, how many tasks it waits for, where it may run, the first of its chain, its least work."""

    instance: Instance
    readers: list[list[int]]
    waits: list[int]
    units: list[Units]
    leads: list[int]
    work: list[int]
    strain_us: dict[int, dict[int, int]]  # by chain and unit; see `_strain`
    lengths_us: dict[tuple[int, int, int], int]  # of transfers by source, target and bytes, as they are asked for
    is_plain: bool  # equal units, no transfers, gangs or live inputs

    @classmethod
    def of(cls, instance: Instance) -> Table:
        readers: list[list[int]] = [[] for _ in range(instance.size)]
        waits = [len(reads) for reads in instance.inputs]
        for task, reads in enumerate(instance.inputs):
            for maker, _ in reads:
                readers[maker].append(task)
        for task, lives in instance.live.items():
            waits[task] += len(lives)
            for live in lives:
                readers[live.source].append(task)
        units, leads = candidates(instance), leaders(instance)
        uniform = is_uniform(instance)
        strain = {} if uniform else _strain(instance, units, leads)
        is_plain = uniform and not instance.wires and not instance.live
        return cls(instance, readers, waits, units, leads, least_work(instance, units), strain, {}, is_plain)


def _strain(instance: Instance, units: list[Units], leads: list[int]) -> dict[int, dict[int, int]]:
    """By how much each unit would take longer than the best to run a chain and what no other unit may run."""
    chains: dict[int, list[int]] = {}
    for task, lead in enumerate(leads):
        if lead != task and len(units[lead]) > 1:
            chains.setdefault(lead, [lead]).append(task)
    if not chains:
        return {}
    heads, tails = heads_tails(instance)
    fixed: list[list[tuple[int, int, int]]] = [[] for _ in range(instance.units)]
    for task, (unit, *others) in enumerate(units):
        if not others:
            fixed[unit].append((heads[task], instance.durations[task][unit], tails[task]))
    strain: dict[int, dict[int, int]] = {}
    for lead, tasks in chains.items():
        busy = {}
        for unit in units[lead]:
            own = [(heads[task], instance.durations[task][unit], tails[task]) for task in tasks]
            busy[unit] = one_machine(fixed[unit] + own)
        strain[lead] = {unit: end - min(busy.values()) for unit, end in busy.items()}
    return strain
