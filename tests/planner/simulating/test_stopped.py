"""Runs that cannot go on: what is told, and what their traces hold."""

from __future__ import annotations

import pytest

from planner.action import Kind
from planner.conditions import Conditions, Outage, Player
from planner.errors import InfeasibleError
from planner.measures import measure
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.simulating.played import by_hand


def cut(made: tuple[Problem, Plan], rank: int, at_us: int) -> Trace:
    problem, plan = made
    return simulate(plan, problem, Conditions(outages=(Outage(rank=rank, at_us=at_us),)))


def decoded_in_parts() -> tuple[Problem, Plan]:
    """Passes on r0, the decoder's two parts on r1 and r2."""
    part = {"median_us": 30, "p95_us": 30, "samples": 1}
    problem = clip(model(1, window=1), 3, 3, measured={"decode_parts": [part, part]})
    return problem, plan_of(costed(problem, cascade(1), "free+decoder:2"))


def test_a_block_of_which_one_part_is_decoded_is_not_finished() -> None:
    made = decoded_in_parts()
    whole = simulate(made[1], made[0])
    last = [row for row in whole.ranks[2] if row.action.kind is Kind.DECODE]
    trace = cut(made, 2, last[1].end_us - 1)
    assert (trace.finished_blocks, trace.finished_us) == (1, whole.finished_us[:1])
    # The first part of all of them is done.
    assert sum(row.action.kind is Kind.DECODE for row in trace.ranks[1]) == 3
    assert "finished block 0 of 3" in trace.stopped


def test_nothing_finished() -> None:
    trace = cut(decoded_in_parts(), 2, 0)
    assert (trace.finished_blocks, trace.finished_us) == (0, [])
    assert trace.stopped.startswith("r2 was out for good at 0.000 s; finished no block of 3; stuck: ")
    assert trace.ranks[2] == ()
    nothing = cut(decoded_in_parts(), 0, 0)
    assert (nothing.makespan_us, nothing.utilization) == (0, (0.0, 0.0, 0.0))


def test_an_outage_after_all_is_done_stops_nothing() -> None:
    made = decoded_in_parts()
    for rank in range(3):
        trace = cut(made, rank, made[1].makespan_us + 1)
        assert trace == simulate(made[1], made[0])
        assert trace.stopped == ""


def test_a_stopped_trace_can_be_measured_and_kept() -> None:
    problem, plan = decoded_in_parts()
    trace = cut((problem, plan), 2, plan.finished_us[2] - 1)
    found = measure(problem, plan, trace)
    assert (found.blocks, found.stopped) == (2, trace.stopped)
    assert Trace.from_json(trace.to_json()) == trace


def test_whole_traces_keep_their_bytes() -> None:
    problem, plan = decoded_in_parts()
    text = simulate(plan, problem).to_json()
    assert "stopped" not in text
    assert "finished_blocks" not in text


def test_a_queue_that_holds_up_what_it_waits_for() -> None:
    backwards = "denoise b1.s0\nfree kv b1.s0\ndenoise b0.s0"
    problem, plan = by_hand(clip(model(1, window=1), 2, decode=False), backwards)
    simulate(plan, problem)
    with pytest.raises(
        InfeasibleError, match=r"^the plan never finishes with player.queue_blocks 1: r0 at denoise b1.s0; let more"
    ):
        simulate(plan, problem, Conditions(player=Player(queue_blocks=1)))


def test_all_who_are_out_are_named() -> None:
    problem, plan = decoded_in_parts()
    gone = (Outage(rank=2, at_us=1_500), Outage(rank=1, at_us=20))
    trace = simulate(plan, problem, Conditions(outages=gone))
    assert trace.stopped.startswith("r1 was out for good at 0.000 s, r2 was out for good at 0.002 s; finished no block")
