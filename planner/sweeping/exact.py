"""A point of a grid planned in full: slower by a hundred times or so, with the plan's own proof."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from planner.errors import InfeasibleError, InputError
from planner.memory import peak_bytes
from planner.metrics import metrics
from planner.objective import Limits
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.search import plan
from planner.searching.case import price
from planner.streams.stream import LONGEST, of_length, settled_case, short_blocks, steady
from planner.sweeping.basis import Basis
from planner.sweeping.candidates import asked_patterns, splits_as
from planner.sweeping.choose import Ask, Merit
from planner.sweeping.grid import Point


class Planned(NamedTuple):
    """What a plan was found to be, on exactly `ranks` devices."""

    pattern: Pattern
    placement: Placement
    ranks: int
    merit: Merit
    bound_us: float
    peak_bytes: int
    missed: tuple[str, ...] = ()  # limits


def planned(basis: Basis, point: Point, count: int, price_per_hour: float, ask: Ask) -> Planned | str:
    """The best plan of a point, one that keeps the limits if any does; or why there is none."""
    found = _within_limits(basis, point, count, price_per_hour, ask)
    if not isinstance(found, str) or not ask.limits.asked():
        return found
    nearest = _within_limits(basis, point, count, price_per_hour, ask._replace(limits=Limits()))
    if isinstance(nearest, str):
        return nearest
    return nearest._replace(missed=tuple(each.text for each in ask.missed(nearest.merit)) or (found,))


def _within_limits(basis: Basis, point: Point, count: int, price_per_hour: float, ask: Ask) -> Planned | str:
    problem = _priced(of_length(basis.problem(count), ask.blocks), price_per_hour)
    free = point.pattern is None and point.offset is None
    patterns = [None] if free else list(asked_patterns(basis, point))
    found: list[Plan] = []
    refused: list[str] = []
    for pattern in patterns:
        try:
            found.append(_plan(problem, pattern, point, ask))
        except (InfeasibleError, InputError) as error:
            refused.append(str(error))
    if not found:
        return "; ".join(list(dict.fromkeys(refused))[:2])
    return _of_plan(problem, min(found, key=lambda made: made.evidence.value))


def _plan(problem: Problem, pattern: Pattern | None, point: Point, ask: Ask) -> Plan:
    placement = None if point.placement is None else Placement.parse(point.placement)
    if placement is not None and not splits_as(placement, point.parallel):
        raise InputError(f"parallel: {placement} does not split passes as {point.parallel}")
    return plan(
        problem,
        pattern=pattern,
        placement=placement,
        objective=ask.objective,
        limits=ask.limits,
        only=None if point.parallel is None else lambda where: splits_as(where, point.parallel),
    )


def _priced(problem: Problem, price_per_hour: float) -> Problem:
    devices = tuple(each.model_copy(update={"price_per_hour": price_per_hour}) for each in problem.cluster.devices)
    return problem.model_copy(update={"cluster": problem.cluster.model_copy(update={"devices": devices})})


def _of_plan(problem: Problem, made: Plan) -> Planned:
    placement = Placement.parse(made.placement)
    figures = metrics(problem.model, problem.cluster, made.ranks)
    period, bound = _period(problem, made, placement, figures.period_us)
    merit = Merit(period, figures.first_frame_us, figures.control_us, made.whole_us, figures.devices)
    short = of_length(problem, len(made.finished_us))
    costs = price(short, made.pattern, placement)
    peak = max(peak_bytes([row.action for row in rows], costs) for rows in made.ranks)
    ranks = placement.ranks or problem.cluster.size
    return Planned(made.pattern, placement.model_copy(update={"ranks": None}), ranks, merit, bound, peak)


def _period(problem: Problem, made: Plan, placement: Placement, of_clip: float) -> tuple[float, float]:
    """The period of the endless stream and its bound; the clip's own where its placement has no rhythm."""
    if made.steady is not None:
        return float(Fraction(made.steady.period)), float(Fraction(made.steady.bound))
    long = of_length(problem, LONGEST)
    short = of_length(long, short_blocks(long, [made.pattern]))
    priced = price(short, made.pattern, placement)
    found = settled_case(short, priced, "makespan")
    if isinstance(found, str):
        return of_clip, of_clip
    told = steady(found[0].case, found[1].period_us)
    return float(found[1].period_us), float(Fraction(told.bound))
