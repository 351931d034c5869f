"""The area bound by hand: the smallest heads and tails, weights, chains, subsets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner.bounds.area import NO_CHAIN, Share, area


def shares(*rows: tuple[int, int, int], chain: int = NO_CHAIN) -> list[Share]:
    return [(head, work, tail, chain) for head, work, tail in rows]


def test_the_smallest_heads_and_tails_by_hand() -> None:
    # (1 + 2 + 18 + 0 + 3) / 2
    assert area(shares((1, 4, 3), (2, 4, 5), (3, 10, 0)), [1, 1], 2) == 12
    # Rounded up.
    assert area(shares((0, 3, 0), (0, 4, 0)), [1, 1], 2) == 4


def test_weights_by_hand() -> None:
    # On the unit of weight 3 the smallest: 3 x (1 + 0) + 1 x (5 + 2) + 20, over 4.
    assert area(shares((1, 10, 2), (5, 10, 0)), [1, 3], 2) == 8


def test_a_chain_has_one_head_and_one_tail_by_hand() -> None:
    # As three tasks, no more than the last two: (1 + 5 + 7 + 0 + 5) / 2. But the first two are one unit's, so that the
    # other waits for 5 and has 5 left: (0 + 5 + 13 + 0 + 5) / 2.
    assert area(shares((0, 6, 1), (1, 6, 0), (5, 1, 5)), [1, 1], 2) == 9
    assert area([*shares((0, 6, 1), (1, 6, 0), chain=7), *shares((5, 1, 5))], [1, 1], 2) == 12


def test_too_few_tasks_leave_units_idle() -> None:
    assert area(shares((5, 4, 5)), [1, 1], 2) == 0
    assert area([*shares((5, 4, 5), chain=1), *shares((5, 4, 5), chain=1)], [1, 1], 2) == 0


def test_subsets_by_hand() -> None:
    # All: (0 + 0 + 4 x 2) / 2. The two with head 10: (20 + 4) / 2, and by their tails the same.
    late = shares((0, 2, 0), (0, 2, 0), (10, 2, 0), (10, 2, 0))
    assert area(late, [1, 1], 2) == 12
    assert area([(tail, work, head, chain) for head, work, tail, chain in late], [1, 1], 2) == 12


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=9))
def test_one_unit_of_weight_one_is_no_better_than_all_its_work(rows: list[tuple[int, int, int]]) -> None:
    found = area(shares(*rows), [1], 1)
    assert found >= min(row[0] for row in rows) + sum(row[1] for row in rows) + min(row[2] for row in rows)
    assert found == area(shares(*((tail, work, head) for head, work, tail in rows)), [1], 1)
    assert found == area(shares(*((head, 5 * work, tail) for head, work, tail in rows)), [5], 1)
