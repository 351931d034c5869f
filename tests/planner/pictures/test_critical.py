"""The critical chain of rows: by hand, and of any plan from the start to the end without a gap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings

from planner.action import Action, TimedAction
from planner.pictures.critical import critical_chain
from planner.pictures.scene import Bar, scene
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed


def rows_of(*ranks: str) -> Rows:
    """A line an action: `start end action`."""
    return tuple(
        tuple(
            TimedAction(Action.parse(text), int(start), int(end))
            for start, end, text in (line.strip().split(" ", 2) for line in rank.strip().splitlines())
        )
        for rank in ranks
    )


def told(rows: Rows) -> list[str]:
    return [f"r{rank} {rows[rank][index].action}" for rank, index in critical_chain(rows)]


def test_a_rank_of_its_own() -> None:
    rows = rows_of("0 10 denoise b0.s0\n10 30 decode b0", "0 25 denoise b1.s0")
    assert told(rows) == ["r0 denoise b0.s0", "r0 decode b0"]


def test_it_crosses_where_a_rank_waited_for_data() -> None:
    rows = rows_of(
        "0 20 denoise b0.s0\n20 30 send kv b0.s0 to r1\n20 22 denoise b0.s1",
        "20 30 recv kv b0.s0 from r0\n0 5 denoise b9.s0\n30 50 denoise b1.s0",
    )
    assert told(rows) == ["r0 denoise b0.s0", "r0 send kv b0.s0 to r1", "r1 denoise b1.s0"]


def test_what_arrived_earlier_than_the_rank_was_free_is_not_on_it() -> None:
    rows = rows_of(
        "0 20 denoise b0.s0\n20 30 send kv b0.s0 to r1",
        "20 30 recv kv b0.s0 from r0\n0 40 denoise b9.s0\n40 50 denoise b1.s0",
    )
    assert told(rows) == ["r1 denoise b9.s0", "r1 denoise b1.s0"]


def test_a_transfer_may_wait_for_another_on_its_way() -> None:
    rows = rows_of(
        "0 20 denoise b0.s0\n20 40 send kv b0.s0 to r1\n20 25 denoise b0.s1\n40 60 send kv b0.s1 to r1",
        "20 40 recv kv b0.s0 from r0\n40 60 recv kv b0.s1 from r0\n60 70 denoise b1.s1",
    )
    expected = ["r0 denoise b0.s0", "r0 send kv b0.s0 to r1", "r0 send kv b0.s1 to r1", "r1 denoise b1.s1"]
    assert told(rows) == expected


def test_a_transfer_may_wait_for_the_bus_of_its_node() -> None:
    rows = rows_of(
        "0 20 denoise b0.s0\n20 40 send kv b0.s0 to r1",
        "20 40 recv kv b0.s0 from r0",
        "0 10 denoise b1.s0\n40 60 send kv b1.s0 to r3",
        "40 60 recv kv b1.s0 from r2\n60 70 denoise b2.s0",
    )
    expected = ["r0 denoise b0.s0", "r0 send kv b0.s0 to r1", "r2 send kv b1.s0 to r3", "r3 denoise b2.s0"]
    assert told(rows) == expected


def test_a_gang_waits_for_its_last_share() -> None:
    rows = rows_of("0 10 denoise b0.s0\n30 40 tick 1 b0.s1", "0 30 denoise b1.s0\n30 40 tick 1 b1.s1")
    assert told(rows) == ["r1 denoise b1.s0", "r0 tick 1 b0.s1"]


def test_a_stream_is_read_beside_its_maker() -> None:
    rows = rows_of(
        "0 10 denoise b0.s0\n12 42 stream kv b0.s1 to r1\n10 40 denoise b0.s1",
        "12 42 tap kv b0.s1 from r0\n14 44 denoise b1.s0",
    )
    expected = ["r0 denoise b0.s0", "r0 denoise b0.s1", "r0 stream kv b0.s1 to r1", "r1 denoise b1.s0"]
    assert told(rows) == expected


def test_a_run_may_have_gaps() -> None:
    rows = rows_of("0 10 denoise b0.s0\n13 30 decode b0\n30 30 free kv b0.s0")
    assert told(rows) == ["r0 denoise b0.s0", "r0 decode b0"]


def test_nothing_computed_is_no_chain() -> None:
    assert critical_chain(((), ())) == ()


def test_the_plan_of_a_cascade() -> None:
    plan = plan_of(costed(clip(model(2), 2, 2, decode=False), cascade(1), "block"))
    assert told(plan.ranks) == ["r0 denoise b0.s0", "r0 send kv b0.s0 to r1", "r1 denoise b1.s0", "r1 denoise b1.s1"]


@settings(max_examples=60)
@given(listed())
def test_a_chain_spans_the_whole_plan(made: tuple[Problem, Plan]) -> None:
    """From its start to its end, in order of time, without a gap but for what posting takes the host."""
    problem, plan = made
    chain = scene("", plan.ranks).chain
    post_us = problem.profile.post_us if problem.profile else 0
    assert isinstance(chain[-1], Bar)
    assert chain[-1].end_us == max(row.end_us for rows in plan.ranks for row in rows if row.action.is_compute)
    most = post_us * max(map(len, plan.ranks))
    switched = max((switch.at_us for switch in problem.workload.switches), default=0)
    assert chain[0].start_us <= max(most, switched)
    for before, after in pairwise(chain):
        assert before.start_us <= after.start_us
        assert after.start_us - before.end_us <= max(most, switched)
