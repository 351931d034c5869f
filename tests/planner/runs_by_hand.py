"""Runs of plans by hand: what one would have left if this or that had been slower."""

from __future__ import annotations

from typing import Literal

from planner.calibrate import Calibration, calibrate
from planner.calibrating.losses import planned_as
from planner.calibrating.replay import Assumed
from planner.calibrating.script import Script, script
from planner.cost import Costs
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.rows import rows_from_text
from planner.timing import retime
from planner.trace import Trace
from tests.planner.clips import costed
from tests.planner.hand_plans import BY_HAND, by_hand

Kind = Literal["simulated", "measured"]


def hand_made(name: str) -> tuple[Problem, Plan]:
    problem, text, pattern, placement = BY_HAND[name]
    return problem, by_hand(problem, text, pattern, placement)


def assumed(problem: Problem, plan: Plan) -> tuple[Script, Assumed]:
    lines = script(plan, problem)
    return lines, planned_as(lines, plan.ranks)


def changed(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def trace_of(plan: Plan, text: str, kind: Kind = "simulated") -> Trace:
    lines = [line.strip() for line in text.strip().splitlines()]
    rows = rows_from_text(iter(enumerate(lines, start=1)), len(plan.ranks))
    return Trace(plan_digest=plan.digest, kind=kind, last_step=plan.last_step, ranks=rows)


def hand_run(name: str, *changes: tuple[str, str], kind: Kind = "simulated") -> Calibration:
    """One of the plans by hand calibrated by a run in which some rows were otherwise."""
    problem, plan = hand_made(name)
    return calibrate(problem, plan, trace_of(plan, changed(BY_HAND[name][1], *changes), kind))


def parts_of(found: Calibration) -> dict[str, int]:
    """What each cause adds to the makespan, those that add nothing left out."""
    return {part.cause: part.makespan_us for part in found.losses.parts if part.makespan_us}


def steady_parts_of(found: Calibration) -> dict[str, int]:
    return {part.cause: part.steady_us for part in found.losses.parts if part.steady_us}


def with_profile(problem: Problem, **changes: object) -> Problem:
    assert problem.profile is not None
    profile = Profile.model_validate(problem.profile.model_dump() | changes)
    return problem.model_copy(update={"profile": profile})


def run_under(truth: Problem, plan: Plan) -> Trace:
    """What a plan leaves where things take what another problem's profile says."""
    rows = retime([[row.action for row in rows] for rows in plan.ranks], priced(truth, plan))
    return Trace(plan_digest=plan.digest, kind="simulated", last_step=plan.last_step, ranks=rows)


def priced(problem: Problem, plan: Plan) -> Costs:
    return costed(problem, plan.pattern, plan.placement, plan.switch_ticks)
