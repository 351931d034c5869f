"""What runs were seen to take."""

from __future__ import annotations

from planner.calibrating.foretold import Model, seen_in
from planner.calibrating.observed import observe
from tests.planner.calibrating.test_losses import STREAM
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import assumed, changed, hand_made, trace_of


def test_who_was_held_up_tells_nothing() -> None:
    problem, plan = hand_made("live")
    lines, planned = assumed(problem, plan)
    run = observe(lines, trace_of(plan, changed(BY_HAND["live"][1], *STREAM)), planned)
    found = {str(item.action): item.lasted for item in seen_in(lines, [run, run])}
    assert found == {"denoise b0.s0": (100, 100), "denoise b0.s1": (100, 100), "denoise b1.s1": (150, 150)}


def test_a_gang_lasts_as_long_as_its_slowest_share() -> None:
    problem, plan = hand_made("gang")
    lines, planned = assumed(problem, plan)
    text = changed(BY_HAND["gang"][1], ("r1 100 2209 tick 1", "r1 100 2200 tick 1"))
    found = {str(item.action): item for item in seen_in(lines, [observe(lines, trace_of(plan, text), planned)])}
    assert found["tick 1 b0.s1"].lasted == (2109,)
    assert found["tick 1 b0.s1"].group == (0,)


def test_a_model_explains_its_own_plan_but_no_other() -> None:
    problem, plan = hand_made("decoded")
    lines, planned = assumed(problem, plan)
    seen = seen_in(lines, [observe(lines, trace_of(plan, BY_HAND["decoded"][1]), planned)])
    assert problem.profile is not None
    model = Model(lines, problem.profile)
    assert model.explains(seen)
    slower = problem.profile.decode.model_copy(update={"median_us": 62})
    assert not model.changed(decode=slower).explains(seen)
