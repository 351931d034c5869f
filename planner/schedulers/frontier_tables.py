"""What the search over states looks up, as arrays: a task's places and durations, its readers, what must follow it.

Arrays carry their shape as a suffix: T tasks, P places (units, pool after pool), R readers of a task.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from planner.bounds.candidates import candidates, leaders
from planner.bounds.heads import HeadsTails
from planner.instance import ANY, Instance, Wire
from planner.schedulers.pools import chained, pools
from planner.schedulers.ticks import Ticks
from planner.schedulers.twins import twins

Ints = npt.NDArray[np.signedinteger[Any]]

NEVER = 1 << 40  # later than anything happens, in ticks


class Tables(NamedTuple):
    """Times in ticks. Transfers are reckoned as if each had lanes of its own."""

    instance: Instance
    ticks: Ticks
    places: tuple[int, ...]  # the unit at each place
    spans: list[tuple[int, int]]  # first place of each pool and the one after its last
    duration_TP: Ints  # NEVER where a task may not run
    least_T: Ints
    heads_T: Ints
    tails_T: Ints
    makers: list[list[int]]
    readers_TR: Ints  # filled up with T, which is no task
    followers_TR: Ints  # what starts no earlier, as `twins` says; filled up likewise
    waits_T: Ints  # for how many tasks, makers and twins
    travel_TRPP: Ints | None  # from the place of the task to that of its reader; None if nothing ever travels
    chain_T: Ints  # number of the chain whose tasks stay together, or ANY
    gangs: dict[int, list[int]]  # the places of each gang

    @property
    def size(self) -> int:
        return len(self.least_T)

    @property
    def chains(self) -> int:
        return int(self.chain_T.max()) + 1

    @classmethod
    def of(cls, instance: Instance, known: HeadsTails) -> Tables:
        ticks, groups = Ticks.of(instance), pools(instance)
        places = tuple(unit for pool in groups for unit in pool)
        payloads = _payloads(instance)
        makers: list[list[int]] = [[] for _ in range(instance.size)]
        readers: list[list[int]] = [[] for _ in range(instance.size)]
        for maker, reader in payloads:
            makers[reader].append(maker)
            readers[maker].append(reader)
        first = twins(instance)
        followers: list[list[int]] = [[] for _ in range(instance.size)]
        for task, twin in enumerate(first):
            if twin != ANY:
                followers[twin].append(task)
        numbers = chained(instance)
        duration_TP = _durations(instance, ticks, groups)
        wired = instance.wires is not None and instance.units > 1
        return cls(
            instance=instance,
            ticks=ticks,
            places=places,
            spans=_spans([len(pool) for pool in groups]),
            duration_TP=duration_TP,
            least_T=duration_TP.min(axis=1),
            heads_T=np.array([ticks.at_least(head) for head in known.heads], dtype=np.int64),
            tails_T=np.array([ticks.at_least(tail) for tail in known.tails], dtype=np.int64),
            makers=makers,
            readers_TR=_filled_up(readers),
            followers_TR=_filled_up(followers),
            waits_T=np.array([len(row) + (twin != ANY) for row, twin in zip(makers, first, strict=True)]),
            travel_TRPP=_travel(ticks, places, readers, payloads) if wired else None,
            chain_T=np.array([numbers.get(lead, ANY) for lead in leaders(instance)], dtype=np.int64),
            gangs={task: [places.index(unit) for unit in gang] for task, gang in instance.gangs.items()},
        )


def mirrored(instance: Instance) -> Instance:
    """The instance that runs backwards in time: task t is the old one's size - 1 - t. No releases, no live inputs."""
    last = instance.size - 1
    inputs: list[list[tuple[int, int]]] = [[] for _ in range(instance.size)]
    for (maker, reader), payloads in sorted(_payloads(instance).items()):
        # Of a pair's payloads any order stands for all that take no time.
        inputs[last - maker] += [(last - reader, payload) for payload in payloads]
    groups: dict[int, list[int]] = defaultdict(list)
    for task, lead in enumerate(leaders(instance)):
        groups[lead].append(last - task)
    stays = [ANY] * instance.size
    for members in groups.values():
        for before, after in zip(sorted(members), sorted(members)[1:], strict=False):
            stays[after] = before
    wires: dict[tuple[int, int], Wire] | None = None
    if instance.wires is not None:
        wires = {(target, source): wire for (source, target), wire in instance.wires.items()}
    return instance._replace(
        durations=instance.durations[::-1],
        inputs=[tuple(row) for row in inputs],
        blocks=instance.blocks[::-1],
        stays=stays,
        wires=wires,
        gangs={last - task: gang for task, gang in instance.gangs.items()},
    )


def _payloads(instance: Instance) -> dict[tuple[int, int], list[int]]:
    """What each task reads of each other, by (maker, reader)."""
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for reader, reads in enumerate(instance.inputs):
        for maker, payload in reads:
            found[maker, reader].append(payload)
    return found


def _spans(sizes: list[int]) -> list[tuple[int, int]]:
    ends = np.cumsum(sizes).tolist()
    return [(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _durations(instance: Instance, ticks: Ticks, groups: list[tuple[int, ...]]) -> Ints:
    """By task and place; tasks of a chain only where a unit is told apart, unless no unit of the kind is."""
    numbers, leads = chained(instance), leaders(instance)
    rows = []
    for task, units in enumerate(candidates(instance)):
        named = leads[task] in numbers
        row = []
        for pool in groups:
            may = pool[0] in units and not (named and len(pool) > 1)
            row += [ticks.duration(task, pool[0]) if may else NEVER] * len(pool)
        rows.append(row)
    return np.array(rows, dtype=np.int64)


def _filled_up(rows: list[list[int]]) -> Ints:
    found = np.full((len(rows), max(1, *map(len, rows), 1)), len(rows), dtype=np.int64)
    for task, row in enumerate(rows):
        found[task, : len(row)] = row
    return found


def _travel(
    ticks: Ticks, places: tuple[int, ...], readers: list[list[int]], payloads: dict[tuple[int, int], list[int]]
) -> Ints:
    by_payload: dict[int, Ints] = {}
    travel_TRPP = np.zeros((*_filled_up(readers).shape, len(places), len(places)), dtype=np.int64)
    for (maker, reader), found in payloads.items():
        at = travel_TRPP[maker, readers[maker].index(reader)]
        for payload in found:
            if payload not in by_payload:
                rows = [[ticks.transfer(source, target, payload) for target in places] for source in places]
                by_payload[payload] = np.array(rows, dtype=np.int64)
            np.maximum(at, by_payload[payload], out=at)
    return travel_TRPP
