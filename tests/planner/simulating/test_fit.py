"""What jitter is found in runs: of simulations the one they were made with, of runs that did not vary none."""

from __future__ import annotations

import statistics
from functools import cache

import numpy as np
import pytest

from models.catalog import load_spec
from planner.action import TimedAction
from planner.cluster import Cluster, Link
from planner.conditions import Conditions, Jitter, Spread, StartUp
from planner.draws import Draws
from planner.errors import InputError, MismatchError
from planner.montecarlo import montecarlo
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.search import plan as search
from planner.simulate import simulate
from planner.simulating.fit import as_measured, fit_jitter, spread
from planner.trace import Trace
from planner.workload import Workload
from tests.planner.clips import cascade, clip, costed, model, plan_of


@cache
def made() -> tuple[Problem, Plan]:
    timing = costed(
        clip(model(2, clean=True), 6, 2, denoise_us=(10_000,), clean_us=(8_000,), decode_us=(4_000, 6_000)),
        cascade(1),
        "block",
    )
    return timing.problem, plan_of(timing)


def runs(jitter: Jitter, count: int, seed: int = 1) -> list[Trace]:
    problem, plan = made()
    return [simulate(plan, problem, Conditions(jitter=jitter, seed=seed), run=run) for run in range(count)]


def fitted(jitter: Jitter, count: int) -> Jitter:
    problem, plan = made()
    return fit_jitter(plan, problem, runs(jitter, count))


def sigma(found: Spread) -> float:
    """Half of what lies between the 16th and the 84th percentile, as a logarithm."""
    at = np.linspace(0, 1, len(found.quantiles))
    low, high = np.interp([0.159, 0.841], at, found.quantiles)
    return float(np.log(high / low) / 2)


def test_runs_that_do_not_vary_have_no_jitter() -> None:
    assert fitted(Jitter(), 3) == Jitter()


@pytest.mark.parametrize("name", ["passes", "side", "transfers"])
def test_each_part_is_found_by_itself(name: str) -> None:
    found = fitted(Jitter.model_validate({name: {"sigma": 0.2}}), 20)
    assert sigma(getattr(found, name)) == pytest.approx(0.2, rel=0.2)
    for other in {"passes", "side", "transfers", "ranks", "runs"} - {name}:
        # A rank's median of a few actions that vary varies a little itself.
        spread_ = getattr(found, other)
        assert not spread_.varies or sigma(spread_) < 0.1


def test_slow_runs_and_slow_ranks_are_told_from_slow_actions() -> None:
    of_runs = fitted(Jitter(runs=Spread(sigma=0.3)), 30)
    assert sigma(of_runs.runs) == pytest.approx(0.3, rel=0.35)
    assert not of_runs.passes.varies or sigma(of_runs.passes) < 0.01
    assert not of_runs.ranks.varies or sigma(of_runs.ranks) < 0.01
    of_ranks = fitted(Jitter(ranks=Spread(sigma=0.3)), 30)
    assert sigma(of_ranks.ranks) > 0.1
    assert not of_ranks.passes.varies or sigma(of_ranks.passes) < 0.01


def test_one_run_says_nothing_of_others() -> None:
    found = fitted(Jitter.of(0.2), 1)
    assert found.side.varies
    assert not found.runs.varies


def _later(row: TimedAction) -> TimedAction:
    gap = row.start_us // 10
    return row._replace(start_us=row.start_us + gap, end_us=row.end_us + gap)


def _begun_late(row: TimedAction) -> TimedAction:
    """As long, and over after twice the time."""
    return row._replace(start_us=row.start_us + row.end_us, end_us=2 * row.end_us)


def test_gaps_between_actions_count_as_slower_compute() -> None:
    problem, plan = made()
    trace = simulate(plan, problem)
    late = tuple(tuple(_later(row) for row in rows) for rows in trace.ranks)
    gaps = trace.model_copy(update={"ranks": late})
    case = as_measured(plan, problem, [gaps])
    found = simulate(case.plan, case.problem, Conditions(jitter=case.jitter)).makespan_us
    assert plan.makespan_us * 1.05 < gaps.makespan_us
    assert found == pytest.approx(gaps.makespan_us, rel=0.01)
    same = as_measured(plan, problem, [trace])
    assert same.jitter == Jitter()


def test_ranks_that_begin_late_are_met_where_transfers_take_most_of_the_time() -> None:
    """Compute is a small part, so it has to be much slower for a clip that is half as long again."""
    link = Link(kind="slow", latency_us=2000, bandwidth_gbps=0.01)
    problem = Problem(model=load_spec("toy"), cluster=Cluster.of("h100", 2, link=link), workload=Workload(blocks=6))
    plan = search(problem, placement=Placement.parse("free+decoder"))
    late = Conditions(start_up=StartUp(ready_us=plan.makespan_us // 2), jitter=Jitter.of(0.02))
    traces = [simulate(plan, problem, late, run=run) for run in range(5)]
    wanted = statistics.median(trace.makespan_us for trace in traces)
    case = as_measured(plan, problem, traces)
    found = montecarlo(case.plan, case.problem, Conditions(jitter=case.jitter), 400).makespan_us
    assert wanted > 1.3 * plan.makespan_us
    assert np.median(found) == pytest.approx(wanted, rel=0.001)


def test_a_median_that_no_compute_meets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.simulating.fit.SLOWEST", 1.2)
    problem, plan = made()
    trace = simulate(plan, problem)
    gaps = tuple(tuple(_begun_late(row) for row in rows) for rows in trace.ranks)
    with pytest.raises(InputError, match=r"^traces: their median makespan is .* however slow the compute"):
        as_measured(plan, problem, [trace.model_copy(update={"ranks": gaps})])


def test_a_run_in_which_nothing_took_time_is_named() -> None:
    problem, plan = made()
    trace = simulate(plan, problem)
    nothing = tuple(tuple(row._replace(start_us=0, end_us=0) for row in rows) for rows in trace.ranks)
    with pytest.raises(InputError, match="took any time"):
        fit_jitter(plan, problem, [trace.model_copy(update={"ranks": nothing})])


def test_a_problem_as_measured_is_like_the_runs() -> None:
    problem, plan = made()
    jitter = Jitter(passes=Spread(sigma=0.15), side=Spread(sigma=0.3), runs=Spread(sigma=0.1))
    wanted = sorted(trace.makespan_us for trace in runs(jitter, 200, seed=5))
    case = as_measured(plan, problem, runs(jitter, 30))
    case.plan.require(case.problem)
    found = np.sort(montecarlo(case.plan, case.problem, Conditions(jitter=case.jitter, seed=9), 400).makespan_us)
    assert statistics.median(found) == pytest.approx(statistics.median(wanted), rel=0.05)
    assert found[379] == pytest.approx(wanted[189], rel=0.1)


def test_quantiles_of_what_was_seen() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert len(found.quantiles) == 21
    assert found.quantiles[::10] == (1.0, 2.0, 3.0)
    drawn = Draws(Jitter(passes=found), 1, runs=2000).of(found, "x")
    assert 1 <= drawn.min() < drawn.max() <= 3
    assert np.median(drawn) == pytest.approx(2, abs=0.1)
    assert spread([]) == spread([2.0, 2.0]) == spread([0.0]) == Spread()


def test_what_cannot_be_fitted_is_named() -> None:
    problem, plan = made()
    with pytest.raises(InputError, match="at least one"):
        fit_jitter(plan, problem, [])
    other = simulate(plan, problem).model_copy(update={"plan_digest": "0" * 64})
    with pytest.raises(MismatchError, match="trace: of plan 000000000000"):
        fit_jitter(plan, problem, [other])
