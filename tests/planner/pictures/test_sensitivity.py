"""What a clip's length hangs on: by hand, and where the replay is the plan's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from planner.errors import InputError, MismatchError
from planner.pictures import sensitivity as room
from planner.pictures.sensitivity import Effect, sensitivity
from planner.plan import Plan
from planner.problem import Problem
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed

# Block 0: 100, 100; its K/V 149 on its way, twice, from 100 on; block 1: 150, 150. The K/V of b0.s1 arrives at 398, a
# microsecond before b1.s0 is over: whatever makes that pass shorter has b1.s1 wait for it.
PROBLEM = clip(model(2), 2, 2, decode=False)
PLAN = plan_of(costed(PROBLEM, cascade(1), "block"))


def told(effects: tuple[Effect, ...]) -> dict[str, tuple[int, int]]:
    """The makespans by what is shorter and longer."""
    pairs = zip(effects[::2], effects[1::2], strict=True)
    return {shorter.what: (shorter.makespan_us, longer.makespan_us) for shorter, longer in pairs}


def test_a_cascade_by_hand() -> None:
    assert PLAN.makespan_us == 549
    assert told(sensitivity(PLAN, PROBLEM)) == {
        "denoise and clean passes": (90 + 149 + 149 + 135, 110 + 149 + 165 + 165),
        "transfers": (100 + 134 + 150 + 150, 100 + 164 + 164 + 150),
        "all of rank 0": (90 + 149 + 150 + 150, 110 + 149 + 150 + 150),
        "all of rank 1": (100 + 149 + 149 + 135, 100 + 149 + 165 + 165),
    }


def test_the_first_block_has_figures_of_its_own() -> None:
    effects = {(effect.what, effect.change): effect for effect in sensitivity(PLAN, PROBLEM)}
    assert effects["all of rank 0", 0.1].first_block_us == 220
    assert effects["all of rank 0", 0.1].first_block_change == pytest.approx(0.1)
    assert effects["all of rank 1", 0.1].first_block_change == 0
    assert effects["all of rank 1", -0.1].makespan_change == pytest.approx(-16 / 549)


def test_decodes_and_side_work_are_told_apart() -> None:
    problem = clip(model(2), 2, 1)
    effects = told(sensitivity(plan_of(costed(problem, cascade(1))), problem))
    assert list(effects) == ["denoise and clean passes", "decodes"]
    assert effects["decodes"] == (590, 610)


@settings(max_examples=25)
@given(listed())
def test_shorter_is_no_longer_and_the_base_is_the_plan(made: tuple[Problem, Plan]) -> None:
    """All compute and all transfers by a tenth: no more than that; the order is kept, so no anomaly can come in."""
    problem, plan = made
    for effect in sensitivity(plan, problem):
        assert effect.base_us <= plan.makespan_us
        if effect.change < 0:
            assert effect.makespan_us <= effect.base_us
        else:
            # Each duration is rounded.
            assert effect.base_us <= effect.makespan_us <= effect.base_us * 1.1 + sum(map(len, plan.ranks))


def test_it_refuses_what_is_too_long_or_of_another_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MismatchError):
        sensitivity(PLAN, clip(model(2), 3, 2, decode=False))
    monkeypatch.setattr(room, "MOST_ACTIONS", 5)
    with pytest.raises(InputError, match="plan fewer blocks"):
        sensitivity(PLAN, PROBLEM)
