"""The one-machine bound by hand, and against all orders."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from planner.bounds.one_machine import one_machine

Job = tuple[int, int, int]


def in_order(jobs: tuple[Job, ...]) -> int:
    now = latest = 0
    for head, work, tail in jobs:
        now = max(now, head) + work
        latest = max(latest, now + tail)
    return latest


def of_subsets(jobs: list[Job]) -> int:
    """The largest of smallest head + work + smallest tail, which is what may be reached if jobs are interrupted."""
    best = 0
    for least in {job[0] for job in jobs}:
        for last in {job[2] for job in jobs}:
            chosen = [job for job in jobs if job[0] >= least and job[2] >= last]
            if chosen:
                best = max(best, least + sum(work for _, work, _ in chosen) + last)
    return best


def test_by_hand() -> None:
    assert one_machine([]) == 0
    assert one_machine([(2, 3, 4)]) == 9
    # The long job is interrupted at 1 by the one with the long tail, which ends at 2, its tail at 12.
    assert one_machine([(0, 5, 0), (1, 1, 10)]) == 12
    # A gap until 7.
    assert one_machine([(0, 1, 0), (7, 2, 1)]) == 10


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=6))
def test_it_is_the_largest_of_the_subset_bounds_and_below_every_order(jobs: list[Job]) -> None:
    assert one_machine(jobs) == of_subsets(jobs)
    assert one_machine(jobs) <= min(map(in_order, permutations(jobs)))
