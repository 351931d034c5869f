"""The Pareto set: nothing in it is beaten, and nothing that was tried is better than all of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from planner.errors import InfeasibleError, InputError
from planner.metrics import Metrics, metrics
from planner.objective import Limits, score
from planner.pareto import Point, pareto
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Objective
from planner.problem import Problem
from planner.search import plan
from planner.searching.explore import chosen_patterns, explore
from planner.searching.finish import finish
from tests.planner.clips import cascade, clip, grid, model

GRID = grid(4, blocks=4, steps=3)
LINKS = clip(model(2, clean=True), 4, 3, bandwidth_gbps=1.0)
USUAL: tuple[Objective, ...] = ("devices", "period", "first-frame")


def values(figures: Metrics, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(score(figures, objective) for objective in objectives)


def beats(one: Metrics, other: Metrics, objectives: Sequence[Objective]) -> bool:
    mine, theirs = values(one, objectives), values(other, objectives)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def everything(problem: Problem, limits: Limits) -> list[Metrics]:
    """The figures of each pattern on each placement that keep the limits."""
    tried = explore(problem, chosen_patterns(problem, None), None, "devices", Limits(), prune=False)
    made = [finish(item.case, "makespan", budget=10) for item in tried if item.eligible and item.case is not None]
    figures = [found.figures for found in made if not isinstance(found, str)]
    return [found for found in figures if all(limit.kept_by(found) for limit in limits.asked())]


@pytest.mark.parametrize("problem", [GRID, LINKS], ids=["grid", "links"])
@pytest.mark.parametrize("objectives", [USUAL, ("devices", "makespan"), ("money", "control")])
def test_none_is_beaten_and_none_is_missing(problem: Problem, objectives: tuple[Objective, ...]) -> None:
    points = pareto(problem, objectives)
    assert points
    for point in points:
        assert not any(beats(other.figures, point.figures, objectives) for other in points)
    assert [values(point.figures, objectives) for point in points] == sorted(
        values(point.figures, objectives) for point in points
    )
    for figures in everything(problem, Limits()):
        mine = values(figures, objectives)
        covered = (values(point.figures, objectives) for point in points)
        # Points are found by first schedules, so one that improves more than others may be left out by a little.
        assert any(all(a <= 1.05 * b for a, b in zip(have, mine, strict=True)) for have in covered)


def test_fewer_devices_stand_first() -> None:
    points = pareto(GRID, ("devices", "makespan"))
    counts = [point.figures.devices for point in points]
    assert counts[0] == 1
    assert counts == sorted(set(counts)), "one point a count: of equals the faster is taken"
    times = [point.figures.makespan_us for point in points]
    assert times == sorted(times, reverse=True)


def test_a_point_is_to_be_had_by_its_pattern_and_placement() -> None:
    for point in pareto(LINKS, ("devices", "makespan")):
        made = plan(
            LINKS, pattern=Pattern.parse(point.pattern, LINKS.model), placement=Placement.parse(point.placement)
        )
        found = metrics(LINKS.model, LINKS.cluster, made.ranks)
        assert found.makespan_us <= point.figures.makespan_us
        assert found.devices == point.figures.devices


@pytest.mark.parametrize(
    ("objectives", "limits"),
    [
        (USUAL, Limits(devices=2)),
        (USUAL, Limits(first_frame_us=50, devices=3)),
        (("devices", "makespan"), Limits(control_us=50)),
        (("devices", "makespan"), Limits(first_frame_us=38)),
        (("devices", "period"), Limits(control_us=74)),
        (("makespan", "money"), Limits(first_frame_us=48)),
    ],
)
def test_limits_hold_and_what_breaks_them_hides_nothing(objectives: tuple[Objective, ...], limits: Limits) -> None:
    points = pareto(GRID, objectives, limits=limits)
    assert all(limit.kept_by(point.figures) for point in points for limit in limits.asked())
    covered = [values(point.figures, objectives) for point in points]
    for figures in everything(GRID, limits):
        mine = values(figures, objectives)
        assert any(all(a <= 1.05 * b for a, b in zip(have, mine, strict=True)) for have in covered), (mine, covered)


def test_one_pattern_only() -> None:
    points: tuple[Point, ...] = pareto(GRID, ("devices", "makespan"), pattern=cascade(1))
    assert {point.pattern for point in points} == {"cascade:1"}


@pytest.mark.parametrize("objectives", [(), ("period",), ("period", "period"), ("devices", "period", "devices")])
def test_less_than_two_objectives_are_refused(objectives: tuple[Objective, ...]) -> None:
    with pytest.raises(InputError, match="objectives: name two or more different ones of makespan, "):
        pareto(GRID, objectives)


def test_an_objective_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="speed"):
        pareto(GRID, ("devices", "speed"))  # type: ignore[arg-type]


def test_streams_are_refused() -> None:
    with pytest.raises(InputError, match="at most 500 blocks"):
        pareto(grid(2, blocks=501))


def test_what_does_not_fit_is_told() -> None:
    device = GRID.cluster.devices[0].model_copy(update={"memory_bytes": 10**6})
    cluster = GRID.cluster.model_copy(update={"devices": (device,) * 4})
    with pytest.raises(InfeasibleError, match="no plan fits: memory: "):
        pareto(GRID.model_copy(update={"cluster": cluster}))
    with pytest.raises(InfeasibleError, match="makespan <= "):
        pareto(GRID, limits=Limits(makespan_us=2))
