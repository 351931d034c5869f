"""Simulation: without jitter it says what the plan says; with jitter the order holds and the seed decides."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.action import Action, Kind, Payload, TimedAction
from planner.cost import costs
from planner.errors import InfeasibleError, MismatchError
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows, rows_to_text
from planner.search import plan
from planner.simulate import Jitter, simulate
from tests.planner.clips import cascade, clip, model, program
from tests.strategies import planned

jitters = st.builds(Jitter, spread=st.floats(0.01, 2), seed=st.integers(0, 2**32))


def actions_of(rows: Rows) -> list[list[Action]]:
    return [[row.action for row in program_rows] for program_rows in rows]


def untimed(given_plan: Plan, *programs: str) -> Plan:
    """The plan with other programs, whose times say nothing."""
    rows = tuple(tuple(TimedAction(action, 0, 0) for action in program(text)) for text in programs)
    return given_plan.model_copy(update={"ranks": rows})


def test_a_clip_that_waits_on_a_link_by_hand() -> None:
    # K/V takes 149 us to travel and is made every 100 us, so the second waits for the link until 249 us.
    problem = clip(model(2), 2, 2, decode=False)
    made = plan(problem, pattern=cascade(1), placement=Placement(passes="block"))
    trace = simulate(made, problem)
    assert rows_to_text(trace.ranks).splitlines() == [
        "r0 0 100 denoise b0.s0",
        "r0 100 249 send kv b0.s0 to r1",
        "r0 100 200 denoise b0.s1",
        "r0 249 398 send kv b0.s1 to r1",
        "r0 249 249 free kv b0.s0",
        "r0 249 249 free latents b0.s0",
        "r0 398 398 free kv b0.s1",
        "r1 100 249 recv kv b0.s0 from r0",
        "r1 249 398 recv kv b0.s1 from r0",
        "r1 249 399 denoise b1.s0",
        "r1 399 399 free kv b1.s0",
        "r1 399 399 free kv b0.s0",
        "r1 399 549 denoise b1.s1",
        "r1 549 549 free latents b1.s0",
        "r1 549 549 free kv b1.s1",
        "r1 549 549 free kv b0.s1",
    ]
    assert (trace.kind, trace.plan_digest, trace.last_step) == ("simulated", made.digest, 1)
    assert trace.finished_us == [200, 549]


def test_a_receive_that_is_posted_late_by_hand() -> None:
    # Rank 1 posts its receive at 100 us and its second one at 250 us, when the link has long been free.
    problem = clip(model(2, window=1), 2, 2, decode=False)
    late = untimed(
        plan(problem, pattern=cascade(1)),
        "denoise b0.s0\nsend latents b0.s0 to r1\nsend kv b0.s0 to r1\nfree latents b0.s0",
        "denoise b1.s0\nrecv latents b0.s0 from r0\ndenoise b1.s1\nrecv kv b0.s0 from r0\ndenoise b0.s1",
    )
    assert rows_to_text(simulate(late, problem).ranks).splitlines() == [
        "r0 0 100 denoise b0.s0",
        "r0 100 106 send latents b0.s0 to r1",
        "r0 200 349 send kv b0.s0 to r1",
        "r0 106 106 free latents b0.s0",
        "r1 0 100 denoise b1.s0",
        "r1 100 106 recv latents b0.s0 from r0",
        "r1 100 200 denoise b1.s1",
        "r1 200 349 recv kv b0.s0 from r0",
        "r1 200 300 denoise b0.s1",
    ]


@settings(max_examples=150)
@given(planned())
def test_without_jitter_the_trace_is_the_plan(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    assert simulate(given_plan, problem).ranks == given_plan.ranks
    assert simulate(given_plan, problem, Jitter(spread=0, seed=7)).ranks == given_plan.ranks


@settings(max_examples=40)
@given(planned(min_devices=2, min_blocks=2), jitters)
def test_jitter_keeps_the_order(made: tuple[Problem, Plan], jitter: Jitter) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem, jitter)
    assert actions_of(trace.ranks) == actions_of(given_plan.ranks)
    spans: dict[tuple[int, int, Payload], tuple[int, int]] = {}
    for rank, rows in enumerate(trace.ranks):
        taken = [row for row in rows if row.action.peer is None]
        assert all(before.end_us <= after.start_us for before, after in pairwise(taken))
        for action, start, end in rows:
            if action.kind is Kind.FREE:
                assert start == end
            else:
                assert end - start >= 1
            if action.peer is not None:
                source, target = (rank, action.peer) if action.kind is Kind.SEND else (action.peer, rank)
                # Both ends of a transfer have one span.
                assert spans.setdefault((source, target, action.payload), (start, end)) == (start, end)


@settings(max_examples=30)
@given(planned(), jitters)
def test_the_same_seed_gives_the_same_bytes(made: tuple[Problem, Plan], jitter: Jitter) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem, jitter)
    assert simulate(given_plan, problem, Jitter(**jitter.model_dump())).to_json() == trace.to_json()
    trace.require(given_plan)


def test_other_seeds_give_other_times() -> None:
    problem = clip(model(2, clean=True), 4, 2, denoise_us=(10_000,))
    made = plan(problem)
    makespans = {simulate(made, problem, Jitter(spread=0.1, seed=seed)).makespan_us for seed in range(10)}
    assert len(makespans) == 10
    assert made.makespan_us not in makespans


def test_jitter_has_median_one_and_the_spread_asked_for() -> None:
    problem = clip(model(4, window=1), 100, decode=False, denoise_us=(10**6,))
    rows = simulate(plan(problem, pattern=cascade(4)), problem, Jitter(spread=0.3, seed=1)).ranks[0]
    factors = sorted((row.end_us - row.start_us) / 10**6 for row in rows if row.action.is_compute)
    assert len(factors) == 400
    assert statistics.median(factors) == pytest.approx(1, abs=0.08)
    # One standard deviation either way of a log-normal factor.
    assert factors[63] == pytest.approx(0.741, abs=0.08)
    assert factors[336] == pytest.approx(1.35, abs=0.15)


def test_an_action_is_as_slow_in_every_plan_of_a_problem() -> None:
    problem = clip(model(2), 3, denoise_us=(10_000,))
    jitter = Jitter(spread=0.5, seed=3)

    def durations(pattern: Pattern) -> dict[Action, int]:
        trace = simulate(plan(problem, pattern=pattern), problem, jitter)
        return {row.action: row.end_us - row.start_us for row in trace.ranks[0] if row.action.is_compute}

    assert durations(cascade(1)) == durations(Pattern.sequential(problem.model))


def test_links_have_jitter_too() -> None:
    problem = clip(model(2), 2, 2, decode=False, latency_us=10_000)
    made = plan(problem, pattern=cascade(1), placement=Placement(passes="block"))
    spans = [
        row.end_us - row.start_us
        for row in simulate(made, problem, Jitter(spread=0.5, seed=3)).ranks[0]
        if row.action.kind is Kind.SEND
    ]
    planned_us = costs(problem).transfer_us(program("send kv b0.s0 to r1")[0].payload)
    assert len({planned_us, *spans}) == 3


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        (
            ("recv kv b1.s0 from r1\ndenoise b2.s0\nsend kv b0.s0 to r1", "recv kv b0.s0 from r0\ndenoise b1.s0"),
            "the plan never finishes: r0 at recv kv b1.s0 from r1, r1 at recv kv b0.s0 from r0",
        ),
        (
            ("denoise b0.s0\nsend kv b0.s0 to r1\nfree kv b0.s0", "denoise b1.s0"),
            "the plan never finishes: r0 at send kv b0.s0 to r1",
        ),
    ],
)
def test_deadlocks_are_named(programs: tuple[str, str], message: str) -> None:
    problem = clip(model(1), 3, 2, decode=False)
    stuck = untimed(plan(problem, pattern=cascade(1)), *programs)
    with pytest.raises(InfeasibleError) as refused:
        simulate(stuck, problem)
    assert str(refused.value) == message


def test_a_plan_of_another_problem_is_refused() -> None:
    problem = clip(model(1), 3, 2)
    with pytest.raises(MismatchError, match="plan again"):
        simulate(plan(problem), clip(model(1), 4, 2))


@pytest.mark.parametrize(
    "jitter",
    [{"spread": -0.1}, {"spread": 2.1}, {"spread": float("nan")}, {"spread": float("inf")}, {"seed": 0.5}, {"kind": 1}],
)
def test_wrong_jitter_is_refused(jitter: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(jitter))):
        Jitter.model_validate(jitter)
