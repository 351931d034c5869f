"""Lower bounds of the makespan that no schedule can beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from planner.bounds.area import NO_CHAIN, Share, area
from planner.bounds.candidates import Units, candidates, is_uniform, leaders
from planner.bounds.heads import heads_tails, least_work
from planner.bounds.one_machine import one_machine
from planner.instance import ORDER, Instance

__all__ = ["Bound", "BoundName", "heads_tails", "makespan_bound"]

BoundName = Literal["critical path", "device area", "one device", "busiest link"]
Job = tuple[int, int, int]  # head, work, tail


class Bound(NamedTuple):
    """A proven lower bound of the makespan, and what it rests on."""

    value_us: int
    name: BoundName


def makespan_bound(instance: Instance, heads: Sequence[int] | None = None, tails: Sequence[int] | None = None) -> Bound:
    """The largest of these bounds, microseconds; the first of equal ones.

    Critical path: head + work + tail of a task. Device area: the work that units share, with the smallest heads and
    tails around it. One device: what only one unit may run, or a chain must run on one. Busiest link: payloads that
    must travel on one lane. `heads` and `tails` are those of `heads_tails`, or of `sharpen`; reckoned if not given.
    """
    if heads is None or tails is None:
        heads, tails = heads_tails(instance)
    load = _Load.of(instance, heads, tails)
    found = [Bound(max(map(sum, load.jobs), default=0), "critical path"), Bound(_device_area(load), "device area")]
    if load.chains or not load.uniform:
        found.append(Bound(_one_device(load), "one device"))
    if instance.wires:
        found.append(Bound(_busiest_link(load), "busiest link"))
    return max(found, key=lambda bound: bound.value_us)


class _Load(NamedTuple):
    instance: Instance
    units: list[Units]
    jobs: list[Job]
    chains: dict[int, list[int]]  # by first task
    uniform: bool

    @classmethod
    def of(cls, instance: Instance, heads: Sequence[int], tails: Sequence[int]) -> _Load:
        units = candidates(instance)
        jobs = list(zip(heads, least_work(instance, units), tails, strict=True))
        chains: dict[int, list[int]] = {}
        for task, lead in enumerate(leaders(instance)):
            if lead != task:
                chains.setdefault(lead, [lead]).append(task)
        return cls(instance, units, jobs, chains, is_uniform(instance))


def _device_area(load: _Load) -> int:
    count = load.instance.units
    if load.uniform and count == 1:
        return one_machine(load.jobs)
    chain = [NO_CHAIN] * load.instance.size
    for lead, tasks in load.chains.items():
        for task in tasks:
            chain[task] = lead
    if load.uniform:
        shares = [(head, work, tail, of) for (head, work, tail), of in zip(load.jobs, chain, strict=True)]
        return area(shares, [1] * count, count)
    best = 0
    for weights in _weights(load):
        shares = _weighed(load, chain, weights)
        heavy = [weight for weight in weights if weight]
        if shares:
            best = max(best, area(shares, heavy, 2 * len(heavy) - 1))
    return best


def _weights(load: _Load) -> Iterator[list[int]]:
    """Weights of units that may show what is short: all of them, and each set that some task is confined to."""
    count = load.instance.units
    for some in dict.fromkeys([tuple(range(count)), *load.units]):
        if len(some) > 1:
            yield [int(unit in some) for unit in range(count)]
            speeds = [_speed(load, unit) if unit in some else 0 for unit in range(count)]
            if len(set(speeds) - {0}) > 1:
                yield speeds


def _speed(load: _Load, unit: int) -> int:
    """How fast the unit is on all it may run, against the fastest unit for each; thousandths."""
    least = taken = 0
    for row, units, job in zip(load.instance.durations, load.units, load.jobs, strict=True):
        if unit in units:
            least += job[1]
            taken += row[unit]
    return 1000 * least // taken if taken else 0


def _weighed(load: _Load, chain: list[int], weights: list[int]) -> list[Share]:
    """The tasks' shares, without those that weigh nothing; a gang has one on each of its units."""
    shares: list[Share] = []
    for task, ((head, _, tail), row) in enumerate(zip(load.jobs, load.instance.durations, strict=True)):
        units = load.units[task]
        if task in load.instance.gangs:
            for held in load.instance.gangs[task]:
                shares.append((head, weights[held] * row[units[0]], tail, NO_CHAIN))
        else:
            shares.append((head, min(weights[unit] * row[unit] for unit in units), tail, chain[task]))
    return [share for share in shares if share[1]]


def _one_device(load: _Load) -> int:
    """The unit that has the most to run of what no other may; chains with it, on the unit that suits them best."""
    durations = load.instance.durations
    fixed: list[list[Job]] = [[] for _ in range(load.instance.units)]
    for task, (units, (head, work, tail)) in enumerate(zip(load.units, load.jobs, strict=True)):
        if len(units) == 1:
            for held in load.instance.gangs.get(task, units):
                fixed[held].append((head, work, tail))
    best = max(map(one_machine, fixed))
    for lead, tasks in load.chains.items():
        if len(load.units[lead]) > 1:
            own = {
                unit: [(load.jobs[t][0], durations[t][unit], load.jobs[t][2]) for t in tasks]
                for unit in load.units[lead]
            }
            best = max(best, min(one_machine(fixed[unit] + jobs) for unit, jobs in own.items()))
    return best


def _busiest_link(load: _Load) -> int:
    """The lane with the most to carry of what must travel: its maker's and its reader's only units differ."""
    instance, wires = load.instance, load.instance.wires or {}
    streamed = {live.payload for lives in instance.live.values() for live in lives}
    ways: dict[tuple[int, int, int], Job] = {}  # by payload and wire: when it is made, 0, and what follows
    for task, reads in enumerate(instance.inputs):
        for maker, payload in reads:
            if payload == ORDER or payload in streamed or maker in instance.gangs:
                continue  # which of a gang's units made a payload is not known here
            (source, *others), (target, *further) = load.units[maker], load.units[task]
            if others or further or source == target:
                continue
            made, after = sum(load.jobs[maker][:2]), sum(load.jobs[task][1:])
            known = ways.get((payload, source, target), (0, 0, 0))
            ways[payload, source, target] = made, 0, max(after, known[2])
    lanes: dict[int, list[Job]] = {}
    for (payload, source, target), (made, _, after) in ways.items():
        wire = wires[source, target]
        for lane in wire.lanes:
            lanes.setdefault(lane, []).append((made, wire.transfer_us(instance.payload_bytes[payload]), after))
    return max(map(one_machine, lanes.values()), default=0)
