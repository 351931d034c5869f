"""One list schedule of the beginning of a stream, long enough to have settled, and the figures that it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from planner.action import Kind
from planner.cost import Costs
from planner.errors import InputError
from planner.expand import Tasks
from planner.instance import Instance, Schedule
from planner.patterns import Pattern
from planner.placement import Placement, most_busy
from planner.problem import Problem
from planner.schedulers.list_schedule import Rule, list_schedule
from planner.schedulers.replay import replay
from planner.searching.case import passes_of, price
from planner.searching.quick import least_period
from planner.streams.stream import of_length
from planner.sweeping.shape import Shape, shape_of

RULE: Rule = "oldest block"  # what a viewer waits for first
STEADY = 4  # a rhythm has to be heard over so many blocks


class Clip(NamedTuple):
    """The first blocks of a stream: when each begins and is finished, and what it takes once settled, microseconds."""

    begun_us: tuple[int, ...]
    finished_us: tuple[int, ...]
    period_us: float

    def finished_at(self, blocks: int) -> float:
        """When a clip of so many blocks is finished."""
        known = len(self.finished_us)
        if blocks <= known:
            return max(self.finished_us[:blocks])
        return max(self.finished_us) + (blocks - known) * self.period_us

    @property
    def control_us(self) -> int:
        """At worst in a long clip."""
        return self.control_at(len(self.finished_us))

    def control_at(self, blocks: int) -> int:
        """At worst in a clip of so many blocks: a change comes just after one has begun, so the next one shows it."""
        pairs = zip(self.finished_us[1:blocks], self.begun_us, strict=False)
        return max((done - began for done, began in pairs), default=self.finished_us[0])


class Laid(NamedTuple):
    """A pattern on a placement, laid out as a stream's beginning."""

    priced: Costs
    shape: Shape
    tasks: Tasks
    schedule: Schedule
    clip: Clip
    used: tuple[int, ...]  # ranks that compute
    bound_us: float  # no schedule of it has a shorter period

    @property
    def devices(self) -> int:
        return len(self.used)


def stream_problem(problem: Problem, pattern: Pattern) -> Problem:
    """The problem with as many blocks as it takes to settle into a rhythm and to see it, and no prompt switch."""
    spec = problem.model
    in_flight = _in_flight(pattern, problem)
    seen = 2 * min(problem.cluster.size, in_flight) + STEADY
    # What bounds a stream's period looks at a block that the last ones do not touch.
    blocks = max(spec.window_blocks + 2 * in_flight + seen, spec.window_blocks + spec.passes + 3)
    plain = problem.workload.model_copy(update={"switches": ()})
    return of_length(problem.model_copy(update={"workload": plain}), blocks)


def lay_out(problem: Problem, pattern: Pattern, placement: Placement) -> Laid:
    """The stream's beginning by one list rule. Raises InputError if the placement cannot run the pattern."""
    stream = stream_problem(problem, pattern)
    priced = price(stream, pattern, placement)
    shape = shape_of(priced)
    tasks = shape.timed(priced)
    schedule = list_schedule(tasks.instance, RULE)
    if priced.post_us and schedule.transfers:
        tasks = tasks._replace(instance=posted(tasks.instance, schedule, priced.post_us))
        schedule = played(schedule, tasks.instance)
    return laid(priced, shape, tasks, schedule)


def posted(instance: Instance, schedule: Schedule, post_us: int) -> Instance:
    """The tasks with what it takes their units to post the schedule's messages: a send after the task that made it, a
    receive before the first that reads it there.
    """
    maker = {payload: task for reads in instance.inputs for task, payload in reads}
    first: dict[tuple[int, int], int] = {}
    for task in sorted(range(instance.size), key=lambda task: schedule.starts_us[task]):
        for _, payload in instance.inputs[task]:
            first.setdefault((payload, schedule.units[task]), task)
    posts = Counter(maker[way.payload] for way in schedule.transfers if way.payload in maker)
    posts.update(first[where] for way in schedule.transfers if (where := (way.payload, way.target)) in first)
    durations = [
        tuple(us and us + posts[task] * post_us for us in row) if task in posts else row
        for task, row in enumerate(instance.durations)
    ]
    return instance._replace(durations=durations)


def played(schedule: Schedule, instance: Instance) -> Schedule:
    """The tasks on the schedule's units in its order; what is read layer by layer is scheduled anew."""
    order = sorted(range(instance.size), key=lambda task: (schedule.starts_us[task], schedule.ends_us[task], task))
    made = None if instance.live else replay(instance, schedule.units, order)
    return made or list_schedule(instance, RULE)


def laid(priced: Costs, shape: Shape, tasks: Tasks, schedule: Schedule, *, bound: bool = True) -> Laid:
    """A schedule with what its blocks come to. `bound`: the period is at least what the costs allow."""
    flow = priced.flow
    begun = [-1] * flow.blocks
    finished = [0] * flow.blocks
    units: set[int] = set()
    decodes = flow.decodes
    last = [flow.spec.block_steps(block) - 1 for block in range(flow.blocks)]
    for action, unit, start, end in zip(
        tasks.actions, schedule.units, schedule.starts_us, schedule.ends_us, strict=True
    ):
        kind = action.kind
        units.add(unit)
        if kind is Kind.DECODE:
            finished[action.block] = max(end, finished[action.block])
            continue
        if kind is Kind.TICK:
            units.update(range(flow.layout.denoising))
        for block, stage in passes_of(action, flow):
            begun[block] = start if begun[block] < 0 else min(begun[block], start)
            if not decodes and stage == last[block]:
                finished[block] = max(end, finished[block])
    settled = max(2, flow.blocks - _in_flight(flow.pattern, priced.problem))
    least = least_period(priced) if bound else 1.0
    period = max(rhythm(finished[:settled]), least)
    clip = Clip(tuple(begun), tuple(finished), period)
    used = tuple(sorted(rank for unit in units for rank in flow.layout.units[unit]))
    return Laid(priced, shape, tasks, schedule, clip, used, least)


def rhythm(finished: Sequence[int]) -> float:
    """The time from block to block that a stream has settled into; without a rhythm, the mean of its second half."""
    if len(finished) < 2:
        raise InputError("a rhythm needs two blocks or more")
    most = len(finished) // 2
    for beat in range(1, most + 1):
        again = min(max(beat, STEADY) + 1, len(finished) - beat)
        spans = {finished[-1 - at] - finished[-1 - at - beat] for at in range(again)}
        if len(spans) == 1:
            return max(1.0, spans.pop() / beat)
    return max(1.0, (finished[-1] - finished[-1 - most]) / most)


def _in_flight(pattern: Pattern, problem: Problem) -> int:
    """Blocks that are under way at once, at most."""
    if pattern.name == "layers":
        return problem.model.passes * min(problem.cluster.size, problem.model.layers)
    return most_busy(pattern, problem.model, "free")
