"""Where a run's time went: each cause by hand, and the parts always sum to the whole."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.calibrate import Calibration, calibrate
from planner.calibrating.replay import play
from planner.calibrating.script import Place
from planner.conditions import Conditions, Jitter
from planner.cost import Costs
from planner.errors import MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.runs_by_hand import assumed, hand_run, parts_of, steady_parts_of
from tests.strategies import listed

# What follows b1 in the plan by hand "decoded", and where it is a hundred later.
LATER = (
    ("r0 359 370 recv", "r0 459 470 recv"),
    ("r0 370 430 decode b1", "r0 470 530 decode b1"),
    ("r0 430 430 free", "r0 530 530 free"),
    ("r1 359 370 send", "r1 459 470 send"),
    ("r1 359 359 free kv b0.s0", "r1 459 459 free kv b0.s0"),
    ("r1 359 359 free kv b1.s0", "r1 459 459 free kv b1.s0"),
    ("r1 370 370 free", "r1 470 470 free"),
)


def test_a_run_as_planned_loses_nothing() -> None:
    for name in ("decoded", "latents", "live", "gang", "posts"):
        found = hand_run(name)
        assert parts_of(found) == steady_parts_of(found) == {}
        assert found.losses.whole_us == 0


def test_a_slow_pass() -> None:
    found = hand_run("decoded", ("r1 209 359 denoise", "r1 209 459 denoise"), *LATER)
    assert parts_of(found) == steady_parts_of(found) == {"slow pass": 100}
    losses = found.losses
    assert (losses.planned_us, losses.measured_us, losses.whole_us) == (430, 530, 100)
    assert (losses.planned_period_us, losses.measured_period_us) == (290, 390)


def test_a_slow_decode() -> None:
    found = hand_run(
        "decoded",
        ("r0 370 430 decode b1", "r0 370 460 decode b1"),
        ("r0 430 430 free latents b1", "r0 460 460 free latents b1"),
    )
    assert parts_of(found) == steady_parts_of(found) == {"slow decode": 30}


def test_what_hides_behind_something_else_costs_nothing() -> None:
    """The first decode may take 169 us longer; only its own block is finished later."""
    found = hand_run(
        "decoded",
        ("r0 100 140 decode b0", "r0 100 200 decode b0"),
        ("r0 140 140 free latents b0", "r0 200 200 free latents b0"),
    )
    assert parts_of(found) == {}
    assert steady_parts_of(found) == {"slow decode": -60}


def test_a_slow_link() -> None:
    sent = (("r0 100 209 send", "r0 100 309 send"), ("r1 100 209 recv", "r1 100 309 recv"))
    freed = (("r0 209 209 free kv", "r0 309 309 free kv"), ("r1 209 359 denoise", "r1 309 459 denoise"))
    assert parts_of(hand_run("decoded", *sent, *freed, *LATER)) == {"exposed transfer": 100}


def test_a_late_transfer() -> None:
    sent = (("r0 100 209 send", "r0 200 309 send"), ("r1 100 209 recv", "r1 200 309 recv"))
    freed = (("r0 209 209 free kv", "r0 309 309 free kv"), ("r1 209 359 denoise", "r1 309 459 denoise"))
    assert parts_of(hand_run("decoded", *sent, *freed, *LATER)) == {"waiting for data": 100}


def test_a_launch_gap() -> None:
    found = hand_run("decoded", ("r1 209 359 denoise", "r1 309 459 denoise"), *LATER)
    assert parts_of(found) == steady_parts_of(found) == {"launch gaps": 100}
    one = found.losses.ranks[1]
    assert (one.busy_us, one.waiting_us, one.gaps_us, one.idle_us) == (150, 209, 100, 71)
    assert one.planned_busy_us == 150


def test_several_causes_at_once() -> None:
    """A pass 60 longer that starts 25 late on a link 15 slower."""
    found = hand_run(
        "decoded",
        ("r0 100 209 send", "r0 100 224 send"),
        ("r1 100 209 recv", "r1 100 224 recv"),
        ("r0 209 209 free kv", "r0 224 224 free kv"),
        ("r1 209 359 denoise", "r1 249 459 denoise"),
        *LATER,
    )
    assert parts_of(found) == {"slow pass": 60, "exposed transfer": 15, "launch gaps": 25}


def test_ends_noticed_late_are_the_rest() -> None:
    """The last free, after all else is over."""
    found = hand_run("decoded", ("r0 430 430 free latents b1", "r0 480 480 free latents b1"))
    assert parts_of(found) == {"rest": 50}
    assert steady_parts_of(found) == {}


# -- kinds of action that ran several times ------------------------------------------------------


def three_ranks() -> tuple[Problem, Plan]:
    """Nine blocks in turn on three ranks; each pass but the first block's reads one block."""
    problem = clip(model(2, window=2), 9, 3, decode=False)
    return problem, plan_of(costed(problem, cascade(1), "block"))


