"""Heads and tails raised by what the tasks before one must share: a unit, all units, or its own unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import NamedTuple

from planner.bounds.area import NO_CHAIN, area
from planner.bounds.candidates import Units, candidates, is_uniform, leaders
from planner.bounds.heads import NEVER, HeadsTails, Travels, least_work
from planner.bounds.one_machine import one_machine
from planner.bounds.together import earliest_start
from planner.instance import ORDER, Instance

# How many tasks before a task are looked at: those that hold it up most. More find hardly more and take longer.
NEAREST = 12

Edges = list[list[tuple[int, int]]]  # of each task: (a task it comes after, the least time between)


def sharpen(instance: Instance, known: HeadsTails) -> HeadsTails:
    """Heads and tails no smaller than those known, and as valid.

    Tens of microseconds a task; hundreds where units are unequal. Before a task starts, those before it have shared
    what they must: the one unit that may run them, or units that are equal, or unequal ones. And what it reads has
    come over a wire, or was made on the task's own unit, one after the other.
    """
    work = _Work.of(instance)
    edges, links = _edges(instance, work.units), _links(instance, work)
    forth, back = list(range(instance.size)), list(range(instance.size - 1, -1, -1))
    heads = _raised(work, forth, edges, links, known.heads)
    tails = _raised(work, back, _turned(edges), _turned(links), known.tails)
    return HeadsTails(heads, tails)


class _Work(NamedTuple):
    """What tasks take, and where."""

    durations: list[tuple[int, ...]]
    units: list[Units]
    least: list[int]
    chain: list[int]  # the first task of the chain each is in, or NO_CHAIN
    machines: list[Units]  # what it holds wherever else other tasks run: its only unit, or all of its gang's
    equal: bool

    @classmethod
    def of(cls, instance: Instance) -> _Work:
        units, leads = candidates(instance), leaders(instance)
        count = Counter(leads)
        chain = [lead if count[lead] > 1 else NO_CHAIN for lead in leads]
        rows = set(zip(instance.durations, units, strict=True))
        machines = [instance.gangs.get(task, found if len(found) == 1 else ()) for task, found in enumerate(units)]
        if not instance.wires and is_uniform(instance) and len(set(chain) - {NO_CHAIN}) == 1:
            # Whichever unit runs the only chain, it could as well be the first.
            machines = [() if lead == NO_CHAIN else (0,) for lead in chain]
        equal = all(len({row[unit] for unit in found}) == 1 for row, found in rows)
        return cls(instance.durations, units, least_work(instance, units), chain, machines, equal)


def _edges(instance: Instance, units: list[Units]) -> Edges:
    travels = Travels(instance, units)
    return [
        [(maker, travels.must_us(maker, task, payload)) for maker, payload in reads]
        for task, reads in enumerate(instance.inputs)
    ]


def _links(instance: Instance, work: _Work) -> Edges:
    """Of each task, what it reads from a unit that may be its own; empty where nothing has to travel."""
    links: Edges = [[] for _ in range(instance.size)]
    if instance.wires is None:
        return links
    travels = Travels(instance, work.units)
    for task, reads in enumerate(instance.inputs):
        longest: dict[int, int] = {}
        for maker, payload in reads:
            if work.chain[task] != NO_CHAIN and work.chain[task] == work.chain[maker]:
                longest[maker] = NEVER
            elif payload != ORDER and maker not in instance.gangs and set(work.units[maker]) & set(work.units[task]):
                longest[maker] = max(longest.get(maker, 0), travels.whole_us(maker, task, payload))
        links[task] = list(longest.items())
    return links


def _turned(edges: Edges) -> Edges:
    turned: Edges = [[] for _ in edges]
    for task, before in enumerate(edges):
        for maker, between_us in before:
            turned[maker].append((task, between_us))
    return turned


def _raised(work: _Work, order: list[int], edges: Edges, links: Edges, known: Sequence[int]) -> list[int]:
    """Heads raised in the order given, in which each task comes after those its edges name."""
    heads, least = list(known), work.least
    place = [0] * len(order)
    before: list[dict[int, int]] = [{} for _ in order]  # the time from each one's end to the task's start
    for at, task in enumerate(order):
        place[task] = at
        near = before[task] = _nearest(edges[task], before, heads, least)
        head = max(heads[task], max((heads[other] + least[other] + gap for other, gap in near.items()), default=0))
        if len(near) > 1:
            head = max(head, _shared(work, near, heads))
        if links[task]:
            head = earliest_start(task, head, links, heads, least, work.units, place)
        heads[task] = head
    return heads


def _nearest(
    edges: list[tuple[int, int]], before: list[dict[int, int]], heads: list[int], least: list[int]
) -> dict[int, int]:
    """The tasks before one that hold it up most, and the time from each one's end to its start."""
    gaps: dict[int, int] = {}
    for maker, between_us in edges:
        if gaps.get(maker, -1) < between_us:
            gaps[maker] = between_us
        further = least[maker] + between_us
        for other, gap in before[maker].items():
            if gaps.get(other, -1) < gap + further:
                gaps[other] = gap + further
    if len(gaps) <= NEAREST:
        return gaps
    ranked = sorted(gaps.items(), key=lambda item: (-heads[item[0]] - least[item[0]] - item[1], item[0]))
    return dict(ranked[:NEAREST])


def _shared(work: _Work, near: dict[int, int], heads: list[int]) -> int:
    """When the tasks `near` are done and the time after each is over, at the earliest."""
    done = 0
    alike: dict[Units, list[int]] = {}
    alone: dict[int, list[tuple[int, int, int]]] = {}
    for task, gap in near.items():
        alike.setdefault(work.units[task], []).append(task)
        for machine in work.machines[task]:
            alone.setdefault(machine, []).append((heads[task], work.least[task], gap))
    for jobs in alone.values():
        done = max(done, one_machine(jobs))
    if not work.equal:
        return max(done, _whole(work, near, heads))
    for units, tasks in alike.items():
        if len(units) > 1 and len(tasks) >= len(units):
            shares = [(heads[task], work.least[task], near[task], work.chain[task]) for task in tasks]
            done = max(done, area(shares, [1] * len(units), len(units)))
    return done


def _whole(work: _Work, near: dict[int, int], heads: list[int]) -> int:
    """As `_shared`: units of unequal speed run each task whole, so that slow ones may not help at all."""
    done = 0
    latest = sorted(near, key=lambda task: (-heads[task], task))
    for gap in set(near.values()):
        count = 0
        fastest: dict[int, int] = {}
        for at, task in enumerate(latest):
            if near[task] < gap:
                continue
            count += 1
            for unit in work.units[task]:
                length = work.durations[task][unit]
                fastest[unit] = min(length, fastest.get(unit, length))
            if count > 1 and (at + 1 == len(latest) or heads[latest[at + 1]] < heads[task]):
                done = max(done, heads[task] + gap + least_time(count, list(fastest.values())))
    return done


def least_time(count: int, durations: Sequence[int]) -> int:
    """When `count` equal tasks are done if unit u takes durations[u] for each; tasks are not split."""
    ends = [(duration, duration) for duration in durations]
    heapify(ends)
    for _ in range(count - 1):
        end, duration = ends[0]
        heapreplace(ends, (end + duration, duration))
    return ends[0][0]
