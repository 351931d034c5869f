"""Longest paths by hand, and for any plan: they sum to the makespan, and nothing in a plan is left unexplained."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.comparing.path import longest_path, path_places
from planner.conditions import Conditions, Jitter
from planner.plan import Plan
from planner.problem import Problem
from planner.replaying.followed import follow, foretold
from planner.rows import makespan_us
from planner.simulate import simulate
from tests.planner.calibrating.test_losses import scattered
from tests.planner.clips import LATENTS_US, cascade, clip, costed, model, plan_of
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import changed, hand_made, trace_of
from tests.strategies import listed


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        # b0.s0, its K/V, b1.s0, its latents, its decode.
        ("decoded", {"denoise": 100 + 150, "transfers": 109 + 11, "decode": 60}),
        ("latents", {"denoise": 100 + 150 + 150, "transfers": 109 + 109}),
        # b0.s0, a layer of b0.s1, six layers on their way, the reader's last layer, its next step.
        ("live", {"denoise": 100 + 17 + 25 + 150, "transfers": 162}),
        ("gang", {"tick": 2359}),
    ],
)
def test_by_hand(name: str, parts: dict[str, int]) -> None:
    assert longest_path(foretold(*hand_made(name))) == parts


def test_places_are_those_of_the_path() -> None:
    run = foretold(*hand_made("live"))
    told = [f"r{rank} {run.script.programs[rank][index]}" for rank, index in path_places(run)]
    expected = ["r0 denoise b0.s0", "r0 denoise b0.s1", "r0 stream kv b0.s1 to r1"]
    assert told == [*expected, "r1 denoise b1.s0", "r1 denoise b1.s1"]


@settings(max_examples=40)
@given(listed(), st.integers(0, 10**6))
def test_places_take_what_the_path_takes(made: tuple[Problem, Plan], seed: int) -> None:
    """In order of time, and compute no longer than its places are."""
    problem, plan = made
    run = follow(problem, plan, simulate(plan, problem, Conditions(jitter=Jitter.of(0.2), seed=seed)))
    places, parts = path_places(run), longest_path(run)
    rows = [run.rows[rank][index] for rank, index in places]
    assert len(set(places)) == len(places)
    assert all(before.start_us <= after.start_us or before.end_us <= after.end_us for before, after in pairwise(rows))
    compute = sum(us for name, us in parts.items() if name not in ("transfers", "waiting"))
    assert compute <= sum(row.end_us - row.start_us for row in rows if row.action.is_compute)
    last = max(row.end_us for row in rows)
    assert makespan_us(run.rows) - parts.get("waiting", 0) <= last <= makespan_us(run.rows)  # a post may come last


def test_what_nothing_explains_is_waiting() -> None:
    problem, made = hand_made("latents")
    late = changed(
        BY_HAND["latents"][1],
        ("r0 468 618 denoise b2.s0", "r0 500 650 denoise b2.s0"),
        *((f"r0 618 618 free kv b{block}.s0", f"r0 650 650 free kv b{block}.s0") for block in range(3)),
    )
    found = longest_path(follow(problem, made, trace_of(made, late)))
    assert found == {"denoise": 400, "transfers": 218, "waiting": 32}


def test_posting_is_waiting() -> None:
    """Rank 0 posts what its first two passes made before it can go on, 7 us each; rank 1 runs the last step."""
    problem = clip(model(2, window=1), 3, 2, decode=False, measured={"post_us": 7})
    made = plan_of(costed(problem, cascade(1), "step"))
    assert longest_path(foretold(problem, made)) == {"denoise": 400, "transfers": LATENTS_US, "waiting": 14}


@settings(max_examples=80)
@given(listed())
def test_a_plan_explains_all_of_its_time(made: tuple[Problem, Plan]) -> None:
    problem, plan = made
    found = longest_path(foretold(problem, plan))
    assert sum(found.values()) == plan.makespan_us
    posts = problem.profile is not None and problem.profile.post_us
    if not posts and not problem.workload.switches:
        assert "waiting" not in found


@settings(max_examples=25)
@given(listed(), st.integers(0, 99))
def test_any_run_is_summed_up(made: tuple[Problem, Plan], seed: int) -> None:
    problem, plan = made
    jittery = simulate(plan, problem, Conditions(jitter=Jitter.of(0.3), seed=seed))
    for trace in (jittery, scattered(plan, "measured", seed)):
        run = follow(problem, plan, trace)
        found = longest_path(run)
        assert sum(found.values()) == makespan_us(run.rows)
        # In times that mean nothing a share may end before its gang begins.
        assert all(us > 0 for us in found.values()) or trace.kind == "measured"