def slowed(problem: Problem, plan: Plan, longer: dict[Place, int]) -> Calibration:
    """The plan calibrated by a run in which these actions took so much longer."""
    lines, planned = assumed(problem, plan)
    lasts = {place: us + longer.get(place, 0) for place, us in planned.lasts.items()}
    rows = play(lines, planned._replace(lasts=lasts)).rows
    return calibrate(problem, plan, Trace(plan_digest=plan.digest, kind="simulated", last_step=1, ranks=rows))


def passes(plan: Plan, rank: int) -> list[Place]:
    return [(rank, index) for index, row in enumerate(plan.ranks[rank]) if row.action.is_compute]


def test_a_slow_rank_is_imbalance() -> None:
    problem, plan = three_ranks()
    found = slowed(problem, plan, dict.fromkeys(passes(plan, 1), 40))
    assert set(parts_of(found)) == {"imbalance"}
    assert parts_of(found)["imbalance"] == found.losses.whole_us > 40


def test_one_slow_action_is_jitter() -> None:
    problem, plan = three_ranks()
    found = slowed(problem, plan, {passes(plan, 1)[2]: 500})
    assert set(parts_of(found)) == {"jitter"}
    assert parts_of(found)["jitter"] == found.losses.whole_us > 0


def test_all_passes_slow_are_a_slow_pass() -> None:
    problem, plan = three_ranks()
    found = slowed(problem, plan, {place: 40 for rank in range(3) for place in passes(plan, rank)})
    assert set(parts_of(found)) == {"slow pass"}


# -- live and joint ------------------------------------------------------------------------------

# In the plan by hand "live" r1 reads b0.s1 while r0 makes it: a layer of its pass after the stream's end, 279, it ends.
STREAM = (
    ("r0 117 279 stream", "r0 117 379 stream"),
    ("r0 279 279 free", "r0 379 379 free"),
    ("r1 117 279 tap", "r1 117 379 tap"),
    ("r1 144 304 denoise", "r1 160 404 denoise"),
    ("r1 304 304 free", "r1 404 404 free"),
    ("r1 304 454 denoise", "r1 404 554 denoise"),
    ("r1 454 454 free latents b1.s0", "r1 554 554 free latents b1.s0"),
    ("r1 454 454 free kv b0.s1", "r1 554 554 free kv b0.s1"),
    ("r1 454 454 free kv b1.s1", "r1 554 554 free kv b1.s1"),
)


def test_a_slow_stream_is_an_exposed_transfer() -> None:
    """Its layers take 43 us instead of 27. Who reads them is held up, and no slower for it."""
    found = hand_run("live", *STREAM)
    assert {cause: us for cause, us in parts_of(found).items() if abs(us) > 6} == {"exposed transfer": 96}
    assert sum(parts_of(found).values()) == 100
    assert [item.median_us for item in found.actions if item.what == "denoise, 1 read"] == [150]


def test_a_live_reader_lasts_no_longer_than_it_was_seen_to() -> None:
    """It starts 35 late and ends a layer of its 120 us after the stream: 5 sooner than planned, all in all."""
    found = hand_run(
        "live",
        ("r1 144 304 denoise", "r1 179 299 denoise"),
        ("r1 304 304 free", "r1 299 299 free"),
        ("r1 304 454 denoise", "r1 299 449 denoise"),
        ("r1 454 454 free latents b1.s0", "r1 449 449 free latents b1.s0"),
        ("r1 454 454 free kv b0.s1", "r1 449 449 free kv b0.s1"),
        ("r1 454 454 free kv b1.s1", "r1 449 449 free kv b1.s1"),
    )
    assert parts_of(found) == {"slow pass": -5}


def tick_1(r1_start: int, end: int) -> list[tuple[str, str]]:
    """Changes to the plan by hand "gang" that make its second tick begin on r1, and end, at these times."""
    last = end + 150
    return [
        ("r0 100 2209", f"r0 100 {end}"),
        ("r0 2209 2209", f"r0 {end} {end}"),
        ("r0 2209 2359", f"r0 {end} {last}"),
        ("r0 2359 2359", f"r0 {last} {last}"),
        ("r1 100 2209", f"r1 {r1_start} {end}"),
        ("r1 2209 2359", f"r1 {end} {last}"),
        ("r1 2359 2359 free latents", f"r1 {last} {last} free latents"),
        ("r1 2359 2359 free kv", f"r1 {last} {last} free kv"),
    ]


