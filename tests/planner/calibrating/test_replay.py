"""Replays: with a plan's own figures they give the plan, and whatever they follow they reproduce."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.calibrating.losses import planned_as
from planner.calibrating.replay import Assumed, Marks, lane_order, play
from planner.calibrating.script import script
from planner.errors import InfeasibleError
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows, makespan_us
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.deadlocks import DEADLOCKS, Deadlock
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import assumed, hand_made
from tests.planner.test_simulate import untimed
from tests.strategies import listed


@pytest.mark.parametrize("name", BY_HAND)
def test_a_plan_by_hand_is_replayed(name: str) -> None:
    problem, plan = hand_made(name)
    assert play(*assumed(problem, plan)).rows == plan.ranks


@settings(max_examples=100)
@given(listed())
def test_a_plans_own_figures_give_the_plan(made: tuple[Problem, Plan]) -> None:
    problem, plan = made
    assert play(*assumed(problem, plan)).rows == plan.ranks


@settings(max_examples=60)
@given(listed(), st.data())
def test_whatever_is_followed_is_reproduced_by_its_delays(made: tuple[Problem, Plan], data: st.DataObject) -> None:
    """Times drawn at random, far from what can be: the delays they stand for give them again."""
    problem, plan = made
    lines, planned = assumed(problem, plan)
    moments = st.integers(0, 10**4)
    facts = Marks(
        {number: data.draw(moments) for number in range(len(lines.moves))},
        {gang: data.draw(moments) for gang in lines.gangs},
        {place: 10**4 + data.draw(moments) for place in lines.inputs},
    )
    followed = play(lines, planned, facts)
    assert {places[0]: followed.rows[places[0][0]][places[0][1]].start_us for places in lines.gangs.values()} == {
        places[0]: facts.gangs[gang] for gang, places in lines.gangs.items()
    }
    assert all(followed.rows[rank][index].end_us == end for (rank, index), end in facts.ends.items())
    assert play(lines, planned._replace(delays=followed.delays)).rows == followed.rows


def test_a_longer_action_moves_what_waits_for_it() -> None:
    problem, plan = hand_made("decoded")
    lines, planned = assumed(problem, plan)
    slower = planned._replace(lasts={**planned.lasts, (0, 0): 130})
    assert play(lines, slower).rows[1][1][1:] == (239, 389)
    hidden = planned._replace(lasts={**planned.lasts, (0, 2): 200})
    assert makespan_us(play(lines, hidden).rows) == 430


def test_when_a_rank_came_and_when_all_was_ready() -> None:
    problem, plan = hand_made("decoded")
    played = play(*assumed(problem, plan))
    assert (played.came[0, 6], played.ready[0, 6]) == (209, 370)
    assert (played.came[1, 1], played.ready[1, 1]) == (0, 209)


def test_posts_take_the_host() -> None:
    problem, plan = hand_made("posts")
    lines, planned = assumed(problem, plan)
    assert play(lines, planned).came[1, 1] == 7
    assert play(lines, planned._replace(posts={(1, 0): 400})).rows[1][1].start_us == 400


def test_moves_share_lanes_in_the_order_given() -> None:
    """On a bus both ways of a pair are one lane; each on its own where lanes are not shared."""
    problem = clip(model(2), 4, 2, decode=False, measured={"link_sharing": "bus"})
    lines = script(plan_of(costed(problem, cascade(1), "block")), problem)
    begun = [10 * number for number in range(len(lines.moves))]
    assert lane_order(lines, begun) == ((), *((number,) for number in range(len(begun) - 1)))
    assert {lines.moves[0].way, lines.moves[-1].way} == {(0, 1), (1, 0)}
    assert sum(not before for before in lane_order(lines)) == 2


def test_one_way_carries_one_move_after_the_other() -> None:
    spec = model(2)
    problem = clip(spec, 4, 2, decode=False)
    plan = plan_of(costed(problem, cascade(1), "block"))
    lines, planned = assumed(problem, plan)
    for after in (lane_order(lines), lane_order(lines, [10 * n for n in range(len(lines.moves))])):
        for number, before in enumerate(after):
            assert all(lines.moves[b].way == lines.moves[number].way and b < number for b in before)
        assert sum(map(len, after)) == len(lines.moves) - len({move.way for move in lines.moves})
    slow = planned._replace(wires=tuple(1000 for _ in planned.wires))
    rows = play(lines, slow).rows
    spans = sorted(rows[move.sent[0]][move.sent[1]][1:] for move in lines.moves if move.way == (0, 1))
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_a_move_that_never_ends_is_named() -> None:
    problem, plan = hand_made("decoded")
    lines, planned = assumed(problem, plan)
    crossed = Assumed(planned.lasts, planned.wires, ((1,), (0,)))
    with pytest.raises(InfeasibleError, match=r"never finishes: r0 at .*, r1 at recv kv b0\.s0 from r0"):
        play(lines, crossed)


def replayed(case: Deadlock) -> Rows:
    plan = untimed(case.costs, case.actions)
    lines = script(plan, case.costs.problem)
    return play(lines, planned_as(lines, plan.ranks)).rows


@pytest.mark.parametrize("case", DEADLOCKS.values(), ids=DEADLOCKS)
def test_deadlocks_are_refused(case: Deadlock) -> None:
    with pytest.raises(InfeasibleError, match="never finish"):
        replayed(case)
