"""The Pareto set: plans of which none is beaten in everything that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.errors import InfeasibleError, InputError
from planner.metrics import Metrics
from planner.objective import OBJECTIVES, Limits, blame, score
from planner.patterns import Pattern
from planner.plan import Objective
from planner.problem import Problem
from planner.searching.explore import Tried, chosen_patterns, explore
from planner.searching.finish import finish
from planner.streams.stream import LONGEST
from planner.unbeaten import unbeaten

BUDGET = 10  # rounds of improvement for each point


class Point(NamedTuple):
    """One plan of the set: ask `plan()` for its pattern and placement to get it."""

    pattern: str
    placement: str
    figures: Metrics


def pareto(
    problem: Problem,
    objectives: Sequence[Objective] = ("devices", "period", "first-frame"),
    *,
    pattern: Pattern | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen value
) -> tuple[Point, ...]:
    """What can be had on 1 device up to all of them, by the first objective and then the others.

    No other plan that was tried is as good in all objectives and better in one. Raises InputError for less than two
    objectives, one named twice or a clip of more than 500 blocks; InfeasibleError if nothing fits.
    """
    if len(objectives) < 2 or len(set(objectives)) < len(objectives) or not set(objectives) <= set(OBJECTIVES):
        told = ", ".join(map(str, objectives))
        raise InputError(f"objectives: name two or more different ones of {', '.join(OBJECTIVES)}, not {told}")
    if problem.workload.blocks > LONGEST:
        raise InputError(f"blocks: a Pareto set is made of clips of at most {LONGEST} blocks")
    tried = explore(problem, chosen_patterns(problem, pattern), None, "devices", limits, prune=False)
    laid_out = [item for item in tried if item.eligible and item.case is not None]
    rough = [item for item in laid_out if item.figures and all(limit.kept_by(item.figures) for limit in limits.asked())]
    points = [point for item in _front(rough, objectives) if (point := _point(item, limits)) is not None]
    if not points and laid_out and limits.asked():
        raise InfeasibleError(blame(limits.asked(), [item.figures for item in laid_out if item.figures]))
    if not points:
        refused = dict.fromkeys(item.refused for item in tried if item.eligible and item.refused)
        raise InfeasibleError("no plan fits: " + "; ".join(list(refused)[:5]))
    kept = [point for point in points if not any(_beats(other.figures, point.figures, objectives) for other in points)]
    return tuple(sorted(kept, key=lambda point: (*_scores(point.figures, objectives), point.pattern, point.placement)))


def _front(items: Sequence[Tried], objectives: Sequence[Objective]) -> list[Tried]:
    """Those that none beats; of equals the first, whose context is the cleanest."""
    return [items[place] for place in unbeaten([_of(item, objectives) for item in items])]


def _of(item: Tried, objectives: Sequence[Objective]) -> tuple[float, ...]:
    assert item.case is not None
    return _scores(item.case.figures, objectives)


def _point(item: Tried, limits: Limits) -> Point | None:
    assert item.case is not None
    made = finish(item.case, "makespan", budget=BUDGET)
    if isinstance(made, str) or not all(limit.kept_by(made.figures) for limit in limits.asked()):
        return None
    return Point(str(item.pattern), str(item.placement), made.figures)


def _scores(figures: Metrics, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(score(figures, objective) for objective in objectives)


def _beats(one: Metrics, other: Metrics, objectives: Sequence[Objective]) -> bool:
    mine, theirs = _scores(one, objectives), _scores(other, objectives)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs
