"""A strong lower bound where units differ: the linear program of who runs what, and its multipliers in whole numbers.

Tasks may be cut and shared between units at will; ways through the instance and the load of each unit must fit.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from planner.instance import ANY
from planner.schedulers.frontier_tables import NEVER, Ints, Tables

SCALE = 10_000  # the multipliers' sum, before rounding
THRESHOLDS = 8  # how many heads and tails a unit's load is reckoned for

Window = tuple[int, int, int]  # pool, least head, least tail


class Multipliers(NamedTuple):
    """Whole numbers that prove a bound: how much flows along each input and out of each last task, and how much each
    load weighs. What flows into a task flows on, so rounding costs sharpness but never truth.
    """

    flows: dict[tuple[int, int], int]  # by (maker, reader)
    ends: dict[int, int]
    loads: dict[Window, int]

    def mirrored(self, size: int) -> Multipliers:
        """Those of the mirrored instance."""
        last = size - 1
        through = self.flow_through(size)
        entering = dict.fromkeys(range(size), 0)
        for (_, reader), flow in self.flows.items():
            entering[reader] += flow
        starts = {last - task: int(through[task]) - entering[task] for task in range(size)}
        return Multipliers(
            flows={(last - reader, last - maker): flow for (maker, reader), flow in self.flows.items()},
            ends={task: flow for task, flow in starts.items() if flow},
            loads={(pool, tail, head): weight for (pool, head, tail), weight in self.loads.items()},
        )

    def flow_through(self, size: int) -> Ints:
        """By task; as much as flows out."""
        flow_T = np.zeros(size, dtype=np.int64)
        for task, flow in self.ends.items():
            flow_T[task] += flow
        for (maker, _), flow in self.flows.items():
            flow_T[maker] += flow
        return flow_T

    def by_tail(self) -> dict[tuple[int, int], int]:
        """The loads' weights, whatever their heads, by (pool, tail)."""
        found: dict[tuple[int, int], int] = defaultdict(int)
        for (pool, _, tail), weight in self.loads.items():
            found[pool, tail] += weight
        return dict(sorted(found.items()))

    def total(self, spans: list[tuple[int, int]]) -> int:
        """What the sum they prove is to be divided by."""
        units = [end - begin for begin, end in spans]
        return sum(self.ends.values()) + sum(weight * units[pool] for (pool, _, _), weight in self.loads.items())


def linear_bound(tables: Tables) -> tuple[int, Multipliers] | None:
    """A lower bound of the makespan in ticks, and the multipliers that prove it; None if the program is not solved.

    Milliseconds for a hundred tasks. Needs OR-tools (GLOP).
    """
    program = _Program(tables)
    if not program.solve():
        return None
    multipliers = program.multipliers()
    return program.proven(multipliers), multipliers


class _Load(NamedTuple):
    """The tasks that a pool's load counts, and what its units lie idle before and after, at least."""

    tasks: list[int]
    idle: int
    constraint: Any


