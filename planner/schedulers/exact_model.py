"""The model that CP-SAT solves: is there a schedule that ends before a limit?

Equal units share one cumulative constraint and are told apart afterwards; units that matter have optional intervals.
A payload has an optional interval on the lanes of each wire it may take. Times are in ticks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from ortools.sat.python import cp_model

from planner.bounds.candidates import candidates, leaders
from planner.bounds.heads import HeadsTails
from planner.instance import ANY, ORDER, Schedule, Wire
from planner.schedulers.exact_answer import Answer
from planner.schedulers.pools import Pool, chained, pools
from planner.schedulers.ticks import Ticks
from planner.schedulers.twins import twins

Value = Callable[[cp_model.IntVar], int]
Literal = cp_model.IntVar
Expression = cp_model.LinearExpr | cp_model.IntVar


class Limits(NamedTuple):
    """What is asked for: an end before `limit`; none is possible before `bound`. Both in ticks.

    `together`: equal units are told apart by nothing, not even by chains of tasks that stay together; what is found is
    then a bound.
    """

    limit: int
    bound: int
    together: bool = False


class _Way(NamedTuple):
    """One payload over one wire, if `sent`."""

    payload: int
    target: int
    sent: Literal
    start: cp_model.IntVar


class _Task(NamedTuple):
    """A task's variables; `on` by pool, `length` and `end` are expressions where pools differ."""

    start: cp_model.IntVar
    end: Expression
    least: int
    on: dict[int, Literal]


