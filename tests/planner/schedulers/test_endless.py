"""Greedy runs of a stream's beginning, step by step by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from planner.schedulers.endless import Run, run_endless
from planner.streams.loop import Loop, Precedence
from tests.planner.stream_clips import cascade


def rows(loop: Loop, run: Run, units: int) -> list[str]:
    """What each unit runs and when, in order."""
    size = len(loop.tasks)
    shown: list[list[tuple[int, str]]] = [[] for _ in range(units)]
    for i, (start, unit) in enumerate(zip(run.starts_us, run.units, strict=True)):
        if start >= 0:
            shown[unit].append((start, f"b{i // size}.{loop.tasks[i % size]}@{start}"))
    return [" ".join(text for _, text in sorted(row)) for row in shown]


def test_the_oldest_block_goes_first_by_hand() -> None:
    loop = cascade((10, 20), 1)
    assert rows(loop, run_endless(loop, 2, {}, 3), 2) == [
        "b0.s0@0 b0.s1@10 b1.s1@30 b2.s1@50",
        "b1.s0@10 b2.s0@20",
    ]
    assert rows(loop, run_endless(loop, 2, {}, 3, downwards=True), 2) == [
        "b1.s0@10 b2.s0@20",
        "b0.s0@0 b0.s1@10 b1.s1@30 b2.s1@50",
    ]


def test_pinned_tasks_run_on_their_unit_at_once_by_hand() -> None:
    loop = cascade((10,), 1, decodes=(7,))
    assert rows(loop, run_endless(loop, 2, {1: 0}, 3), 2) == ["b0.s0@0 b0.d0@10 b1.d0@20 b2.d0@30", "b1.s0@10 b2.s0@20"]
    assert rows(loop, run_endless(loop, 1, {1: 0}, 2), 1) == ["b0.s0@0 b0.d0@10 b1.s0@17 b1.d0@27"]


def test_a_program_is_kept_to_even_if_the_unit_has_to_wait_by_hand() -> None:
    loop = cascade((10,), 1, decodes=(7,))
    programs = {0: (True, True, False)}
    run = run_endless(loop, 2, {1: 0}, 4, programs)
    assert rows(loop, run, 2) == ["b0.d0@10 b1.d0@20 b3.s0@30 b2.d0@40 b3.d0@47", "b0.s0@0 b1.s0@10 b2.s0@20"]


def test_what_a_program_never_gets_to_has_no_start() -> None:
    loop = cascade((10,), 1, decodes=(7,))
    run = run_endless(loop, 1, {1: 0}, 2, {0: (False, False, False, True)})
    assert run.starts_us == [0, -1, 10, -1]
    assert run.units == [0, -1, 0, -1]


def test_blocks_begin_in_turn_and_no_faster_than_asked_by_hand() -> None:
    loop = Loop(("a",), (4,), (), ())
    assert run_endless(loop, 4, {}, 3).starts_us == [0, 0, 0]
    assert run_endless(loop, 4, {}, 4, every_us=Fraction(5, 2)).starts_us == [0, 2, 5, 7]
    assert run_endless(loop, 1, {}, 4, every_us=Fraction(5, 2)).starts_us == [0, 4, 8, 12]


def test_transfers_between_blocks_and_late_ends_take_their_time() -> None:
    loop = cascade((10, 10), 1, transfer_us=3)
    assert run_endless(loop, 1, {}, 2).starts_us == [0, 10, 20, 30]
    assert run_endless(loop, 9, {}, 2).starts_us == [0, 10, 13, 23]
    late = Loop(("a", "b"), (10, 10), (Precedence(2, 1, 4, 0), Precedence(0, 0, 1, 1)), (), late=(0,))
    assert run_endless(late, 9, {}, 2).starts_us == [0, 14, 1, 15]


def test_with_a_stride_the_longest_way_to_go_comes_first_by_hand() -> None:
    # Where a block counts as much as a pass, the next block's first pass is as urgent as this one's second.
    loop = cascade((10, 10, 10), 1)
    stride = Fraction(10)
    assert rows(loop, run_endless(loop, 1, {}, 3), 1) == [
        "b0.s0@0 b0.s1@10 b0.s2@20 b1.s0@30 b1.s1@40 b1.s2@50 b2.s0@60 b2.s1@70 b2.s2@80"
    ]
    assert rows(loop, run_endless(loop, 1, {}, 3, stride_us=stride), 1) == [
        "b0.s0@0 b1.s0@10 b0.s1@20 b2.s0@30 b1.s1@40 b0.s2@50 b2.s1@60 b1.s2@70 b2.s2@80"
    ]


def test_a_unit_that_need_not_wait_for_a_transfer_goes_first() -> None:
    loop = cascade((10,), 1, transfer_us=3)
    assert rows(loop, run_endless(loop, 2, {}, 3, downwards=True), 2) == ["", "b0.s0@0 b1.s0@10 b2.s0@20"]
    # The other unit waits for the transfer even if it is idle all the while.
    loop = cascade((10, 10), 1, transfer_us=3)
    assert rows(loop, run_endless(loop, 2, {}, 2, downwards=True), 2) == ["b1.s0@13", "b0.s0@0 b0.s1@10 b1.s1@23"]


@pytest.mark.parametrize("units", [1, 2, 3, 5])
def test_no_unit_runs_two_tasks_at_once_and_all_run(units: int) -> None:
    loop = cascade((7, 5, 9), 2, decodes=(6, 2))
    run = run_endless(loop, units, {3: 0, 4: units - 1}, 20)
    assert min(run.starts_us) == 0
    for unit in range(units):
        spans = sorted(
            (start, start + loop.durations_us[i % 5])
            for i, (start, on) in enumerate(zip(run.starts_us, run.units, strict=True))
            if on == unit
        )
        assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert {unit for i, unit in enumerate(run.units) if i % 5 == 3} == {0}
