"""Simulation: without jitter it says what the plan says; with jitter the order holds and the seed decides."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import LEAVING, TRANSFERS, Action, Kind, Payload, TimedAction
from planner.conditions import Conditions, Jitter
from planner.cost import Costs, costs
from planner.errors import InfeasibleError, InputError, MismatchError
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.rows import Rows, rows_to_text
from planner.search import plan
from planner.simulate import simulate
from planner.streams.unroll import unroll
from planner.timing import retime
from tests.planner.by_hand import CASES
from tests.planner.case_by_hand import Case
from tests.planner.clips import cascade, clip, costed, model, plan_of, program, timed
from tests.planner.deadlocks import DEADLOCKS, Deadlock
from tests.strategies import costings, links, listed, planned, profiles

jitters = st.builds(
    lambda sigma, seed: Conditions(jitter=Jitter.of(sigma), seed=seed), st.floats(0.01, 2), st.integers(0, 2**32)
)

READY = Conditions(turns="ready")  # for plans whose times say nothing about turns


def actions_of(rows: Rows) -> list[list[Action]]:
    return [[row.action for row in program_rows] for program_rows in rows]


def untimed(timing: Costs, programs: list[list[Action]]) -> Plan:
    """A plan whose times say nothing."""
    return plan_of(timing, tuple(tuple(TimedAction(action, 0, 0) for action in actions) for actions in programs))


# -- without jitter ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_times_by_hand(case: Case) -> None:
    trace = simulate(untimed(case.costs, case.actions), case.problem, READY)
    assert rows_to_text(trace.ranks).splitlines() == case.lines


def test_a_trace_says_what_it_is_of() -> None:
    timing = costed(clip(model(2), 2, 2, decode=False), cascade(1), "block")
    made = plan_of(timing)
    trace = simulate(made, timing.problem)
    trace.require(made)
    assert (trace.kind, trace.plan_digest, trace.last_step) == ("simulated", made.digest, 1)
    assert trace.finished_us == [200, 549]


@settings(max_examples=200)
@given(listed())
def test_without_jitter_the_trace_is_the_plan(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    assert simulate(given_plan, problem).ranks == given_plan.ranks
    assert simulate(given_plan, problem, Conditions(jitter=Jitter.of(0), seed=7)).ranks == given_plan.ranks


@settings(max_examples=60)
@given(planned())
def test_without_jitter_the_trace_is_the_planners_plan(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    assert simulate(given_plan, problem).ranks == given_plan.ranks


@settings(max_examples=200)
@given(st.data(), costings(min_devices=2, min_blocks=2))
def test_orders_made_for_other_durations_take_as_long_as_timing_says(data: st.DataObject, timing: Costs) -> None:
    """Where nothing fits, much waits: simulation and timing are written apart and must agree on who goes first."""
    problem, flow = timing.problem, timing.flow
    cluster = problem.cluster.model_copy(update={"link": data.draw(links())})
    profile = problem.profile
    if profile is not None:
        kept = {"decode_parts": profile.decode_parts, "parallel": profile.parallel}
        profile = data.draw(profiles(problem.model, profile.device)).model_copy(update=kept)
    other = problem.model_copy(update={"cluster": cluster, "profile": profile})
    slower = costs(other, Flow(other, flow.pattern, flow.placement, flow.switch_ticks))
    rows = retime(actions_of(timed(timing)), slower)
    assert simulate(plan_of(slower, rows), other).ranks == rows


@pytest.mark.parametrize("case", DEADLOCKS.values(), ids=DEADLOCKS)
def test_deadlocks_are_named(case: Deadlock) -> None:
    with pytest.raises(InfeasibleError) as refused:
        simulate(untimed(case.costs, case.actions), case.costs.problem, READY)
    text = str(refused.value)
    places = case.places.split(", ")
    # A transfer without its other end is named alone.
    assert text == f"the plan never finishes: {case.places}" or (
        text.endswith("has no other end; check the plan") and any(repr(p.partition(" at ")[2]) in text for p in places)
    )


def in_a_row(blocks: int) -> tuple[Problem, Plan]:
    """Blocks of 100 us each, one after the other."""
    problem = clip(model(1, window=1), blocks, decode=False)
    actions = program("\n".join(f"denoise b{block}.s0\nfree kv b{block}.s0" for block in range(blocks)))
    timing = costed(problem, cascade(1))
    return problem, plan_of(timing, retime([actions], timing))


def stream(blocks: int) -> tuple[Problem, Plan]:
    """Three blocks in a row, of which the middle one repeats."""
    problem = clip(model(1, window=1), blocks, decode=False)
    repeat = Repeat(first_block=1, kernel_blocks=1, kernel_us=100, copies=blocks - 3, places=((2, 4),))
    return problem, in_a_row(3)[1].model_copy(update={"problem_digest": problem.digest, "repeat": repeat})


def test_a_streams_kernel_runs_as_often_as_it_repeats() -> None:
    problem, made = stream(7)
    assert len(made.ranks[0]) == 6
    _, whole = in_a_row(7)
    assert simulate(made, problem).ranks == whole.ranks
    jitter = Conditions(jitter=Jitter.of(0.4), seed=2)
    assert simulate(made, problem, jitter).ranks == simulate(whole, problem, jitter).ranks


def test_a_planned_stream_is_played_in_full() -> None:
    problem = clip(model(2, clean=True, window=3), 600, 2)
    made = plan(problem, pattern=cascade(2), placement=Placement())
    assert made.repeat is not None
    assert made.repeat.copies > 100
    trace = simulate(made, problem)
    assert trace.ranks == unroll(made)
    assert len(trace.finished_us) == 600


def test_a_stream_too_long_to_simulate_is_refused() -> None:
    problem, made = stream(10**6)
    with pytest.raises(InputError, match=r"^plan: 999997 copies of a kernel of 2 actions .* at most 150000 blocks$"):
        simulate(made, problem)


def test_a_payload_that_comes_after_its_reader_never_finishes() -> None:
    timing = costed(clip(model(1), 2, 2, decode=False), cascade(1))
    late = [program("denoise b0.s0\nsend kv b0.s0 to r1"), program("denoise b1.s0\nrecv kv b0.s0 from r0")]
    with pytest.raises(InfeasibleError, match=r"r1 at denoise b1\.s0"):
        simulate(untimed(timing, late), timing.problem)


def test_a_plan_of_another_problem_is_refused() -> None:
    timing = costed(clip(model(1), 3, 2), cascade(1))
    with pytest.raises(MismatchError, match="plan again"):
        simulate(plan_of(timing), clip(model(1), 4, 2))


# -- with jitter ---------------------------------------------------------------------------------


@settings(max_examples=60)
@given(listed(min_devices=2, min_blocks=2), jitters)
def test_jitter_keeps_the_order(made: tuple[Problem, Plan], jitter: Conditions) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem, jitter)
    assert actions_of(trace.ranks) == actions_of(given_plan.ranks)
    spans: dict[tuple[int, int, Payload], tuple[int, int]] = {}
    gangs: dict[Action, tuple[int, int]] = {}
    for rank, rows in enumerate(trace.ranks):
        taken = [row for row in rows if row.action.peer is None]
        assert all(before.end_us <= after.start_us for before, after in pairwise(taken))
        for action, start, end in rows:
            assert end - start >= (action.kind is not Kind.FREE)
            if action.is_compute:
                # So do all shares of a gang.
                assert gangs.setdefault(action.gang, (start, end)) == (start, end)
            if action.peer is not None:
                source, target = (rank, action.peer) if action.kind in LEAVING else (action.peer, rank)
                # Both ends of a transfer have one span.
                assert spans.setdefault((source, target, action.payload), (start, end)) == (start, end)


@settings(max_examples=30)
@given(listed(), jitters)
def test_the_same_seed_gives_the_same_bytes(made: tuple[Problem, Plan], jitter: Conditions) -> None:
    problem, given_plan = made
    trace = simulate(given_plan, problem, jitter)
    assert simulate(given_plan, problem, Conditions(**jitter.model_dump())).to_json() == trace.to_json()
    trace.require(given_plan)


def test_other_seeds_give_other_times() -> None:
    timing = costed(clip(model(2, clean=True), 4, 2, denoise_us=(10_000,)), cascade(1))
    made = plan_of(timing)
    makespans = {
        simulate(made, timing.problem, Conditions(jitter=Jitter.of(0.1), seed=seed)).makespan_us for seed in range(10)
    }
    assert len(makespans) == 10
    assert made.makespan_us not in makespans


def test_jitter_has_median_one_and_the_spread_asked_for() -> None:
    timing = costed(clip(model(4, window=1), 100, decode=False, denoise_us=(10**6,)), cascade(4))
    rows = simulate(plan_of(timing), timing.problem, Conditions(jitter=Jitter.of(0.3), seed=1)).ranks[0]
    factors = sorted((row.end_us - row.start_us) / 10**6 for row in rows if row.action.is_compute)
    assert len(factors) == 400
    assert statistics.median(factors) == pytest.approx(1, abs=0.08)
    # One standard deviation either way of a log-normal factor.
    assert factors[63] == pytest.approx(0.741, abs=0.08)
    assert factors[336] == pytest.approx(1.35, abs=0.15)


def test_an_action_is_as_slow_in_every_plan_of_a_problem() -> None:
    problem, jitter = clip(model(2), 3, denoise_us=(10_000,)), Conditions(jitter=Jitter.of(0.5), seed=3)

    def durations(pattern: Pattern) -> dict[Action, int]:
        trace = simulate(plan_of(costed(problem, pattern)), problem, jitter)
        return {row.action: row.end_us - row.start_us for row in trace.ranks[0] if row.action.is_compute}

    assert durations(cascade(1)) == durations(Pattern.sequential(problem.model))


def test_links_have_jitter_too() -> None:
    timing = costed(clip(model(2), 2, 2, decode=False, latency_us=10_000), cascade(1), "block")
    trace = simulate(plan_of(timing), timing.problem, Conditions(jitter=Jitter.of(0.5), seed=3))
    spans = [row.end_us - row.start_us for row in trace.ranks[0] if row.action.kind in TRANSFERS]
    assert len({timing.transfer_us(Payload("kv", 0, 0), 0, 1), *spans}) == 3


def test_a_gang_lasts_as_long_as_its_slowest_share() -> None:
    case = CASES["a group starts and ends together"]
    factors = []
    for seed in range(40):
        trace = simulate(untimed(case.costs, case.actions), case.problem, Conditions(jitter=Jitter.of(0.5), seed=seed))
        one, other = trace.ranks[0][2], trace.ranks[1][1]
        assert (one.action, one.start_us, one.end_us) == (other.action, other.start_us, other.end_us)
        factors.append((one.end_us - one.start_us) / 60)
    # The larger of two factors: its median is the 71st percentile of one, exp(0.5 x 0.545).
    assert statistics.median(factors) == pytest.approx(1.31, abs=0.15)


def test_a_slow_layer_holds_up_a_live_reader() -> None:
    """However long layers take, a reader starts after the first and ends a layer of its own after the last."""
    case = CASES["a stream slower than its maker"]
    for seed in range(20):
        trace = simulate(untimed(case.costs, case.actions), case.problem, Conditions(jitter=Jitter.of(0.8), seed=seed))
        stream, maker, reader = trace.ranks[0][1], trace.ranks[0][2], trace.ranks[1][1]
        assert maker.start_us < stream.start_us < reader.start_us
        assert stream.end_us > maker.end_us
        assert reader.end_us > stream.end_us