class ExactModel:
    """Variables and constraints of one instance; `answer` reads a solution."""

    def __init__(self, ticks: Ticks, known: HeadsTails, limits: Limits) -> None:
        self.model = cp_model.CpModel()
        self._ticks, self._instance, self._limits = ticks, ticks.instance, limits
        self._always = self.model.new_constant(1)
        self._pools = self._all_pools()
        self._heads = [ticks.at_least(head) for head in known.heads]
        self._tails = [ticks.at_least(tail) for tail in known.tails]
        self.is_impossible = max(self._longest(), limits.bound) >= limits.limit
        if self.is_impossible:
            return
        self._makespan = self.model.new_int_var(limits.bound, limits.limit - 1, "makespan")
        self._tasks: list[_Task] = []
        for number, may in enumerate(self._allowed()):
            self._tasks.append(self._task(number, may))
        self._ways: list[_Way] = []
        self._share_units()
        self._wait_for_inputs()
        self._wait_for_live_inputs()
        if self._instance.wires is not None:
            self._transfers(self._instance.wires)
        for task in self._tasks:
            self.model.add(self._makespan >= task.end)
        self.model.minimize(self._makespan)

    def answer(self, value: Value) -> Answer:
        """What a solution says, given the value of each variable."""
        chosen = [next(pool for pool, on in task.on.items() if value(on)) for task in self._tasks]
        return Answer(
            pools=[self._pools[pool] for pool in chosen],
            starts=[value(task.start) for task in self._tasks],
            sends={(way.payload, way.target): value(way.start) for way in self._ways if value(way.sent)},
        )

    def start_from(self, schedule: Schedule) -> None:
        """Hints at a schedule that the solver may begin with."""
        sent = {(transfer.payload, transfer.target): transfer for transfer in schedule.transfers}
        hinted = set()
        for number, task in enumerate(self._tasks):
            self.model.add_hint(task.start, schedule.starts_us[number] // self._ticks.tick_us)
            for pool, on in task.on.items():
                if len(task.on) > 1 and on.index not in hinted:
                    hinted.add(on.index)
                    self.model.add_hint(on, schedule.units[number] in self._pools[pool])
        for way in self._ways:
            transfer = sent.get((way.payload, way.target))
            if transfer is not None and way.start.index not in hinted:
                hinted.add(way.start.index)
                self.model.add_hint(way.start, transfer.start_us // self._ticks.tick_us)

    # -- tasks and units

    def _longest(self) -> int:
        """The longest way through the instance."""
        units = candidates(self._instance)
        least = [min(self._ticks.duration(task, unit) for unit in may) for task, may in enumerate(units)]
        return max(map(sum, zip(self._heads, least, self._tails, strict=True)), default=0)

    def _all_pools(self) -> list[Pool]:
        instance = self._instance
        if self._limits.together:
            return [tuple(range(instance.units))]
        if instance.wires is not None:
            return [(unit,) for unit in range(instance.units)]
        return pools(instance)

    def _allowed(self) -> list[list[int]]:
        """The pools each task may run on."""
        leads, chains = leaders(self._instance), chained(self._instance)
        found = []
        for task, units in enumerate(candidates(self._instance)):
            may = [nth for nth, pool in enumerate(self._pools) if pool[0] in units]
            named = leads[task] in chains and not self._limits.together
            found.append([nth for nth in may if len(self._pools[nth]) == 1] if named else may)
        return found

    def _task(self, task: int, may: list[int]) -> _Task:
        lead, limit = leaders(self._instance)[task], self._limits.limit - 1
        lengths = {pool: self._ticks.duration(task, self._pools[pool][0]) for pool in may}
        least, tail = min(lengths.values()), self._tails[task]
        start = self.model.new_int_var(self._heads[task], limit - tail - least, f"start {task}")
        if lead != task and not self._limits.together:
            on = self._tasks[lead].on
        elif len(may) == 1:
            on = {may[0]: self._always}
        else:
            on = {pool: self.model.new_bool_var(f"{task} on {pool}") for pool in may}
            self.model.add_exactly_one(on.values())
        longer = [(on[pool], length - least) for pool, length in lengths.items() if length > least]
        end: Expression = start + least + sum(extra * literal for literal, extra in longer)
        if self._instance.live.get(task):
            done = self.model.new_int_var(self._heads[task] + least, limit - tail, f"end {task}")
            self.model.add(done >= end)
            end = done
        elif longer:
            self.model.add(end <= limit - tail)
        return _Task(start, end, least, on)

    def _share_units(self) -> None:
        """No unit runs two tasks at a time; of pools, no more tasks than units."""
        held: dict[int, list[int]] = defaultdict(list)
        intervals: dict[int, list[cp_model.IntervalVar]] = defaultdict(list)
        for number, task in enumerate(self._tasks):
            for pool, literal in task.on.items():
                interval = self._interval(number, pool, literal)
                for member in self._members(number, pool):
                    held[member].append(number)
                    intervals[member].append(interval)
        for pool, found in sorted(intervals.items()):
            if len(self._pools[pool]) == 1:
                self.model.add_no_overlap(found)
            else:
                self.model.add_cumulative(found, [1] * len(found), len(self._pools[pool]))
            if len(self._pools) > 1:
                self._load(pool, held[pool])
        if len(self._pools) > 1 and not self._instance.gangs:
            every = [self.model.new_fixed_size_interval_var(task.start, task.least, "") for task in self._tasks]
            self.model.add_cumulative(every, [1] * len(every), self._instance.units)

    def _interval(self, number: int, pool: int, literal: Literal) -> cp_model.IntervalVar:
        task, length = self._tasks[number], self._ticks.duration(number, self._pools[pool][0])
        if self._instance.live.get(number):
            lasts = self.model.new_int_var(length, max(length, self._limits.limit), "")
            return self.model.new_optional_interval_var(task.start, lasts, task.end, literal, "")
        return self.model.new_optional_fixed_size_interval_var(task.start, length, literal, "")

    def _members(self, number: int, pool: int) -> list[int]:
        """The pools that a task on a pool holds: all of its gang's."""
        gang = self._instance.gangs.get(number)
        return [self._pools.index((unit,)) for unit in gang] if gang else [pool]

    def _load(self, pool: int, numbers: list[int]) -> None:
        """The work on a pool's units fits between the least head and the least tail."""
        work = []
        for number in numbers:
            task, gang = self._tasks[number], number in self._instance.gangs
            length = task.least if gang else self._ticks.duration(number, self._pools[pool][0])
            work.append(length * (self._always if gang else task.on[pool]))
        idle = min(self._heads[number] for number in numbers) + min(self._tails[number] for number in numbers)
        units = len(self._pools[pool])
        # An unused unit lies idle all the time, which is at least as long.
        self.model.add(cp_model.LinearExpr.sum(work) <= units * self._makespan - units * idle)

    # -- inputs

    def _wait_for_inputs(self) -> None:
        for number, task in enumerate(self._tasks):
            for maker, _ in self._instance.inputs[number]:
                self.model.add(task.start >= self._tasks[maker].end)
        for number, twin in enumerate(twins(self._instance)):
            if twin != ANY:
                self.model.add(self._tasks[number].start >= self._tasks[twin].start)

    def _wait_for_live_inputs(self) -> None:
        """On one unit the reader follows; on two they run beside one another, if nothing has to travel."""
        for number, lives in self._instance.live.items():
            task = self._tasks[number]
            for live in lives:
                source = self._tasks[live.source]
                same = self.model.new_bool_var("")
                for pool in sorted(task.on.keys() | source.on.keys()):
                    here, there = task.on.get(pool), source.on.get(pool)
                    if here is None or there is None:
                        only = here if here is not None else there
                        assert only is not None
                        self.model.add_implication(same, only.negated())
                    else:
                        self.model.add(here == there).only_enforce_if(same)
                        self.model.add_bool_or(same, here.negated(), there.negated())
                self.model.add(task.start >= source.end).only_enforce_if(same)
                first, last = live.first_us // self._ticks.tick_us, live.last_us // self._ticks.tick_us
                self.model.add(task.start >= source.start + first).only_enforce_if(same.negated())
                self.model.add(task.end >= source.end + last).only_enforce_if(same.negated())

    # -- transfers

    def _transfers(self, wires: dict[tuple[int, int], Wire]) -> None:
        """Each payload goes once to each unit that needs it, from its maker's; lanes carry one at a time."""
        readers: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, reads in enumerate(self._instance.inputs):
            for maker, payload in reads:
                if payload != ORDER and self._tasks[maker].on is not self._tasks[number].on:
                    readers[maker, payload].append(number)
        lanes: dict[int, list[cp_model.IntervalVar]] = defaultdict(list)
        for (maker, payload), numbers in readers.items():
            for number in numbers:
                self._cross(maker, payload, number)
            for target in range(self._instance.units):
                there = [number for number in numbers if target in self._tasks[number].on]
                for source, interval in self._sends(maker, payload, target, there) if there else ():
                    for lane in wires[source, target].lanes:
                        lanes[lane].append(interval)
        for found in lanes.values():
            self.model.add_no_overlap(found)

    def _cross(self, maker: int, payload: int, reader: int) -> None:
        """Wherever the two run: if apart, the quickest way lies between them."""
        made, read = self._tasks[maker], self._tasks[reader]
        ways = [self._ticks.transfer(u, v, payload) for u in made.on for v in read.on if u != v]
        if ways:
            apart = self.model.new_bool_var("")
            for unit, here in read.on.items():
                there = made.on.get(unit)
                self.model.add_bool_or(apart, here.negated(), *([there] if there is not None else []))
            self.model.add(read.start >= made.end + min(ways) * apart)

    def _sends(
        self, maker: int, payload: int, target: int, readers: list[int]
    ) -> list[tuple[int, cp_model.IntervalVar]]:
        """The ways of a payload to a unit, by the unit it comes from."""
        made = self._tasks[maker]
        start = self.model.new_int_var(self._heads[maker] + made.least, self._limits.limit, "")
        self.model.add(start >= made.end)
        found = []
        for source in sorted(made.on.keys() - {target}):
            lasts, sent = self._ticks.transfer(source, target, payload), self.model.new_bool_var("")
            self.model.add_implication(sent, made.on[source])
            for number in readers:
                reader = self._tasks[number]
                self.model.add_bool_or(sent, made.on[source].negated(), reader.on[target].negated())
                self.model.add(reader.start >= start + lasts).only_enforce_if(made.on[source], reader.on[target])
            self._ways.append(_Way(payload, target, sent, start))
            found.append((source, self.model.new_optional_fixed_size_interval_var(start, lasts, sent, "")))
        return found
