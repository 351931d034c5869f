"""An endless stream, one block of it in plain numbers: how often a block can finish, and what sets that."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple, Self, get_args

from planner.errors import InputError
from planner.streams.cycles import Edge, max_cycle_ratio

Limit = Literal["dependencies", "devices", "decoder", "link"]


class Precedence(NamedTuple):
    """The target of block b + `distance` starts at least `lag_us` after the source of block b has started.

    `transfer_us` more if the two run on different units.
    """

    source: int
    target: int
    lag_us: int
    distance: int
    transfer_us: int = 0


class Resource(NamedTuple):
    """What each block takes of something of which there are `units`: (task, microseconds of one unit) pairs.

    Unequal units count as a fraction of the fastest.
    """

    name: str
    limit: Limit
    work: tuple[tuple[int, int], ...]
    units: int | Fraction

    @property
    def work_us(self) -> int:
        return sum(work for _, work in self.work)

    @property
    def share(self) -> Fraction:
        """Microseconds that each unit works for a block: no period is shorter."""
        return Fraction(self.work_us) / self.units


class Loop(NamedTuple):
    """One block of an endless stream: every block runs the same tasks, which read earlier blocks at fixed distances.

    Tasks are numbered so that each comes after all that it reads of its own block. `stays`: groups of tasks whose
    state never travels, so that all blocks of a group run on one unit. `late`: tasks that may last longer than their
    duration, as they wait inside; in the edges, node len(tasks) + i is the end of late[i].
    """

    tasks: tuple[str, ...]
    durations_us: tuple[int, ...]
    edges: tuple[Precedence, ...]
    resources: tuple[Resource, ...]
    stays: tuple[tuple[int, ...], ...] = ()
    late: tuple[int, ...] = ()

    @property
    def pool(self) -> Resource:
        """The devices that do most of the work. Raises InputError if there are none."""
        pools = [resource for resource in self.resources if resource.limit == "devices"]
        if not pools:
            raise InputError("loop: no resource of kind 'devices'; add one")
        return max(pools, key=lambda pool: pool.work_us)

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.tasks + tuple(f"{self.tasks[task]}.end" for task in self.late)

    @property
    def decodes(self) -> frozenset[int]:
        """Tasks of which each block's needs the state that the block before left."""
        return frozenset(task for group in self.stays for task in group)

    def end(self, task: int) -> tuple[int, int]:
        """(node, lag): the task has ended `lag` microseconds after the node starts."""
        return (len(self.tasks) + self.late.index(task), 0) if task in self.late else (task, self.durations_us[task])

    def task(self, node: int) -> int:
        """The task that a node is the start or the end of."""
        return node if node < len(self.tasks) else self.late[node - len(self.tasks)]

    def on(self, units: int) -> Self:
        """The same stream on another number of devices."""
        pool = self.pool
        return self._replace(
            resources=tuple(item._replace(units=units) if item is pool else item for item in self.resources)
        )

    def lags(self) -> list[Edge]:
        """All that one task has to wait for another wherever they run."""
        size = len(self.tasks)
        ends = [Edge(task, size + i, self.durations_us[task], 0) for i, task in enumerate(self.late)]
        return ends + [Edge(*edge[:4]) for edge in self.edges]


class Period(NamedTuple):
    """Microseconds between finished blocks in an endless stream: none is shorter, whatever the schedule.

    `certificate`: the names of the tasks on the critical cycle in order, or of the saturated resource. `closed_form`:
    the value is also reached, by running each block whole on the next device in turn (a decoder's state cannot move
    like that, so not with one that shares several devices).
    """

    value: Fraction
    limit: Limit
    certificate: tuple[str, ...]
    closed_form: bool


def steady_period(loop: Loop) -> Period:
    """The largest of the maximum cycle ratio and each resource's work per unit, exact; of equals the first in `Limit`.

    In a cascade on identical devices whose transfers take no time that is max(largest sum of `offset` consecutive
    passes, work / devices, the decoder). Raises InputError if a block waits for itself, or if nothing limits it.
    """
    limits = _limits(loop)
    if not limits or not loop.tasks:
        raise InputError("loop: needs tasks, and resources or a dependency between blocks; nothing sets its period")
    value, limit, certificate = max(limits, key=lambda item: (item[0], -get_args(Limit).index(item[1])))
    return Period(value, limit, certificate, _rotates(loop, value))


def most_useful_units(loop: Loop) -> int | None:
    """The largest number of devices that still lowers the period: ceil(their work / the largest other limit).

    None if nothing else limits the stream: each further device helps. Raises InputError without devices.
    """
    pool = loop.pool
    others = _limits(loop._replace(resources=tuple(item for item in loop.resources if item is not pool)))
    floor = max((value for value, _, _ in others), default=Fraction(0))
    return max(1, math.ceil(pool.work_us / floor)) if floor > 0 else None


def _limits(loop: Loop) -> list[tuple[Fraction, Limit, tuple[str, ...]]]:
    limits: list[tuple[Fraction, Limit, tuple[str, ...]]] = []
    for resource in loop.resources:
        if resource.units <= 0:
            raise InputError(f"loop: {resource.name} has {resource.units} units; give it at least one")
        limits.append((resource.share, resource.limit, (resource.name,)))
    cycle = max_cycle_ratio(loop.nodes, loop.lags())
    if cycle is not None:
        limit: Limit = "decoder" if loop.decodes.issuperset(cycle.nodes) else "dependencies"
        limits.append((cycle.ratio, limit, tuple(loop.nodes[node] for node in cycle.nodes)))
    return limits


def _rotates(loop: Loop, period: Fraction) -> bool:
    """Whether the tasks of a block back to back, decodes last, keep every edge if a block starts every `period`.

    Then each resource can give each block to the next of its units in turn: a unit is asked for again after
    units * period, and that is no less than its work for a block.
    """
    order = sorted(range(len(loop.tasks)), key=lambda task: (task in loop.decodes, task))
    owners = [task for resource in loop.resources for task, _ in resource.work]
    if loop.late or sorted(owners) != sorted(order):
        return False
    if not all(_in_turn(loop, resource, order) for resource in loop.resources):
        return False
    start = [0] * len(order)
    for before, task in pairwise(order):
        start[task] = start[before] + loop.durations_us[before]
    owner = {task: resource for resource in loop.resources for task, _ in resource.work}
    for edge in loop.edges:
        moves = owner[edge.source] is not owner[edge.target] or (edge.distance != 0 and owner[edge.source].units > 1)
        lag = edge.lag_us + (edge.transfer_us if moves else 0)
        if start[edge.source] + lag > start[edge.target] + period * edge.distance:
            return False
    return True


def _in_turn(loop: Loop, resource: Resource, order: list[int]) -> bool:
    """Whether identical units can each do all that a block asks of them in one go, and no state has to move for it."""
    tasks = {task for task, _ in resource.work}
    places = [place for place, task in enumerate(order) if task in tasks]
    one_go = places == list(range(places[0], places[-1] + 1)) if places else True
    whole = all(work == loop.durations_us[task] for task, work in resource.work)
    moves = resource.units > 1 and not loop.decodes.isdisjoint(tasks)
    return one_go and whole and not moves and resource.units == int(resource.units)
