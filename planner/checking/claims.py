"""R12 and R15: what a plan says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from models.spec import ModelSpec
from planner.action import Kind, TimedAction
from planner.plan import Plan
from planner.problem import Problem


class Ends(NamedTuple):
    """When the last row ends, and when the first block is finished."""

    last_us: int
    first_frame_us: int


def ends_of(programs: Sequence[Sequence[TimedAction]], problem: Problem) -> Ends:
    """The ends that rows tell. A block is finished when decoded, else when through its last step."""
    last_pass = (0, problem.model.block_steps(0) - 1)
    decodes = problem.workload.decode
    last = first = 0
    for rows in programs:
        for action, _, end in rows:
            last = max(last, end)
            if (action.kind is Kind.DECODE and action.block == 0) if decodes else last_pass in action.passes:
                first = max(first, end)
    return Ends(last, first)


def claims(plan: Plan, problem: Problem, ends: Ends) -> Iterator[str]:
    """R12 and R15, as far as they are about the plan as a whole."""
    told, spec = plan.evidence, problem.model
    # What follows a kernel is later by all its copies.
    last = ends.last_us + (plan.repeat.copies * plan.repeat.kernel_us if plan.repeat else 0)
    if told.objective == "makespan" and told.value != last:
        yield f"R12 evidence: value is {told.value} us, the last row ends at {last} us"
    if told.objective == "first-frame" and told.value != ends.first_frame_us:
        yield f"R12 evidence: value is {told.value} us, the first block is finished at {ends.first_frame_us} us"
    if told.bound > told.value:
        yield f"R12 evidence: bound of {told.bound} is above the value of {told.value}"
    if (told.status == "OPTIMAL") != (told.bound == told.value):
        yield f"R12 evidence: {told.status} with value {told.value}, bound {told.bound}"
    if plan.last_step != spec.steps - 1:
        yield f"R12 last step: is {plan.last_step}, {spec.name} has {spec.steps} steps from 0"
    yield from _pattern(plan, spec)
    yield from _steady(plan)
    yield from _prompts(plan, problem)


def _pattern(plan: Plan, spec: ModelSpec) -> Iterator[str]:
    pattern = plan.pattern
    whole = {"sequential": spec.passes, "sequential-recompute": spec.passes, "layers": 1}.get(pattern.name)
    if pattern.offset > spec.passes:
        yield f"R12 pattern: offset {pattern.offset} is beyond the {spec.passes} passes of {spec.name}"
    elif whole is not None and pattern.offset != whole:
        yield f"R12 pattern: {pattern.name} is offset {whole} for {spec.name}, not {pattern.offset}"
    if (pattern.name != "cascade" and pattern.exchange == "live") or (pattern.is_joint and pattern.exchange != "live"):
        yield f"R12 pattern: {pattern.name} is not {pattern.exchange} and {pattern.direction}"


def _steady(plan: Plan) -> Iterator[str]:
    """Of a stream: the period is the kernel's, and no shorter than its bound."""
    if plan.steady is None:
        return
    period, bound = Fraction(plan.steady.period), Fraction(plan.steady.bound)
    if plan.repeat is not None and period != Fraction(plan.repeat.kernel_us, plan.repeat.kernel_blocks):
        yield f"R12 steady: period is {period} us, the kernel's {plan.repeat.period_us} us"
    if bound > period:
        yield f"R12 steady: bound of {bound} us is above the period of {period} us"


def _prompts(plan: Plan, problem: Problem) -> Iterator[str]:
    """R15: each prompt switch has the tick from which on it is read."""
    ticks, switches = plan.switch_ticks, problem.workload.switches
    if len(ticks) != len(switches):
        yield f"R15 switch ticks: {len(ticks)} for {len(switches)} prompt switches"
    for number, (earlier, later) in enumerate(pairwise(ticks), start=1):
        if later < earlier:
            yield f"R15 switch ticks: prompt {number + 1} is read from tick {later} on, prompt {number} from {earlier}"
    if any(tick < 0 for tick in ticks):
        yield "R15 switch ticks: ticks count from 0"