def test_a_slow_gang_is_a_slow_pass() -> None:
    assert parts_of(hand_run("gang", *tick_1(100, 2309))) == {"slow pass": 100}


def test_a_share_that_comes_late_to_its_gang_is_a_launch_gap() -> None:
    """r1 begins 80 late and r0, which is there on time, waits for it inside."""
    assert parts_of(hand_run("gang", *tick_1(180, 2289))) == {"launch gaps": 80}


# -- whatever happens ----------------------------------------------------------------------------


def sums_hold(found: Calibration) -> None:
    losses = found.losses
    assert sum(part.makespan_us for part in losses.parts) == losses.whole_us == losses.measured_us - losses.planned_us
    assert sum(part.steady_us for part in losses.parts) == losses.measured_steady_us - losses.planned_steady_us
    for rank in losses.ranks:
        assert rank.busy_us + rank.waiting_us + rank.gaps_us + rank.idle_us == losses.measured_us
        assert min(rank.busy_us, rank.waiting_us, rank.idle_us) >= 0


def one_kind(problem: Problem) -> bool:
    return len({device.kind for device in problem.cluster.devices}) == 1


@settings(max_examples=100)
@given(listed(), st.floats(0.01, 1), st.integers(0, 9))
def test_the_parts_of_a_simulated_run_sum_to_the_whole(made: tuple[Problem, Plan], spread: float, seed: int) -> None:
    """All is told by what durations and transfers were: none starts late, nothing is left over.

    But for live readers that were held up, whose own time can only be guessed.
    """
    problem, plan = made
    if not one_kind(problem):
        return
    found = calibrate(problem, plan, simulate(plan, problem, Conditions(jitter=Jitter.of(spread), seed=seed)))
    sums_hold(found)
    if not plan.pattern.is_live:
        assert not parts_of(found).keys() & {"posting", "waiting for data", "launch gaps", "rest"}


def scattered(plan: Plan, kind: str, seed: int) -> Trace:
    """A trace whose times mean nothing at all."""
    dice = random.Random(seed)
    rows = tuple(
        tuple(row._replace(start_us=a, end_us=b) for row in rows for a, b in [sorted(dice.choices(range(9**5), k=2))])
        for rows in plan.ranks
    )
    return Trace.model_validate({"plan_digest": plan.digest, "kind": kind, "last_step": plan.last_step, "ranks": rows})


@settings(max_examples=100)
@given(listed(), st.integers(0, 99))
def test_the_parts_sum_to_the_whole_whatever_a_trace_says(made: tuple[Problem, Plan], seed: int) -> None:
    problem, plan = made
    if one_kind(problem):
        losses = calibrate(problem, plan, scattered(plan, "measured", seed)).losses
        assert sum(part.makespan_us for part in losses.parts) == losses.whole_us
        assert sum(part.steady_us for part in losses.parts) == losses.measured_steady_us - losses.planned_steady_us


def test_a_simulation_that_contradicts_its_plan_is_refused() -> None:
    """On one lane both ways' transfers would have to wait for each other."""
    problem = clip(model(2), 6, 2, decode=False, measured={"link_sharing": "bus"})
    plan = plan_of(costed(problem, cascade(1), "block"))
    with pytest.raises(MismatchError, match=r"^trace: its times contradict the plan's order \(.*: r0"):
        calibrate(problem, plan, scattered(plan, "simulated", 1))


@settings(max_examples=100)
@given(listed())
def test_a_simulation_without_jitter_loses_nothing(made: tuple[Problem, Plan]) -> None:
    problem, plan = made
    if not one_kind(problem):
        return
    found = calibrate(problem, plan, simulate(plan, problem))
    assert parts_of(found) == steady_parts_of(found) == {}
    # Of live readers some are held up, and the others are not always of the same median.
    assert plan.pattern.is_live or all(item.ratio == 1 for item in found.actions)


def test_a_longer_plan_may_have_idle_time() -> None:
    """A plan that starts everything 50 later than it could is not made up for by a run that does not: the rest."""
    problem, plan = three_ranks()
    costs: Costs = costed(problem, cascade(1), "block")
    idle = tuple(
        tuple(row._replace(start_us=row.start_us + 50, end_us=row.end_us + 50) for row in rows) for rows in plan.ranks
    )
    late = plan_of(costs, idle)
    trace = Trace(plan_digest=late.digest, kind="simulated", last_step=1, ranks=plan.ranks)
    assert parts_of(calibrate(problem, late, trace)) == {"rest": -50}
