"""Traces: JSON form, refusal of another plan's, and the figures read off one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from planner.errors import InputError, MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import rows_from_text
from planner.search import plan
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.clips import clip, model
from tests.strategies import planned

LINES = ["r0 0 100 denoise b0.s0", "r0 100 106 send latents b0.s0 to r1", "r0 106 106 free latents b0.s0"]
LINES += ["r1 100 106 recv latents b0.s0 from r0", "r1 120 200 decode b0"]
GIVEN = Trace(plan_digest="a" * 64, kind="measured", last_step=0, ranks=rows_from_text(iter(enumerate(LINES)), 3))


def test_figures_by_hand() -> None:
    assert GIVEN.makespan_us == 200
    assert GIVEN.finished_us == [200]
    assert GIVEN.utilization == (0.5, 0.4, 0.0)
    assert GIVEN.model_copy(update={"ranks": ((), ())}).utilization == (0.0, 0.0)


@settings(max_examples=20)
@given(planned())
def test_json_round_trips(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem)
    assert Trace.from_json(trace.to_json()) == trace
    assert trace.finished_us == given_plan.finished_us


def test_a_trace_of_another_plan_is_refused() -> None:
    problem = clip(model(2), 2, 2)
    made = plan(problem)
    simulate(made, problem).require(made)
    other = made.model_copy(update={"warnings": ("other",)})
    with pytest.raises(MismatchError, match=rf"trace: of plan {made.digest[:12]}, this plan is {other.digest[:12]}"):
        simulate(made, problem).require(other)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_name": "blockcascade.plan/1"}, "schema_name"),
        ({"plan_digest": "a" * 65}, "plan_digest"),
        ({"kind": "guessed"}, "kind"),
        ({"last_step": -1}, "last_step"),
        ({"ranks": []}, "ranks"),
        ({"ranks": [[["decode b0", 0, 0.5]]]}, "ranks.0.0"),
        ({"ranks": [[["decode", 0, 1]]]}, "ranks.0.0"),
        ({"evidence": {}}, "evidence"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^here: {field}: "):
        Trace.from_data(json.loads(GIVEN.to_json()) | changes, "here")
