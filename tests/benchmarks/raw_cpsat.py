"""The plain CP-SAT model of an instance, as one writes it from the solver's manual: a mark for the planner to beat.

Optional intervals per device that exclude each other (one cumulative where devices are equal and nothing travels),
exactly one device a task, precedences, transfers as optional intervals on their lanes, least makespan. No hints, no
heads or tails, no symmetry breaking; but times are divided by their common divisor. Shares no code with the planner.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import defaultdict
from typing import Literal, NamedTuple

from ortools.sat.python import cp_model

from planner.instance import ANY, ORDER, Instance, Schedule, Transfer, Wire

Status = Literal["OPTIMAL", "FEASIBLE", "UNKNOWN"]


class Answer(NamedTuple):
    """`seconds` of the solver alone; `bound_us` is proven."""

    schedule: Schedule | None
    bound_us: int
    status: Status
    seconds: float


def solve(instance: Instance, limit_s: float, workers: int = 0, seed: int = 0) -> Answer:
    """What CP-SAT finds in the time; `workers` 0 leaves their number to it. No gangs, live inputs or releases."""
    assert not any((instance.gangs, instance.live, instance.release_us))
    model = _Model(instance)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit_s
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    begun = time.perf_counter()
    code = solver.solve(model.model)
    seconds = time.perf_counter() - begun
    found = code in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return Answer(
        schedule=model.schedule(solver) if found else None,
        bound_us=math.ceil(solver.best_objective_bound) * model.scale,
        status="OPTIMAL" if code == cp_model.OPTIMAL else "FEASIBLE" if found else "UNKNOWN",
        seconds=seconds,
    )


class _Model:
    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.model = cp_model.CpModel()
        self.scale = math.gcd(*(time for times in instance.durations for time in times), *_transfer_times(instance))
        self.horizon = self._horizon()
        self.starts = [self._time(f"start {task}") for task in range(instance.size)]
        self.ends = [self._time(f"end {task}") for task in range(instance.size)]
        self.on: list[dict[int, cp_model.IntVar]] = []
        self.sends: list[tuple[int, int, int, cp_model.IntVar, cp_model.IntVar, int]] = []
        self.cumulative = _equal_devices(instance)
        self._cumulative() if self.cumulative else self._per_device()
        for task, reads in enumerate(instance.inputs):
            for source, _ in reads:
                self.model.add(self.starts[task] >= self.ends[source])
        if instance.wires is not None:
            self._transfers(instance.wires)
        makespan = self._time("makespan")
        self.model.add_max_equality(makespan, self.ends)
        self.model.minimize(makespan)

    def _time(self, name: str) -> cp_model.IntVar:
        return self.model.new_int_var(0, self.horizon, name)

    def _horizon(self) -> int:
        longest = sum(max(times) for times in self.instance.durations)
        slowest = max(_transfer_times(self.instance), default=0)
        return (longest + slowest * sum(len(reads) for reads in self.instance.inputs)) // self.scale

    def _cumulative(self) -> None:
        intervals = []
        for task, times in enumerate(self.instance.durations):
            length = times[0] // self.scale
            intervals.append(self.model.new_interval_var(self.starts[task], length, self.ends[task], f"task {task}"))
        self.model.add_cumulative(intervals, [1] * len(intervals), self.instance.units)

    def _per_device(self) -> None:
        held = defaultdict(list)
        for task, times in enumerate(self.instance.durations):
            self.on.append({})
            for unit, us in enumerate(times):
                if us:
                    here = self.on[task][unit] = self.model.new_bool_var(f"task {task} on {unit}")
                    held[unit].append(
                        self.model.new_optional_interval_var(
                            self.starts[task], us // self.scale, self.ends[task], here, f"{task} on {unit}"
                        )
                    )
            self.model.add_exactly_one(self.on[task].values())
        for intervals in held.values():
            self.model.add_no_overlap(intervals)
        for task, leader in enumerate(self.instance.stays):
            if leader != ANY:
                for unit in self.on[task].keys() | self.on[leader].keys():
                    self.model.add(self.on[task].get(unit, 0) == self.on[leader].get(unit, 0))

    def _transfers(self, wires: dict[tuple[int, int], Wire]) -> None:
        readers = defaultdict(list)
        for task, reads in enumerate(self.instance.inputs):
            for source, payload in reads:
                if payload != ORDER:
                    readers[source, payload].append(task)
        lanes = defaultdict(list)
        for (source, payload), tasks in readers.items():
            for (start, target), wire in wires.items():
                there = [task for task in tasks if target in self.on[task]]
                if start in self.on[source] and there:
                    interval = self._send(source, payload, there, start, target, wire)
                    for lane in wire.lanes:
                        lanes[lane].append(interval)
        for intervals in lanes.values():
            self.model.add_no_overlap(intervals)

    def _send(
        self, source: int, payload: int, readers: list[int], start: int, target: int, wire: Wire
    ) -> cp_model.IntervalVar:
        """One payload over one wire, if its maker is on one end and a reader on the other."""
        us = wire.transfer_us(self.instance.payload_bytes[payload])
        name = f"payload {payload} from {start} to {target}"
        sent, begins = self.model.new_bool_var(name), self._time(name)
        interval = self.model.new_optional_fixed_size_interval_var(begins, us // self.scale, sent, name)
        self.model.add_implication(sent, self.on[source][start])
        self.model.add(begins >= self.ends[source]).only_enforce_if(sent)
        for task in readers:
            both = [self.on[source][start], self.on[task][target]]
            self.model.add_implication(both[0], sent).only_enforce_if(both[1])
            self.model.add(self.starts[task] >= begins + us // self.scale).only_enforce_if(both)
        self.sends.append((payload, start, target, sent, begins, us))
        return interval

    def schedule(self, solver: cp_model.CpSolver) -> Schedule:
        starts = [solver.value(start) * self.scale for start in self.starts]
        ends = [solver.value(end) * self.scale for end in self.ends]
        if self.cumulative:
            return Schedule(coloured(starts, ends), starts, ends, [])
        units = [next(unit for unit, here in on.items() if solver.boolean_value(here)) for on in self.on]
        transfers = [
            Transfer(payload, source, target, solver.value(begins) * self.scale, solver.value(begins) * self.scale + us)
            for payload, source, target, sent, begins, us in self.sends
            if solver.boolean_value(sent)
        ]
        return Schedule(units, starts, ends, transfers)


def coloured(starts: list[int], ends: list[int]) -> list[int]:
    """A unit for each interval such that those of a unit do not overlap; as few units as overlap at once."""
    units, free, busy = [0] * len(starts), list(range(len(starts))), list[tuple[int, int]]()
    for task in sorted(range(len(starts)), key=lambda task: (starts[task], ends[task])):
        while busy and busy[0][0] <= starts[task]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        units[task] = heapq.heappop(free)
        heapq.heappush(busy, (ends[task], units[task]))
    return units


def _equal_devices(instance: Instance) -> bool:
    equal = all(len(set(times)) == 1 for times in instance.durations)
    return equal and instance.wires is None and all(leader == ANY for leader in instance.stays)


def _transfer_times(instance: Instance) -> set[int]:
    sizes = {instance.payload_bytes[payload] for reads in instance.inputs for _, payload in reads if payload != ORDER}
    wires = set((instance.wires or {}).values())
    return {wire.transfer_us(size) for wire in wires for size in sizes}