class _Program:
    """Least makespan, with each task's start and its share of each pool."""

    def __init__(self, tables: Tables) -> None:
        from ortools.linear_solver import pywraplp

        self._tables = tables
        self._solver = pywraplp.Solver.CreateSolver("GLOP")
        self._pools = [begin for begin, _ in tables.spans]
        self._makespan = self._solver.NumVar(0, self._solver.infinity(), "")
        self._starts = [self._solver.NumVar(int(head), self._solver.infinity(), "") for head in tables.heads_T]
        self._shares = [self._share(task) for task in range(tables.size)]
        self._inputs = {
            (maker, task): self._at_least(0, [(self._starts[task], 1), *self._minus_end(maker)])
            for task in range(tables.size)
            for maker in sorted(tables.makers[task])
        }
        made = {maker for makers in tables.makers for maker in makers}
        last = [task for task in range(tables.size) if task not in made]
        self._ends = {task: self._at_least(0, [(self._makespan, 1), *self._minus_end(task)]) for task in last}
        self._loads = dict(self._all_loads())
        self._stay_together()

    def solve(self) -> bool:
        self._solver.Minimize(self._makespan)
        return bool(self._solver.Solve() == self._solver.OPTIMAL)

    def multipliers(self) -> Multipliers:
        """The dual values, in whole numbers."""
        out = [0] * self._tables.size
        ends = {}
        for task, constraint in self._ends.items():
            out[task] = max(0, round(constraint.dual_value() * SCALE))
            if out[task]:
                ends[task] = out[task]
        flows: dict[tuple[int, int], int] = {}
        for task in range(self._tables.size - 1, -1, -1):
            for maker, flow in self._split(task, out[task]):
                flows[maker, task] = flow
                out[maker] += flow
        loads = {window: round(load.constraint.dual_value() * SCALE) for window, load in self._loads.items()}
        return Multipliers(flows, ends, {window: weight for window, weight in loads.items() if weight > 0})

    def proven(self, multipliers: Multipliers) -> int:
        """The bound that the whole numbers prove."""
        tables = self._tables
        through = multipliers.flow_through(tables.size).tolist()
        cost_TP = np.array(through, dtype=np.int64)[:, None] * np.minimum(tables.duration_TP, NEVER)
        total = 0
        for window, weight in multipliers.loads.items():
            begin, end = tables.spans[window[0]]
            load = self._loads[window]
            cost_TP[load.tasks, begin:end] += weight * tables.duration_TP[load.tasks, begin:end]
            total += weight * load.idle
        total += int(sum(through[task] * tables.heads_T[task] for task in range(tables.size)))
        total -= int(sum(flow * tables.heads_T[reader] for (_, reader), flow in multipliers.flows.items()))
        cost_TP[tables.duration_TP >= NEVER] = NEVER * SCALE
        alone_T = tables.chain_T == ANY
        total += int(cost_TP[alone_T].min(axis=1).sum())
        for chain in range(tables.chains):
            total += int(cost_TP[tables.chain_T == chain].sum(axis=0).min())
        return -(-total // multipliers.total(tables.spans))

    def _share(self, task: int) -> dict[int, Any]:
        """How much of the task each pool does."""
        pools = [pool for pool, place in enumerate(self._pools) if self._tables.duration_TP[task, place] < NEVER]
        shares = {pool: self._solver.NumVar(0, 1, "") for pool in pools}
        self._equal(1, [(share, 1) for share in shares.values()])
        return shares

    def _length(self, task: int, pool: int) -> int:
        return int(self._tables.duration_TP[task, self._pools[pool]])

    def _minus_end(self, task: int) -> list[tuple[Any, int]]:
        lengths = [(share, -self._length(task, pool)) for pool, share in self._shares[task].items()]
        return [(self._starts[task], -1), *lengths]

    def _stay_together(self) -> None:
        for chain in range(self._tables.chains):
            first, *others = np.flatnonzero(self._tables.chain_T == chain).tolist()
            for task in others:
                for pool, share in self._shares[task].items():
                    self._equal(0, [(share, 1), (self._shares[first][pool], -1)])

    def _all_loads(self) -> list[tuple[Window, _Load]]:
        """Each pool's load in each window of heads and tails: units x makespan >= idle before + work + idle after."""
        heads, tails = self._tables.heads_T.tolist(), self._tables.tails_T.tolist()
        found = []
        for pool, (begin, end) in enumerate(self._tables.spans):
            for head in _spread(heads):
                for tail in _spread(tails):
                    on_pool = [task for task, shares in enumerate(self._shares) if pool in shares]
                    tasks = [task for task in on_pool if heads[task] >= head and tails[task] >= tail]
                    if not tasks:
                        continue
                    idle = _smallest([heads[task] for task in tasks], end - begin)
                    idle += _smallest([tails[task] for task in tasks], end - begin)
                    work = [(self._shares[task][pool], -self._length(task, pool)) for task in tasks]
                    constraint = self._at_least(idle, [(self._makespan, end - begin), *work])
                    found.append(((pool, head, tail), _Load(tasks, idle, constraint)))
        return found

    def _split(self, task: int, flow: int) -> list[tuple[int, int]]:
        """How much of what flows through a task comes from each maker; the rest starts here."""
        duals = {maker: self._inputs[maker, task].dual_value() for maker in sorted(self._tables.makers[task])}
        wanted = {maker: max(0, round(dual * SCALE)) for maker, dual in duals.items()}
        found = []
        for maker, want in wanted.items():
            given = min(want, flow)
            flow -= given
            if given:
                found.append((maker, given))
        return found

    def _at_least(self, bound: int, terms: list[tuple[Any, int]]) -> Any:
        return self._constraint(bound, self._solver.infinity(), terms)

    def _equal(self, value: int, terms: list[tuple[Any, int]]) -> None:
        self._constraint(value, value, terms)

    def _constraint(self, low: float, high: float, terms: list[tuple[Any, int]]) -> Any:
        constraint = self._solver.Constraint(low, high)
        for variable, factor in terms:
            constraint.SetCoefficient(variable, factor)
        return constraint


def _spread(values: list[int]) -> list[int]:
    """Some of the values, from the least to the largest."""
    distinct = sorted(set(values))
    if len(distinct) <= THRESHOLDS:
        return distinct
    return sorted({distinct[round(at * (len(distinct) - 1) / (THRESHOLDS - 1))] for at in range(THRESHOLDS)})


def _smallest(values: list[int], count: int) -> int:
    """The sum of the `count` smallest; units beyond the tasks repeat the least."""
    ranked = sorted(values)[:count]
    return sum(ranked) + (count - len(ranked)) * min(ranked)
