"""A run replayed: by hand it is given back, each change does what it says, and what cannot be trusted is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.conditions import Conditions, Jitter
from planner.errors import DriftError, MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.replay import Replayed, replay, what_if
from planner.replaying.change import Change, Scale
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.calibrating.test_losses import LATER, scattered
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import changed, hand_made, trace_of
from tests.strategies import listed

LATE_START = (("r1 209 359 denoise", "r1 309 459 denoise"), *LATER)
LATE_SEND = (
    ("r0 100 209 send", "r0 200 309 send"),
    ("r1 100 209 recv", "r1 200 309 recv"),
    ("r0 209 209 free kv", "r0 309 309 free kv"),
    *LATE_START,
)


def run_of(*changes: tuple[str, str]) -> tuple[Problem, Plan, Trace]:
    problem, made = hand_made("decoded")
    return problem, made, trace_of(made, changed(BY_HAND["decoded"][1], *changes))


def scale(what: str, factor: float) -> Change:
    return Change(scales=(Scale(what=what, factor=factor),))


@pytest.mark.parametrize(
    ("change", "makespan_us", "finished_us"),
    [
        (Change(), 430, (140, 430)),
        (scale("passes", 2), 100 + 150 + 430, (240, 680)),
        (scale("decode", 0.5), 400, (120, 400)),
        (scale("r0", 2), 200 + 109 + 150 + 11 + 120, (280, 590)),
        (scale("r1", 0), 100 + 109 + 11 + 60, (140, 280)),
        (scale("transfers", 0), 100 + 150 + 60, (140, 310)),
        (scale("r0:r1", 0.5), 430 - 55, (140, 375)),
        (Change(jitter=False), 430, (140, 430)),
    ],
)
def test_changes_by_hand(change: Change, makespan_us: int, finished_us: tuple[int, int]) -> None:
    (found,) = replay(*run_of(), [change]).outcomes
    assert (found.what, found.makespan_us) == (str(change), makespan_us)
    assert found.period_us == finished_us[1] - finished_us[0]
    assert found.fps == pytest.approx(5e6 / makespan_us)
    assert found.against == pytest.approx(makespan_us / 430 - 1)
    would_be = what_if(*run_of(), change)
    assert (would_be.makespan_us, tuple(would_be.finished_us), would_be.kind) == (makespan_us, finished_us, "simulated")


def test_a_live_reader_that_was_held_up_has_its_kinds_time() -> None:
    """It took 160 us beside a slow stream; without one it takes the 150 that such a pass takes, from 117 on."""
    problem, made = hand_made("live")
    (found,) = replay(problem, made, trace_of(made, BY_HAND["live"][1]), [scale("transfers", 0)]).outcomes
    assert found.makespan_us == 117 + 150 + 150


def test_a_gap_is_a_delay_and_can_be_taken_away() -> None:
    found = replay(*run_of(*LATE_START), [Change(gaps=False), Change(waits=False), scale("decode", 0.5)])
    assert (found.drift, found.measured.makespan_us) == (0.0, 530)
    assert found.drift_undelayed == pytest.approx(-100 / 530)
    # The gap stays as long as it was where nothing is said of it.
    assert [o.makespan_us for o in found.outcomes] == [430, 530, 500, 400]
    assert found.outcomes[-1].what == "decode x 0.5, no gaps, no waits"


def test_a_late_transfer_is_a_wait() -> None:
    found = replay(*run_of(*LATE_SEND), [Change(gaps=False), Change(waits=False)])
    assert found.drift == 0.0
    assert [o.makespan_us for o in found.outcomes] == [530, 430, 430]


def test_a_drift_beyond_the_tolerance_is_refused() -> None:
    """The last free is noticed long after all is done, which no replay knows of."""
    late = run_of(("r0 430 430 free latents b1.s0", "r0 600 600 free latents b1.s0"))
    with pytest.raises(DriftError, match=r"its replay takes 0\.430 ms, the run took 0\.600 ms \(-28\.33%, more than 1"):
        replay(*late)
    with pytest.raises(DriftError):
        what_if(*late, Change())
    allowed = replay(*late, tolerance=0.3)
    assert allowed.drift == pytest.approx(-170 / 600)
    assert what_if(*late, Change(), tolerance=0.3).makespan_us == 430


def test_the_tolerance_is_a_share_of_the_run() -> None:
    late = run_of(("r0 430 430 free latents b1.s0", "r0 432 432 free latents b1.s0"))
    assert replay(*late).drift == pytest.approx(-2 / 432)
    with pytest.raises(DriftError):
        replay(*late, tolerance=0.004)


@settings(max_examples=25)
@given(listed(), st.integers(0, 99), st.floats(0, 0.5))
def test_a_simulation_is_given_back(made: tuple[Problem, Plan], seed: int, spread: float) -> None:
    problem, plan = made
    trace = simulate(plan, problem, Conditions(jitter=Jitter.of(spread), seed=seed))
    slower = [scale(what, 2) for what in ("passes", "side", "transfers", "posting", "r0")]
    found = replay(problem, plan, trace, [Change(), *slower], tolerance=0)
    assert found.drift == 0
    assert found.outcomes[0].makespan_us == trace.makespan_us
    assert all(outcome.against >= 0 for outcome in found.outcomes)
    assert Replayed.from_json(found.to_json()) == found
    if not plan.pattern.is_live:
        assert found.drift_undelayed == 0


@settings(max_examples=25)
@given(listed(), st.integers(0, 99))
def test_whatever_is_measured_is_given_back_up_to_its_last_computation(made: tuple[Problem, Plan], seed: int) -> None:
    problem, plan = made
    trace = scattered(plan, "measured", seed)
    again = what_if(problem, plan, trace, Change(), tolerance=1)
    assert again.finished_us == trace.finished_us


def test_what_does_not_belong_together_is_refused() -> None:
    problem, made, trace = run_of()
    with pytest.raises(MismatchError, match="trace: of plan"):
        replay(problem, made.model_copy(update={"warnings": ("other",)}), trace)
    half = trace.model_copy(update={"ranks": (trace.ranks[0][:-1], trace.ranks[1])})
    with pytest.raises(MismatchError, match="trace: rank 0 lacks"):
        replay(problem, made, half)


def test_a_run_that_took_no_time_is_refused() -> None:
    problem, made = hand_made("decoded")
    trace = simulate(made, problem)
    nothing = tuple(tuple(row._replace(start_us=0, end_us=0) for row in rows) for rows in trace.ranks)
    with pytest.raises(MismatchError, match="nothing in it took any time"):
        replay(problem, made, trace.model_copy(update={"ranks": nothing}))


def test_a_simulation_that_contradicts_its_plan_is_refused() -> None:
    problem = clip(model(2), 6, 2, decode=False, measured={"link_sharing": "bus"})
    made = plan_of(costed(problem, cascade(1), "block"))
    with pytest.raises(MismatchError, match="trace: its times contradict the plan's order"):
        replay(problem, made, scattered(made, "simulated", 1))
