"""When blocks begin and are finished: by hand, as a stream written out has it, and of half a run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from planner.measuring.blocks import block_times, mean_period_us, periods_us, quantile_us, waits_us
from planner.measuring.playing import Times
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import percentile
from planner.rows import begun_us, finished_us
from planner.search import plan
from planner.streams.unroll import unroll
from tests.planner.clips import cascade, clip, model
from tests.planner.runs_by_hand import hand_made
from tests.strategies import listed


def stream(blocks: int = 600, ranks: int = 2) -> tuple[Problem, Plan]:
    problem = clip(model(2, clean=True, window=3), blocks, ranks)
    found = plan(problem, pattern=cascade(1))
    assert found.repeat is not None
    assert found.repeat.copies > 1
    return problem, found


def array(*values: int) -> Times:
    return np.array(values, np.int64)


def test_by_hand() -> None:
    problem, made = hand_made("decoded")
    times = block_times(problem, made)
    assert [list(each) for each in times] == [[0, 209], [100, 359], [140, 430]]


def test_half_a_run_ends_at_the_first_block_that_is_not_whole() -> None:
    problem, made = hand_made("decoded")
    half = tuple(tuple(row for row in rows if str(row.action) != "decode b1") for rows in made.ranks)
    assert [list(each) for each in block_times(problem, made, half)] == [[0], [100], [140]]
    later = tuple(tuple(row for row in rows if str(row.action) != "decode b0") for rows in made.ranks)
    assert [list(each) for each in block_times(problem, made, later)] == [[], [], []]


def test_a_first_block_through_its_first_step_only_is_not_finished() -> None:
    problem = clip(model(2), 2, decode=False)
    made = plan(problem)
    begun = tuple(tuple(row for row in rows if str(row.action) == "denoise b0.s0") for rows in made.ranks)
    assert len(block_times(problem, made, begun).finished) == 0


def test_half_a_decode_is_none() -> None:
    problem = clip(model(2), 3, 3)
    made = plan(problem, pattern=cascade(1), placement=Placement.parse("free+decoder:2"))
    assert len(block_times(problem, made, made.ranks).finished) == 3
    half = tuple(tuple(row for row in rows if str(row.action) != "decode b1.d1") for rows in made.ranks)
    assert list(block_times(problem, made, half).finished) == made.finished_us[:1]


@settings(max_examples=40)
@given(listed())
def test_as_rows_have_it(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    times = block_times(problem, given_plan)
    assert list(times.begun) == begun_us(given_plan.ranks)
    assert list(times.finished) == given_plan.finished_us
    assert [list(each) for each in block_times(problem, given_plan, given_plan.ranks)] == [list(e) for e in times]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_stream_as_if_written_out(ranks: int) -> None:
    problem, made = stream(ranks=ranks)
    rows, times = unroll(made), block_times(problem, made)
    assert list(times.begun) == begun_us(rows)
    assert list(times.finished) == finished_us(rows, made.last_step)
    assert [list(each) for each in block_times(problem, made, rows)] == [list(each) for each in times]


def test_periods_are_as_a_viewer_sees_them() -> None:
    assert list(periods_us(array(10, 30, 20, 50))) == [20, 0, 20]
    assert list(periods_us(array(7))) == [7]
    assert mean_period_us(array(10, 30, 20, 50)) == 40 / 3
    assert mean_period_us(array(7)) == 7
    assert mean_period_us(array(7, 7)) == 1


def test_waits_by_hand() -> None:
    assert list(waits_us(array(0, 50, 120), array(100, 300, 350))) == [300, 300]
    assert list(waits_us(array(3), array(100))) == [100]


def test_quantiles_are_the_profiles() -> None:
    values = array(9, 1, 5, 3, 7)
    for share in (0.0, 0.5, 0.95, 0.99):
        assert quantile_us(values, share) == percentile(sorted(values.tolist()), share)
    assert list(quantile_us(np.array([[3, 1, 2], [6, 5, 4]]), 0.5)) == [2, 5]
