"""The tasks of a stream's beginning without their times: the same on every kind of device and link.

A grid asks for the same pattern on the same placement on many devices. Which tasks there are, what they hand on and
what they hold in memory is then found once, and only the durations are filled in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from models.spec import ModelSpec
from planner.action import Action, Kind, Payload
from planner.cluster import DEVICES, LINKS, Cluster
from planner.cost import Costs
from planner.expand import Tasks, expand
from planner.flow import Flow
from planner.instance import Live
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.searching.case import price
from planner.streams.stream import lookahead
from planner.workload import Workload

KEPT = 400  # shapes that a process remembers


class Key(NamedTuple):
    """All that a shape depends on."""

    spec: ModelSpec
    workload: Workload
    kv_transfer: str
    nodes: tuple[int, ...]
    pattern: Pattern
    placement: Placement

    @classmethod
    def of(cls, priced: Costs) -> Key:
        problem, flow = priced.problem, priced.flow
        nodes = problem.cluster.nodes or (problem.cluster.size,)
        return cls(problem.model, problem.workload, problem.kv_transfer, nodes, flow.pattern, flow.placement)


class Shape(NamedTuple):
    """Tasks whose durations stand for `likes`: row t holds, for each unit, 1 + the place of one that takes as long as
    task t there, or 0. `holds[t]`: for each unit that works on task t, the payloads that are there meanwhile.
    `resident`, `states`: of each unit's fullest rank, weights and working memory, and decoders' state, bytes.
    """

    tasks: Tasks
    rows: list[tuple[int, ...]]
    likes: list[tuple[Action, int]]
    holds: list[list[tuple[int, tuple[int, ...]]]]
    resident: list[int]
    states: list[int]

    def timed(self, priced: Costs) -> Tasks:
        """The tasks with the durations, wires and sizes of these costs."""
        us = [0, *(priced.compute_us(action, rank) for action, rank in self.likes)]
        old, units = self.tasks.instance, priced.flow.layout.units
        wires = {(a, b): priced.wire(units[a][0], units[b][0]) for a, b in old.wires} if old.wires else None
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        durations = [known.get(row) or known.setdefault(row, tuple(us[at] for at in row)) for row in self.rows]
        sizes = [
            priced.sent_bytes(payload) if payload.carries == "features" else size
            for payload, size in zip(self.tasks.payloads, old.payload_bytes, strict=True)
        ]
        made = old._replace(durations=durations, wires=wires, payload_bytes=sizes)
        if old.live:
            made = made._replace(live={task: self._live(task, durations) for task in old.live})
        return self.tasks._replace(instance=made)

    def _live(self, task: int, durations: list[tuple[int, ...]]) -> tuple[Live, ...]:
        """What a task reads layer by layer: a layer takes its share of the least that its task takes anywhere."""
        layers = self.tasks.instance.layers

        def layer_us(of: int) -> int:
            return min(-(-us // layers) for us in durations[of] if us)

        last = layer_us(task)
        return tuple(
            Live(live.source, live.payload, layer_us(live.source), last) for live in self.tasks.instance.live[task]
        )


def shape_of(priced: Costs) -> Shape:
    """The shape of a stream's beginning, of whatever devices and links."""
    return _shape(Key.of(priced))


@lru_cache(maxsize=KEPT)
def _shape(key: Key) -> Shape:
    some, link = DEVICES["h100"], LINKS["nvlink4"]
    cluster = Cluster(devices=(some,) * sum(key.nodes), link=link, nodes=key.nodes, network=link)
    problem = Problem(model=key.spec, cluster=cluster, workload=key.workload, kv_transfer=key.kv_transfer)  # type: ignore[arg-type]  # read off a problem
    priced = price(problem, key.pattern, key.placement)
    tasks = expand(priced, lookahead(problem, key.pattern))
    likes: dict[object, int] = {}
    examples: list[tuple[Action, int]] = []
    leaders = [ranks[0] for ranks in priced.flow.layout.units]
    rows = []
    for action, row in zip(tasks.actions, tasks.instance.durations, strict=True):
        places = []
        for rank, us in zip(leaders, row, strict=True):
            name = _name(action, rank, priced) if us else None
            if us and name not in likes:
                examples.append((action, rank))
                likes[name] = len(examples)
            places.append(likes[name] if us else 0)
        rows.append(tuple(places))
    return Shape(tasks, rows, examples, _holds(tasks, priced.flow), *_residents(tasks, priced))


def _name(action: Action, rank: int, priced: Costs) -> object:
    """Equal names take equally long: every block but the first is decoded like any other."""
    like = action._replace(block=min(1, action.block)) if action.kind is Kind.DECODE else action
    return priced.passes.key(like, rank)


def _holds(tasks: Tasks, flow: Flow) -> list[list[tuple[int, tuple[int, ...]]]]:
    number = {payload: at for at, payload in enumerate(tasks.payloads)}
    found = []
    for action, row in zip(tasks.actions, tasks.instance.durations, strict=True):
        shares = _shares(action, flow) or [(unit, action) for unit, us in enumerate(row) if us]
        # On whichever unit a task runs, it holds the same.
        same = None if action.kind is Kind.TICK else _touched(action, flow, number)
        found.append([(unit, same or _touched(share, flow, number)) for unit, share in shares])
    return found


def _touched(action: Action, flow: Flow, number: dict[Payload, int]) -> tuple[int, ...]:
    payloads = (*flow.needs(action), *flow.makes(action))
    return tuple(dict.fromkeys(number[payload] for payload in payloads if payload in number))


def _shares(action: Action, flow: Flow) -> list[tuple[int, Action]]:
    """What each unit of a gang does; nothing for a task that runs on one unit."""
    if action.kind is not Kind.TICK:
        return []
    return [(unit, action._replace(batch=share)) for unit, share in enumerate(flow.shares(action.block))]


def _residents(tasks: Tasks, priced: Costs) -> tuple[list[int], list[int]]:
    """Of each unit, as if it ran all that it may run."""
    flow = priced.flow
    resident, states = [], []
    for unit in range(len(flow.layout.units)):
        some: dict[tuple[Kind, int], Action] = {}
        for action, row in zip(tasks.actions, tasks.instance.durations, strict=True):
            for at, share in _shares(action, flow) or [(unit, action)] if row[unit] else ():
                if at == unit:
                    some[share.kind, len(share.batch)] = share
        coders = len({kind for kind, _ in some} & {Kind.DECODE, Kind.ENCODE})
        resident.append(priced.resident_bytes(some.values()) if some else 0)
        states.append(coders * priced.passes.decoder.state_bytes)
    return resident, states
