"""What a plan is judged by: figures, limits, and what is told where limits cannot be kept."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.errors import InfeasibleError, InputError
from planner.metrics import Metrics, metrics
from planner.objective import OBJECTIVES, Limit, Limits, blame, nearest, score
from planner.patterns import Pattern
from planner.placement import all_placements
from planner.plan import Objective, Plan
from planner.problem import Problem
from planner.search import plan
from planner.searching.explore import chosen_patterns
from tests.planner.clips import clip, grid, model

FIGURES = Metrics(
    makespan_us=3_500_000,
    first_frame_us=1_000_000,
    period_us=400_000.0,
    fps=23.1,
    steady_fps=30.0,
    block_latency_us=1_100_000,
    control_us=1_400_000,
    devices=4,
    money=0.01,
    money_per_minute=0.12,
)


def of(**changes: Any) -> Metrics:
    return FIGURES.model_copy(update=changes)


def figures(made: Plan, problem: Problem) -> Metrics:
    return metrics(problem.model, problem.cluster, made.ranks)


# -- by hand -------------------------------------------------------------------------------------


def test_each_objective_has_its_figure() -> None:
    assert {objective: score(FIGURES, objective) for objective in OBJECTIVES} == {
        "makespan": 3_500_000,
        "period": 400_000.0,
        "first-frame": 1_000_000,
        "control": 1_400_000,
        "devices": 4,
        "money": 0.01,
    }


@pytest.mark.parametrize(
    ("limits", "kept", "broken"),
    [
        (Limits(fps=30), 30.0, 29.9),
        (Limits(first_frame_us=1_000_000), 1_000_000, 1_000_001),
        (Limits(control_us=1_400_000), 1_400_000, 1_400_001),
        (Limits(makespan_us=3_500_000), 3_500_000, 3_500_001),
        (Limits(devices=4), 4, 5),
        (Limits(money_per_minute=0.12), 0.12, 0.13),
    ],
)
def test_a_limit_holds_up_to_itself(limits: Limits, kept: float, broken: float) -> None:
    (limit,) = limits.asked()
    assert limit.kept_by(of(**{limit.field: kept}))
    assert not limit.kept_by(of(**{limit.field: broken}))


def test_only_what_is_asked_counts() -> None:
    assert Limits().asked() == []
    assert [limit.name for limit in Limits(fps=1, devices=2).asked()] == ["fps", "devices"]


@pytest.mark.parametrize("field", list(Limits.model_fields))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1, "many"])
def test_limits_that_mean_nothing_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Limits.model_validate({field: value})
    with pytest.raises(InputError, match=rf"^limits: {field}: "):
        Limits.from_data({field: value}, "limits")


def test_the_nearest_is_the_best_of_what_was_tried() -> None:
    tried = [of(steady_fps=10.0, devices=3), of(steady_fps=12.0, devices=8)]
    fps, devices = Limits(fps=20, devices=2).asked()
    assert (nearest(fps, tried), nearest(devices, tried)) == (12.0, 3)
    assert nearest(fps, []) is None


def test_the_limit_that_binds_is_named() -> None:
    tried = [of(steady_fps=10.0, devices=2), of(steady_fps=24.5, devices=8)]
    assert blame(Limits(fps=30).asked(), tried) == "fps >= 30 cannot be kept: the nearest is fps 24.5"
    # Either can be kept, not both: each is told with what the other leaves.
    assert blame(Limits(fps=20, devices=4).asked(), tried) == (
        "fps >= 20 cannot be kept: the nearest is fps 10; or else devices <= 4 cannot be kept: the nearest is devices 8"
    )
    # The devices do not bind where no count of them helps.
    assert blame(Limits(fps=30, devices=8).asked(), tried) == "fps >= 30 cannot be kept: the nearest is fps 24.5"


def test_three_limits_that_fit_only_by_themselves() -> None:
    tried = [
        of(steady_fps=30.0, devices=9, first_frame_us=9_000_000),
        of(steady_fps=3.0, devices=1, first_frame_us=9_000_000),
        of(steady_fps=3.0, devices=9, first_frame_us=500_000),
    ]
    told = blame(Limits(fps=30, devices=1, first_frame_us=500_000).asked(), tried)
    assert told.startswith("no two of these limits fit together: fps >= 30 (nearest alone: fps 30), first frame <= ")
    assert told.endswith("devices <= 1 (nearest alone: devices 1)")


FIELDS = ("fps", "first_frame_us", "control_us", "makespan_us", "money_per_minute")


def shown(limit: Limit, value: float) -> float:
    """The number that a text tells, as the limit it stands for."""
    match = re.search(r"([-+.\de]+)( m?s)?$", limit.text(value))
    assert match
    scale = {None: 1, " s": 1e6, " ms": 1e3}[match[2]]
    return float(match[1]) if scale == 1 else round(float(match[1]) * scale)


@given(st.sampled_from(FIELDS), st.floats(1e-7, 1e9))
def test_the_nearest_value_can_be_asked_for(field: str, value: float) -> None:
    """A value is told rounded to where it can be had, and not far from what it is."""
    (limit,) = Limits.model_validate({field: 1.0}).asked()
    value = float(max(1, round(value))) if field.endswith("_us") else value
    told = shown(limit, value)
    assert Limit(limit.name, limit.field, told, limit.least).kept_by(of(**{limit.field: value}))
    assert told == pytest.approx(value, rel=2e-4)


# -- against all plans there are -----------------------------------------------------------------

SMALL = {
    "grid": grid(3, blocks=3, steps=2),
    "links": clip(model(2, clean=True), 3, 2, bandwidth_gbps=0.5),
    "joint": clip(model(2, clean=True, tolerates=("sequential", "cascade-live-joint")), 3, 2),
    "latents": clip(model(2, clean=True), 4, 2, decode=False),
}


def every_plan(problem: Problem, objective: Objective, limits: Limits) -> list[Plan]:
    """Each pattern that is tolerated on each placement, planned by itself."""
    found = []
    spec, size, decode = problem.model, problem.cluster.size, problem.workload.decode
    for pattern in chosen_patterns(problem, None):
        wheres = {
            str(where): where
            for ranks in (None, *range(1, size))
            for where in all_placements(pattern, spec, problem.cluster, decode=decode, parts=1, ranks=ranks)
        }
        for where in wheres.values():
            try:
                found.append(plan(problem, pattern=pattern, placement=where, objective=objective, limits=limits))
            except InfeasibleError:
                assert limits.asked()
    return found


@pytest.mark.parametrize("objective", [objective for objective in OBJECTIVES if objective != "period"])
@pytest.mark.parametrize("name", SMALL)
def test_no_pattern_on_no_placement_does_better(name: str, objective: Objective) -> None:
    problem = SMALL[name]
    best = plan(problem, objective=objective)
    others = every_plan(problem, objective, Limits())
    assert best.evidence.value == min(made.evidence.value for made in others)
    assert best.evidence.value == score(figures(best, problem), objective)
    mine = [made for made in others if made.pattern == best.pattern]
    assert all(best.evidence.bound <= made.evidence.value for made in mine)


@pytest.mark.parametrize("objective", ["makespan", "devices", "money"])
@pytest.mark.parametrize("name", ["grid", "links"])
def test_limits_hold_and_cost_no_more_than_they_must(name: str, objective: Objective) -> None:
    problem = SMALL[name]
    fastest = figures(plan(problem), problem)
    limits = Limits(
        fps=0.6 * fastest.steady_fps, first_frame_us=1.4 * plan(problem, objective="first-frame").evidence.value
    )
    best = plan(problem, objective=objective, limits=limits)
    assert all(limit.kept_by(figures(best, problem)) for limit in limits.asked())
    others = every_plan(problem, objective, limits)
    assert best.evidence.value == min(made.evidence.value for made in others)


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"fps": 1e6}, "fps"),
        ({"first_frame_us": 1}, "first_frame_us"),
        ({"control_us": 1}, "control_us"),
        ({"makespan_us": 1}, "makespan_us"),
        ({"money_per_minute": 1e-9}, "money_per_minute"),
    ],
)
@pytest.mark.parametrize("name", ["grid", "links"])
def test_what_is_told_as_nearest_can_be_had(name: str, limits: dict[str, float], field: str) -> None:
    problem = SMALL[name]
    with pytest.raises(InfeasibleError, match="cannot be kept: the nearest is ") as refused:
        plan(problem, limits=Limits.model_validate(limits))
    match = re.search(r"the nearest is \D*([-+.\de]+)( m?s)?", str(refused.value))
    assert match, str(refused.value)
    value = round(float(match[1]) * {None: 1, " s": 1e6, " ms": 1e3}[match[2]], 9)
    within = Limits.model_validate({field: value})
    made = plan(problem, limits=within)
    assert all(limit.kept_by(figures(made, problem)) for limit in within.asked())


def test_an_objective_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"speed.*makespan"):
        plan(SMALL["grid"], objective="speed")  # type: ignore[arg-type]


def test_a_pattern_by_name_is_held_to_the_limits_too() -> None:
    problem = SMALL["grid"]
    with pytest.raises(InfeasibleError, match="makespan <= "):
        plan(problem, pattern=Pattern.sequential(problem.model), limits=Limits(makespan_us=2))
