"""A link's line from measured transfers: by size, from what was seen and from what can only be bounded."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.calibrate import calibrate
from planner.calibrating.fit_link import Wired, line, median_below
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from tests.planner.clips import KV_BYTES, LATENT_BYTES, cascade, clip, costed, model, plan_of
from tests.planner.runs_by_hand import run_under, with_profile


def two_sizes() -> tuple[Problem, Plan]:
    """K/V goes between the two ranks that denoise, latents from there to the one that decodes."""
    problem = clip(model(2), 4, 3)
    return problem, plan_of(costed(problem, cascade(1), "block+decoder"))


def fitted(**truth: object) -> Profile:
    problem, plan = two_sizes()
    return calibrate(problem, plan, run_under(with_profile(problem, **truth), plan)).profile


def test_latency_and_bandwidth_from_two_sizes() -> None:
    found = fitted(link_latency_us=70, link_bandwidth_gbps=0.5)
    assert found.link_latency_us == pytest.approx(70, abs=1)
    assert found.link_bandwidth_gbps == pytest.approx(0.5, rel=0.01)
    times = [found.link_latency_us + size / found.link_bandwidth_gbps / 1000 for size in (LATENT_BYTES, KV_BYTES)]
    assert times == pytest.approx([72, 365], abs=1.5)


def test_a_link_that_foretells_its_transfers_stays() -> None:
    problem, _ = two_sizes()
    assert problem.profile is not None
    found = fitted()
    assert found.link_bandwidth_gbps == problem.profile.link_bandwidth_gbps == 1.024


def test_one_size_scales_the_line() -> None:
    """K/V alone: 149 us are planned, and 298 seen."""
    problem = clip(model(2), 4, 2, decode=False)
    plan = plan_of(costed(problem, cascade(1), "block"))
    truth = with_profile(problem, link_latency_us=10, link_bandwidth_gbps=0.512)
    found = calibrate(problem, plan, run_under(truth, plan)).profile
    assert (found.link_latency_us, found.link_bandwidth_gbps) == (10, 0.512)


def test_a_line_never_starts_below_nothing() -> None:
    """Straight through both, a message of no bytes would arrive 9 us before it leaves."""
    found = line({1_000: 1, 100_000: 1_000}, {1_000: 6, 100_000: 103}, Wired(5, 1.024))
    assert found.latency_us == 0
    assert found.gbps == pytest.approx(0.0991, rel=0.01)


def test_one_disturbed_size_does_not_move_the_line() -> None:
    times = {size: 20 + size / 1000 for size in (1_000, 4_000, 16_000, 64_000, 256_000)} | {16_000: 4_000}
    found = line(times, dict.fromkeys(times, 0), Wired(5, 1.024))
    assert found.latency_us == 20
    assert found.gbps == pytest.approx(1, rel=0.01)


def test_larger_messages_that_arrive_sooner_scale_the_line() -> None:
    assert line({1_000: 40, 100_000: 30}, {1_000: 20, 100_000: 60}, Wired(8, 2.0)) == Wired(10, 1.6)


# -- medians of what is only known not to exceed something ---------------------------------------


@given(st.lists(st.integers(0, 100), min_size=1, max_size=9))
def test_the_median_of_what_was_seen(values: list[int]) -> None:
    assert median_below(values, []) == statistics.median_low(values) == median_below(values, [])


@given(st.lists(st.integers(0, 100), max_size=9), st.lists(st.integers(0, 100), max_size=9))
def test_a_median_was_seen_and_bounds_only_lower_it(values: list[int], bounds: list[int]) -> None:
    found = median_below(values, bounds)
    assert found is None or (found in values and found <= statistics.median_low(values))


@pytest.mark.parametrize(
    ("seen", "at_most", "median"),
    [
        ([10, 20, 30], [], 20),
        # The slow ones were waited for: of seven values 30 is the largest, of six 20 the next.
        ([30, 20], [10, 10, 10, 10, 10], None),
        # A bound above all that was seen says nothing of where below it lies.
        ([10, 20, 30], [100], 20),
        ([10, 20, 30], [5, 5], 10),
        ([], [5], None),
        ([], [], None),
    ],
)
def test_medians_by_hand(seen: list[int], at_most: list[int], median: int | None) -> None:
    assert median_below(seen, at_most) == median
