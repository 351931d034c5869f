"""Timing: the earliest times an order allows, by hand; as the scheduler foretold; deadlocks named."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import Action, Kind, TimedAction
from planner.cost import Costs
from planner.errors import InfeasibleError
from planner.lower import lower
from planner.rows import rows_to_text
from planner.schedulers.list_schedule import RULES, Rule
from planner.timing import retime
from tests.planner.by_hand import CASES
from tests.planner.case_by_hand import Case
from tests.planner.clips import cascade, clip, costed, drafted, model, program
from tests.planner.deadlocks import DEADLOCKS, Deadlock
from tests.strategies import costings


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_times_by_hand(case: Case) -> None:
    assert rows_to_text(retime(case.actions, case.costs)).splitlines() == case.lines


@pytest.mark.parametrize("case", DEADLOCKS.values(), ids=DEADLOCKS)
def test_deadlocks_are_named(case: Deadlock) -> None:
    with pytest.raises(InfeasibleError) as refused:
        retime(case.actions, case.costs)
    assert str(refused.value) == f"the programs never finish: {case.places}"


@settings(max_examples=150)
@given(costings(), st.sampled_from(RULES))
def test_what_the_scheduler_foretold_is_kept(timing: Costs, rule: Rule) -> None:
    draft = drafted(timing, rule)
    rows = retime(lower(draft, timing.flow), timing)
    computed = [[row for row in program_rows if row.action.is_compute] for program_rows in rows]
    assert [[row.action for row in rows] for rows in computed] == [[row.action for row in rows] for rows in draft.ranks]
    again: list[list[Action]] = [[row.action for row in program_rows] for program_rows in rows]
    assert retime(again, timing) == rows
    if says_all(timing):
        for found, foretold in zip(computed, draft.ranks, strict=True):
            assert all(row.end_us <= planned.end_us for row, planned in zip(found, foretold, strict=True))


def says_all(timing: Costs) -> bool:
    """Whether a schedule knows all that a program waits for.

    It does not know the host's time, what a group's or gang's first rank hands to the others, how long another kind of
    device takes for a first layer, and who goes first on a lane that others share.
    """
    problem, flow = timing.problem, timing.flow
    ranks = range(problem.cluster.size)
    lanes = [timing.wire(source, target).lanes for source, target in permutations(ranks, 2)]
    alone = len({lane for held in lanes for lane in held}) == len(lanes)
    alike = len(set(problem.cluster.devices)) == 1
    whole = flow.placement.degree == 1 and not flow.pattern.is_joint
    return alone and whole and not timing.post_us and (alike or not flow.pattern.is_live)


@settings(max_examples=150)
@given(costings(min_devices=2))
def test_lanes_are_never_shared(timing: Costs) -> None:
    rows = retime(lower(drafted(timing), timing.flow), timing)
    spans: dict[int, list[tuple[int, int]]] = {}
    for rank, program_rows in enumerate(rows):
        for action, start, end in program_rows:
            if action.kind in (Kind.SEND, Kind.STREAM):
                assert action.peer is not None
                for lane in timing.wire(rank, action.peer).lanes:
                    spans.setdefault(lane, []).append((start, end))
    for held in spans.values():
        held.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(held))


@settings(max_examples=100)
@given(costings())
def test_gangs_start_and_end_together(timing: Costs) -> None:
    rows = retime(lower(drafted(timing), timing.flow), timing)
    spans: dict[Action, set[tuple[int, int]]] = {}
    for program_rows in rows:
        for action, start, end in program_rows:
            if action.is_compute:
                spans.setdefault(action.gang, set()).add((start, end))
    assert all(len(together) == 1 for together in spans.values())


def test_rows_keep_the_order_of_the_program() -> None:
    text = "denoise b0.s0\nfree kv b0.s0\nfree latents b0.s0"
    rows = retime([program(text), []], costed(clip(model(1), 3, 2, decode=False), cascade(1)))
    assert rows == (
        (
            TimedAction(Action.parse("denoise b0.s0"), 0, 100),
            TimedAction(Action.parse("free kv b0.s0"), 100, 100),
            TimedAction(Action.parse("free latents b0.s0"), 100, 100),
        ),
        (),
    )
