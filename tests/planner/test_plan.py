"""Plans: JSON and text forms, refusals of another problem, and the gap."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from planner.action import Action, TimedAction
from planner.errors import InputError, MismatchError
from planner.patterns import Pattern
from planner.plan import Alternative, Evidence, Plan, Repeat, Steady
from planner.problem import Problem
from planner.search import plan
from tests.planner.clips import cascade, clip, model
from tests.strategies import planned

PROBLEM = clip(model(1, clean=True), 2, 2)
EVIDENCE = Evidence(
    status="FEASIBLE", value=160, bound=100, bound_by="critical path", solver="by hand", version="1", seed=3
)
GIVEN = Plan(
    problem_digest="0" * 64,
    pattern=Pattern(name="cascade", offset=1),
    placement="free",
    switch_ticks=(2, 2),
    last_step=0,
    ranks=(
        (TimedAction(Action.parse("denoise b0.s0"), 0, 100),),
        (),
        (TimedAction(Action.parse("decode b0"), 100, 160),),
    ),
    repeat=Repeat(first_block=0, kernel_blocks=2, kernel_us=25, copies=4, places=((0, 1), (0, 0), (0, 1))),
    steady=Steady(period="25/2", bound="12", limit="devices", certificate=("all 3 devices",), most_useful=4),
    evidence=EVIDENCE,
    alternatives=(Alternative(pattern="sequential", placement="free@1", name="one GPU", devices=1, value=9, lost="x"),),
    warnings=("a\nb", "# c"),
)
HEAD = (
    '# {"schema_name":"blockcascade.plan/2","problem_digest":"' + "0" * 64 + '","pattern":{"name":"cascade","offset":1,'
    '"exchange":"after","direction":"causal"},"placement":"free","switch_ticks":[2,2],"last_step":0,"repeat":{'
    '"first_block":0,"kernel_blocks":2,"kernel_us":25,"copies":4,"places":[[0,1],[0,0],[0,1]]},"steady":{'
    '"period":"25/2","bound":"12","limit":"devices","certificate":["all 3 devices"],"most_useful":4},'
    '"evidence":{"status":"FEASIBLE","objective":"makespan","value":160,"bound":100,"bound_by":"critical path",'
    '"proves":"pattern","solver":"by hand","version":"1","seed":3},"alternatives":[{"pattern":"sequential",'
    '"placement":"free@1","name":"one GPU","devices":1,"value":9,"lost":"x"}],"warnings":["a\\nb","# c"]}\n'
)


def test_text_by_hand() -> None:
    text = f"{HEAD}# 3 ranks\nr0 0 100 denoise b0.s0\nr2 100 160 decode b0\n"
    assert GIVEN.to_text() == text
    assert Plan.from_text(text) == GIVEN


def test_json_by_hand() -> None:
    data = json.loads(GIVEN.to_json())
    assert data["ranks"] == [[["denoise b0.s0", 0, 100]], [], [["decode b0", 100, 160]]]
    assert data["schema_name"] == "blockcascade.plan/2"
    assert GIVEN.makespan_us == 160
    assert GIVEN.finished_us == [160]


@settings(max_examples=30)
@given(planned())
def test_text_and_json_round_trip(made: tuple[Problem, Plan]) -> None:
    given_plan = made[1]
    by_json, by_text = Plan.from_json(given_plan.to_json()), Plan.from_text(given_plan.to_text())
    assert by_json == by_text == given_plan
    assert by_json.digest == by_text.digest == given_plan.digest


def test_gap() -> None:
    assert EVIDENCE.gap == pytest.approx(0.6)
    assert EVIDENCE.model_copy(update={"bound": 160}).gap == 0
    # Nothing is known without a bound, unless nothing is left to win.
    assert EVIDENCE.model_copy(update={"bound": 0}).gap is None
    assert EVIDENCE.model_copy(update={"value": 0, "bound": 0}).gap == 0


def test_periods_are_exact() -> None:
    assert GIVEN.repeat is not None
    assert GIVEN.repeat.period_us == Fraction(25, 2)
    assert GIVEN.steady is not None
    assert GIVEN.steady.gap == pytest.approx(0.5 / 12)


def test_a_plan_of_another_problem_is_refused() -> None:
    made = plan(PROBLEM)
    made.require(PROBLEM)
    longer = clip(model(1, clean=True), 3, 2)
    with pytest.raises(MismatchError, match=rf"made for problem {PROBLEM.digest[:12]}, .* {longer.digest[:12]}"):
        made.require(longer)


def test_a_plan_that_lacks_a_ranks_program_is_refused() -> None:
    made = plan(PROBLEM)
    with pytest.raises(MismatchError, match="has 1 programs, the cluster has 2 device"):
        made.model_copy(update={"ranks": made.ranks[:1]}).require(PROBLEM)


def test_the_digest_depends_on_the_order() -> None:
    made = plan(PROBLEM, pattern=cascade(1))
    first, second, *rest = made.ranks[0]
    swapped = made.model_copy(update={"ranks": ((second, first, *rest), *made.ranks[1:])})
    assert swapped.digest != made.digest


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_name": "blockcascade.trace/1"}, "schema_name"),
        ({"problem_digest": "0" * 63}, "problem_digest"),
        ({"problem_digest": "G" * 64}, "problem_digest"),
        ({"pattern": {"name": "cascade", "offset": 0}}, "pattern.offset"),
        ({"pattern": {"name": "spiral", "offset": 1}}, "pattern.name"),
        ({"pattern": {"name": "cascade", "offset": 1, "exchange": "dead"}}, "pattern.exchange"),
        ({"last_step": -1}, "last_step"),
        ({"ranks": []}, "ranks"),
        ({"ranks": [[["denoise b0.s0", 0, 1.5]]]}, "ranks.0.0"),
        ({"ranks": [[], [["denoise b0.s0", -1, 1]]]}, "ranks.1.0"),
        ({"ranks": [[["denoise b0.s0", 0, 10**15 + 1]]]}, "ranks.0.0"),
        ({"ranks": [[["denoise b0.s0", 0, float("inf")]]]}, "ranks.0.0"),
        ({"evidence": None}, "evidence"),
        ({"pattern": {"name": "cascade", "offset": 1, "direction": "both"}}, "pattern.direction"),
        ({"switch_ticks": [-1.5]}, "switch_ticks.0"),
        ({"repeat": {"first_block": 0, "kernel_blocks": 0}}, "repeat.kernel_blocks"),
        ({"steady": {"period": "0", "bound": "1", "limit": "devices", "certificate": []}}, "steady.period"),
        ({"steady": {"period": "1.5", "bound": "1", "limit": "devices", "certificate": []}}, "steady.period"),
        ({"steady": {"period": "1/0", "bound": "1", "limit": "devices", "certificate": []}}, "steady.period"),
        ({"alternatives": [{"pattern": "x"}]}, "alternatives.0.placement"),
        ({"warnings": "none"}, "warnings"),
        ({"notes": ""}, "notes"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^here: {field}: "):
        Plan.from_data(json.loads(GIVEN.to_json()) | changes, "here")


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "GOOD"), ("value", -1), ("value", float("nan")), ("bound", "most"), ("proves", "all"), ("x", 1)],
)
def test_wrong_evidence_is_named(key: str, value: object) -> None:
    data = json.loads(GIVEN.to_json())
    data["evidence"][key] = value
    with pytest.raises(InputError, match=rf"^here: evidence\.{key}(\.int)?: "):
        Plan.from_data(data, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "here: does not begin"),
        ("r0 0 100 denoise b0.s0\n", "here: does not begin"),
        (HEAD, "here: does not begin"),
        (f"{HEAD}# 0 ranks\n", "here: does not begin"),
        (f"{HEAD}# 03 ranks\n", "here: does not begin"),
        (f"{HEAD}# 10000 ranks\n", "here: does not begin"),
        (f"{HEAD}# three ranks\n", "here: does not begin"),
        ("# {}\n# 1 ranks\n", "here: not valid JSON"),
        ('# {"placement":"free"}\n# 1 ranks\n', "here: problem_digest: Field required"),
        (HEAD.replace("plan/2", "plan/1") + "# 1 ranks\n", "here: schema_name: "),
        (f"{HEAD}# 1 ranks\nr0 0 100 denoise b0.s0\nr1 0 1 decode b0\n", "line 4: 'r1 0 1 decode b0'"),
        (f"{HEAD}# 1 ranks\n\n", "line 3: ''"),
    ],
)
def test_wrong_texts_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        Plan.from_text(text, "here")
    assert message in str(refused.value)
