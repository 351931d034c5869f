"""One way to do a problem's work, a pattern on a placement: its tasks, a schedule, and the figures of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.action import LEADERS_WORK, Action, Kind
from planner.bounds.heads import heads_tails
from planner.cost import Costs, costs
from planner.errors import InputError
from planner.expand import Tasks, expand
from planner.flow import Flow
from planner.instance import Schedule
from planner.metrics import Metrics, reckon
from planner.objective import score
from planner.patterns import Pattern
from planner.placement import Placement, require_fit
from planner.plan import Objective
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, list_schedule


class Case(NamedTuple):
    """A pattern on a placement, and the best schedule of it so far."""

    pattern: Pattern
    placement: Placement
    costs: Costs
    tasks: Tasks
    schedule: Schedule
    figures: Metrics
    solver: str

    @property
    def flow(self) -> Flow:
        return self.costs.flow

    def with_schedule(self, schedule: Schedule, solver: str) -> Case:
        """The case with another schedule."""
        return self._replace(schedule=schedule, figures=figures(schedule, self.tasks, self.costs), solver=solver)


def price(problem: Problem, pattern: Pattern, placement: Placement) -> Costs:
    """The costs of a pattern on a placement, prompt switches not yet placed.

    Raises InputError if the placement cannot run the pattern, or needs more ranks than there are.
    """
    require_fit(placement, pattern, problem.model)
    if pattern.name == "sequential-recompute" and not problem.workload.decode:
        raise InputError("sequential-recompute reads decoded pixels: plan with decode")
    return costs(problem, Flow(problem, pattern, placement, _never(problem)))


def schedule_case(
    problem: Problem, priced: Costs, objective: Objective = "makespan", lookahead: int | None = None
) -> Case:
    """A first schedule of a case: the best of all list rules by the objective, with each prompt switch at the first
    tick that lies after it. `lookahead`: as in `expand`.
    """
    flow = priced.flow
    for place, switch in enumerate(problem.workload.switches):
        tasks = expand(priced, lookahead)
        tick = _tick_after(switch.at_us, list_schedule(tasks.instance, RULES[0]), tasks.actions, flow)
        ticks = (*flow.switch_ticks[:place], tick, *flow.switch_ticks[place + 1 :])
        flow = Flow(problem, flow.pattern, flow.placement, ticks)
        priced = costs(problem, flow)
    options = by_rules(priced, expand(priced, lookahead))
    return min(options, key=lambda case: (score(case.figures, objective), case.figures.makespan_us))


def by_rules(priced: Costs, tasks: Tasks) -> list[Case]:
    """A case for each list rule."""
    tails = heads_tails(tasks.instance)[1]
    found = []
    for rule in RULES:
        schedule = list_schedule(tasks.instance, rule, tails)
        told = figures(schedule, tasks, priced)
        flow = priced.flow
        found.append(Case(flow.pattern, flow.placement, priced, tasks, schedule, told, f"list scheduling, {rule}"))
    return found


def figures(schedule: Schedule, tasks: Tasks, priced: Costs) -> Metrics:
    """The metrics of a schedule, before it is lowered to programs."""
    flow, problem = priced.flow, priced.problem
    begun: dict[int, int] = {}
    denoised: dict[int, int] = {}
    decoded: dict[int, int] = {}
    used: set[int] = set()
    for action, unit, start, end in zip(
        tasks.actions, schedule.units, schedule.starts_us, schedule.ends_us, strict=True
    ):
        used.update(_ranks(action, unit, flow))
        if action.kind is Kind.DECODE:
            decoded[action.block] = max(end, decoded.get(action.block, 0))
        for block, stage in passes_of(action, flow):
            begun[block] = min(start, begun.get(block, start))
            if stage == flow.spec.block_steps(block) - 1:
                denoised[block] = max(end, denoised.get(block, 0))
    finished = decoded or denoised
    blocks = sorted(begun)
    return reckon(
        problem.model,
        problem.cluster,
        sorted(used),
        [begun[block] for block in blocks],
        [finished[block] for block in blocks],
        schedule.makespan_us,
    )


def _ranks(action: Action, unit: int, flow: Flow) -> Sequence[int]:
    """The ranks that a task keeps busy."""
    if action.kind is Kind.TICK:
        return [rank for ranks in flow.layout.units[: flow.layout.denoising] for rank in ranks]
    return flow.layout.units[unit][:1] if action.kind in LEADERS_WORK else flow.layout.units[unit]


def passes_of(action: Action, flow: Flow) -> Sequence[tuple[int, int]]:
    """(block, stage) of each pass of a task; a gang's task stands for all of its tick."""
    if action.kind is Kind.TICK:
        return flow.passes_at(action.block)
    return [(block, flow.stage((block, step))) for block, step in action.passes]


def _never(problem: Problem) -> tuple[int, ...]:
    """Ticks for switches that are not placed yet: later than any."""
    last = problem.workload.blocks * (problem.model.passes + (problem.model.first_block_steps or 0)) + 1
    return tuple(last + place for place in range(len(problem.workload.switches)))


def _tick_after(at_us: int, schedule: Schedule, actions: Sequence[Action], flow: Flow) -> int:
    """The first tick from which on no pass starts before a time."""
    late = 0
    for action, start in zip(actions, schedule.starts_us, strict=True):
        if start < at_us:
            ticks = (flow.tick(block, stage) + 1 for block, stage in passes_of(action, flow))
            late = max(late, *ticks, 0)
    return late
