"""A checker is worth what it refuses.

Claims: nothing the planner makes is refused, of any pattern on any placement; each way of spoiling a plan is, by a
line that names the action and the rule; nonsense is refused without a crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.action import Action, Carried, Kind, TimedAction
from planner.check import check, violations
from planner.checking.explain import explain
from planner.checking.proof import proven
from planner.errors import MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.workload import Workload
from tests.mutants import MUTANTS, Draft, NoPlace
from tests.planner.check_plans import KINDS, STREAMS, made
from tests.planner.hand_plans import BY_HAND, GOOD_PAIR, GOOD_TRIO, PAIR, TRIO, broken, by_hand
from tests.strategies import listed

# -- valid ---------------------------------------------------------------------------------------


@given(listed())
def test_plans_of_every_pattern_and_placement_break_no_rule(planned: tuple[Problem, Plan]) -> None:
    problem, plan = planned
    assert explain(plan, problem) == []
    assert proven(plan, problem) is not None
    check(plan, problem)


@pytest.mark.parametrize("kind", KINDS)
def test_good_plans_are_proven(kind: str) -> None:
    problem, plan = made(kind)
    assert proven(plan, problem) is not None
    assert explain(plan, problem) == []
    check(plan, problem)


@pytest.mark.parametrize("kind", STREAMS)
def test_good_streams(kind: str) -> None:
    problem, plan = made(kind)
    check(plan, problem)


def test_a_plan_of_another_problem_is_refused() -> None:
    other = PAIR.model_copy(update={"workload": Workload(blocks=3)})
    with pytest.raises(MismatchError, match="plan again"):
        check(by_hand(PAIR, GOOD_PAIR), other)


@pytest.mark.parametrize("name", BY_HAND)
def test_good_plan_by_hand(name: str) -> None:
    problem, text, pattern, placement = BY_HAND[name]
    plan = by_hand(problem, text, pattern, placement)
    assert explain(plan, problem) == []
    assert proven(plan, problem) is not None
    check(plan, problem)


# -- spoilt --------------------------------------------------------------------------------------


def test_every_broken_rule_is_listed() -> None:
    assert broken(
        "decoded",
        ("r0 209 209 free kv b0.s0", "r0 208 208 free kv b0.s0"),
        ("r0 430 430 free latents b1.s0", ""),
        ("r1 209 359 denoise b1.s0", "r1 208 359 denoise b1.s0"),
    ) == [
        "R9 r0 free kv b0.s0: freed at 208 us, before 'send kv b0.s0 to r1' ends at 209 us",
        "R9 r0 latents b1.s0: never freed",
        "R6 r1 denoise b1.s0: starts at 208 us, reads kv b0.s0, which is here at 209 us",
        "R4 r1 denoise b1.s0: lasts 151 us, the cost model says 150 us",
    ]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_spoilt_plan_is_named(mutant: Callable[[Draft], str]) -> None:
    spoilt = 0
    for kind in (*KINDS, *STREAMS):
        problem, plan = made(kind)
        draft = Draft(problem, plan, kind)
        try:
            expected = mutant(draft)
        except NoPlace:
            continue
        found = violations(draft.spoilt, problem)
        pattern = re.escape(expected).replace(re.escape(" ... "), ".* ")
        assert any(re.search(pattern, line) for line in found), f"{kind}: {expected!r} is not in {found}"
        spoilt += 1
    assert spoilt


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"placement": "ring"}, "R12 placement: 'ring' belongs to pattern 'layers', not ring to sequential"),
        ({"placement": "everywhere"}, "R12 placement: 'everywhere' is not free, block"),
        ({"placement": "free+decoder:2"}, "R12 placement: free+decoder:2 needs at least 3 ranks, not 2"),
        ({"placement": "free*ulysses:3"}, "R12 placement: free*ulysses:3"),
    ],
)
def test_a_placement_that_cannot_be_is_named(changes: Mapping[str, object], line: str) -> None:
    plan = by_hand(PAIR, GOOD_PAIR).model_copy(update=changes)
    assert proven(plan, PAIR) is None
    found = violations(plan, PAIR)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_pixels_are_not_read_where_nothing_is_decoded() -> None:
    lying = by_hand(TRIO, GOOD_TRIO, "sequential-recompute")
    assert violations(lying, TRIO) == [
        "R12 pattern: sequential-recompute reads decoded pixels, and the clip is not decoded"
    ]


def test_a_clip_far_beyond_its_rows_is_not_told_pass_by_pass() -> None:
    long = PAIR.model_copy(update={"workload": Workload(blocks=10**7)})
    assert violations(by_hand(PAIR, GOOD_PAIR), long) == ["R2 clip: has 10000000 blocks, the plan has 14 rows"]


# -- nonsense ------------------------------------------------------------------------------------

small = st.integers(-1, 7)

passes = st.lists(st.tuples(small, st.none() | small), max_size=2).map(tuple)

anything = st.builds(
    TimedAction,
    st.builds(
        Action,
        st.sampled_from(Kind),
        small,
        st.none() | small,
        st.sampled_from([None, *get_args(Carried)]),
        st.none() | small,
        st.just(()) | passes,
    ),
    st.integers(-10, 10**15),
    st.integers(-10, 10**15),
)


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        (Action(Kind.DENOISE, -1, 0), "blocks and steps count from 0"),
        (Action(Kind.DENOISE, 0, -1), "blocks and steps count from 0"),
        (Action(Kind.DENOISE, 0), "step None, payload None, peer None do not make a denoise"),
        (Action(Kind.COMMIT, 0, 0), "step 0, payload None, peer None do not make a commit"),
        (Action(Kind.DECODE, 0, None, "kv"), "step None, payload kv, peer None do not make a decode"),
        (Action(Kind.SEND, 0, 0, "kv"), "step 0, payload kv, peer None do not make a send"),
        (Action(Kind.RECV, 0, 0, None, 1), "step 0, payload None, peer 1 do not make a recv"),
        (Action(Kind.FREE, 0, 0, "kv", 1), "step 0, payload kv, peer 1 do not make a free"),
        (Action(Kind.TICK, 0, 0), "step 0, payload None, peer None do not make a tick"),
        (Action(Kind.SLICE, 0), "step None, payload None, peer None do not make a slice"),
        (
            Action(Kind.COMMIT, 0, batch=((0, 0),)),
            "step None, payload None, peer None, passes ((0, 0),) do not make a commit",
        ),
    ],
    ids=str,
)
def test_an_action_has_the_fields_of_its_kind(action: Action, fault: str) -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    spoilt = good.model_copy(update={"ranks": ((*good.ranks[0], TimedAction(action, 0, 0)), good.ranks[1])})
    assert violations(spoilt, PAIR) == [f"R1 r0 {action}: {fault}"]


def test_times_are_whole_microseconds() -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    (first, *rest), other = good.ranks
    half = TimedAction(first.action, 0, 100.0)  # type: ignore[arg-type]
    spoilt = good.model_copy(update={"ranks": ((half, *rest), other)})
    assert "R1 r0 denoise b0.s0: times 0, 100.0 are not whole microseconds" in violations(spoilt, PAIR)


@given(
    st.sampled_from([*KINDS, *STREAMS]),
    st.lists(st.lists(anything, max_size=8), min_size=1, max_size=6),
    st.sampled_from(["free", "block", "ring", "batched", "free*ulysses:2", "block+decoder:2"]),
)
def test_nonsense_is_refused_without_a_crash(kind: str, rows: list[list[TimedAction]], placement: str) -> None:
    problem, plan = made(kind)
    assert violations(plan.model_copy(update={"ranks": tuple(map(tuple, rows)), "placement": placement}), problem)
    appended = tuple((*old, *new) for old, new in zip(plan.ranks, rows, strict=False))
    assert isinstance(violations(plan.model_copy(update={"ranks": appended}), problem), list)
