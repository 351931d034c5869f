"""The improvement pass: never worse, always valid, and as near to the optimum as pinned here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bounds.tight import tight_bound
from planner.instance import ORDER, Instance, Schedule
from planner.schedulers.improve import improve
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from planner.schedulers.neighbours import latest_starts, placed
from planner.schedulers.table import Table
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.small import problem
from tests.planner.validity import faults


def best_listed(instance: Instance) -> Schedule:
    return min((list_schedule(instance, rule) for rule in RULES), key=lambda schedule: schedule.makespan_us)


# -- by hand -------------------------------------------------------------------------------------


def test_longest_first_is_mended() -> None:
    # 3 3 2 2 2 on two units: longest first takes 7, as 3 2 2 and 3 2; 3 3 and 2 2 2 take 6.
    jobs = problem([3, 3, 2, 2, 2])
    assert best_listed(jobs).makespan_us == 7
    assert improve(jobs, best_listed(jobs), 6, 50).makespan_us == 6


def test_everything_on_one_unit_if_nothing_else_pays() -> None:
    # Each of two tasks on its own unit takes 5, but to bring the payload over takes 20 more.
    costly = problem([5, 5, 1], {2: [0, 1]}, payload_bytes=[20] * 3, wires=full_wires(2))
    apart = list_schedule(costly)
    assert apart.makespan_us == 26
    together = improve(costly, apart, 11, 1)
    assert together.makespan_us == 11
    assert not together.transfers


def test_it_stops_at_the_bound_and_without_a_budget() -> None:
    jobs = problem([3, 3, 2, 2, 2])
    start = best_listed(jobs)
    assert improve(jobs, start, start.makespan_us, 100) is start
    assert improve(jobs, start, 6, 0) is start
    nothing = list_schedule(problem([]))
    assert improve(problem([]), nothing, 0, 10) is nothing


def test_latest_starts_by_hand() -> None:
    # Task 0 ends at 4 and its payload is with 2 from 6 on; 1 runs beside, and may wait until 2 needs the unit.
    start = problem([(4, 0), (0, 3), (0, 5)], {2: [0]}, payload_bytes=[2] * 3, wires=full_wires(2))
    schedule = list_schedule(start)
    assert schedule.starts_us == [0, 0, 6]
    assert latest_starts(Table.of(start), schedule) == [0, 3, 6]


def test_latest_starts_of_a_gang_by_hand() -> None:
    # The gang (2) runs from 4 to 7 on both units, so the task of 1 may wait until 3.
    teamed = problem([4, 1, (3, 0)], {2: [(0, ORDER), (1, ORDER)]}, gangs={2: (0, 1)})
    assert latest_starts(Table.of(teamed), list_schedule(teamed)) == [0, 3, 4]


# -- every time ----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(instances(max_tasks=9), st.sampled_from(RULES), st.integers(0, 40))
def test_never_worse_always_valid_and_the_same_again(drawn: Instance, rule: Rule, budget: int) -> None:
    start = list_schedule(drawn, rule)
    better = improve(drawn, start, tight_bound(drawn).value_us, budget)
    assert better.makespan_us <= start.makespan_us
    assert not faults(drawn, better)
    assert better == improve(drawn, start, tight_bound(drawn).value_us, budget)


@settings(max_examples=60, deadline=None)
@given(instances(max_tasks=9))
def test_latest_starts_keep_the_makespan(drawn: Instance) -> None:
    schedule = list_schedule(drawn)
    latest = latest_starts(Table.of(drawn), schedule)
    lengths = [end - start for start, end in zip(schedule.starts_us, schedule.ends_us, strict=True)]
    assert all(start <= last for start, last in zip(schedule.starts_us, latest, strict=True))
    assert max(last + length for last, length in zip(latest, lengths, strict=True)) == schedule.makespan_us


@settings(max_examples=60, deadline=None)
@given(instances(max_tasks=9))
def test_placing_tasks_again_as_they_started_is_no_worse_without_transfers(drawn: Instance) -> None:
    schedule = list_schedule(drawn)
    order = sorted(range(drawn.size), key=lambda task: (schedule.starts_us[task], task))
    again = placed(Table.of(drawn), order, schedule.units)
    assert not faults(drawn, again)
    if not drawn.wires:
        assert again.makespan_us <= schedule.makespan_us


# -- how near ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "units", "makespan_us"), [(7, 3, 157), (12, 3, 247), (12, 5, 177), (20, 2, 580), (20, 3, 400)]
)
def test_the_cascade_grid(blocks: int, units: int, makespan_us: int) -> None:
    grid = cascade_grid(blocks, units)
    assert improve(grid, best_listed(grid), tight_bound(grid).value_us, 400).makespan_us <= makespan_us
