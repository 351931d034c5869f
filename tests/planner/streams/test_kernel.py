"""Kernels found in schedules: written by hand, periodic but for random ends, and none where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.streams.kernel import Kernel, Slot, find_kernel


def one_task(rows: Sequence[tuple[int, int]], repeats: int = 3) -> Kernel | None:
    """The kernel of a schedule with one task a block, of 5 us, given as (start, unit)."""
    starts = [start for start, _ in rows]
    return find_kernel(starts, [s + 5 for s in starts], [unit for _, unit in rows], range(len(rows)), None, repeats)


def test_two_tasks_on_alternate_units_by_hand() -> None:
    # A first block that is slow to start, then a block every 10 us on alternate units, then a last one that is late.
    starts = [0, 5, 17, 22, 27, 32, 37, 42, 47, 52, 57, 62, 67, 72, 80, 85]
    blocks = [block for block in range(8) for _ in range(2)]
    units = [block % 2 for block in blocks]
    found = find_kernel(starts, [start + 5 for start in starts], units, blocks)
    slots = (Slot(0, 1, 1, 17, 22), Slot(1, 1, 1, 22, 27), Slot(0, 2, 0, 27, 32), Slot(1, 2, 0, 32, 37))
    assert found == Kernel(blocks=2, period_us=20, first=1, last=6, slots=slots)
    assert found.period == 10
    assert found.order == (((0, 2), (1, 2)), ((0, 1), (1, 1)))


def test_the_order_is_folded_into_one_period_by_hand() -> None:
    # Every 10 us; the second task starts 13 us after the first, beside the next block's.
    slots = (Slot(0, 4, 0, 40, 43), Slot(1, 4, 0, 53, 60))
    assert Kernel(1, 10, 4, 9, slots).order == (((0, 4), (1, 3)),)
    # Every 20 us two blocks; the second one's task 1 belongs to the round before.
    two = (Slot(0, 0, 0, 0, 9), Slot(1, 0, 1, 9, 10), Slot(0, 1, 0, 9, 15), Slot(1, 1, 1, 25, 26))
    assert Kernel(2, 20, 0, None, two).order == (((0, 0), (0, 1)), ((1, -1), (1, 0)))


def test_a_change_of_unit_alone_makes_the_kernel_longer() -> None:
    rows = [(10 * block, int(block % 3 == 2)) for block in range(12)]
    found = one_task(rows)
    assert found is not None
    assert (found.blocks, found.period_us, found.first, found.last) == (3, 30, 0, 11)


def test_a_change_of_distance_alone_makes_the_kernel_longer() -> None:
    rows = [(10 * block + block % 2, 0) for block in range(12)]
    found = one_task(rows)
    assert found is not None
    assert (found.blocks, found.period) == (2, Fraction(10))


def test_equal_neighbours_are_no_kernel_of_their_own() -> None:
    # Three alike, then another: four a kernel, though three quarters of the blocks equal their neighbour.
    rows = [(10 * block, int(block % 4 == 3)) for block in range(24)]
    found = one_task(rows)
    assert found is not None
    assert (found.blocks, found.first, found.last) == (4, 0, 23)


def test_a_late_or_early_end_is_left_out() -> None:
    steady = [(10 * block + 100, 0) for block in range(4, 14)]
    ramp = [(0, 1), (30, 0), (60, 1), (90, 1)]
    found = one_task([*ramp, *steady, (251, 0), (270, 0)])
    assert found is not None
    assert (found.blocks, found.first, found.last) == (1, 4, 13)


def test_repetition_before_or_after_the_middle_is_found_too() -> None:
    noise = [(start, 1) for start in (3, 9, 27, 81, 243, 300, 301, 350, 372)]
    steady = [(10 * block, 0) for block in range(9)]
    early = one_task([*steady, *[(start + 1000, unit) for start, unit in noise]])
    late = one_task([*noise, *[(start + 1000, unit) for start, unit in steady]])
    assert early is not None
    assert (early.blocks, early.first, early.last) == (1, 0, 8)
    assert late is not None
    assert (late.blocks, late.first, late.last) == (1, 9, 17)


def test_a_last_block_with_fewer_tasks_does_no_harm() -> None:
    blocks = [*(block for block in range(8) for _ in range(2)), 8]
    starts = [10 * block + 5 * (i % 2) for i, block in enumerate(blocks)]
    found = find_kernel(starts, [start + 5 for start in starts], [0] * 17, blocks)
    assert found is not None
    assert (found.blocks, found.first, found.last) == (1, 0, 7)


def test_stages_tell_tasks_apart_that_are_listed_in_another_order() -> None:
    starts = [0, 5, 15, 10, 20, 25, 35, 30, 40, 45, 55, 50]
    blocks = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    ends = [start + 5 for start in starts]
    by_place = find_kernel(starts, ends, [0] * 12, blocks)
    by_stage = find_kernel(starts, ends, [0] * 12, blocks, [0, 1, 1, 0] * 3)
    assert by_place is not None
    assert by_place.blocks == 2
    assert by_stage is not None
    assert by_stage.blocks == 1


def test_without_enough_repeats_there_is_none() -> None:
    assert find_kernel([], [], [], []) is None
    assert one_task([(0, 0)]) is None
    assert one_task([(0, 0), (10, 0)]) is None
    assert one_task([(block * block, 0) for block in range(40)]) is None
    twice = [(10 * block, int(block % 4 == 3)) for block in range(11)]
    assert one_task(twice) is None
    assert one_task(twice, repeats=2) is not None


def test_alike_neighbours_here_and_there_are_no_kernel() -> None:
    rows = [(10 * block, int(block in (1, 2, 5, 9, 14))) for block in range(16)]
    assert one_task(rows) is None
    assert one_task(rows[6:]) is None


def test_a_block_without_tasks_is_refused() -> None:
    with pytest.raises(InputError, match="blocks: none has the number 1"):
        find_kernel([0, 5], [5, 10], [0, 0], [0, 2])


steps = st.tuples(st.integers(1, 3), st.integers(0, 1))  # (distance to the block before, unit)


@given(
    st.lists(steps, max_size=6), st.lists(steps, min_size=1, max_size=4), st.integers(0, 4), st.lists(steps, max_size=6)
)
def test_the_smallest_kernel_between_random_ends(
    before: list[tuple[int, int]], cycle: list[tuple[int, int]], more: int, after: list[tuple[int, int]]
) -> None:
    rows: list[tuple[int, int]] = []
    start = 0
    for distance, unit in [*before, *cycle * (12 + more), *after]:
        start += distance
        rows.append((start, unit))
    found = one_task(rows)
    assert found is not None
    assert found.last is not None

    def same(block: int, count: int) -> bool:
        (start, unit), (later, other) = rows[block], rows[block + count]
        return unit == other and later - start == rows[found.first + count][0] - rows[found.first][0]

    # It covers the part that was made to repeat, goes on as far as it holds, and no shorter one covers as much.
    size = len(cycle)
    assert found.first <= len(before)
    assert found.last >= len(before) + size * (12 + more) - 1
    assert size % found.blocks == 0
    assert all(same(block, found.blocks) for block in range(found.first, found.last + 1 - found.blocks))
    assert found.first == 0 or not same(found.first - 1, found.blocks)
    assert found.last + 1 == len(rows) or not same(found.last + 1 - found.blocks, found.blocks)
    for count in range(1, found.blocks):
        assert not all(same(block, count) for block in range(found.first, found.last + 1 - count))
