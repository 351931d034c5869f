"""List scheduling: small schedules reckoned by hand for each rule, and what every schedule keeps to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bounds.heads import heads_tails
from planner.instance import ORDER, Instance, Live, Schedule, Wire
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from planner.schedulers.table import Table
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.small import problem, rows, ways
from tests.planner.validity import faults


def two_blocks() -> Instance:
    """Two passes and a decode of each of two blocks at the same level; task t makes latents (6 us) and K/V (149 us)."""
    return problem(
        [100, 100, 40, 150, 150, 60],
        {1: [(0, 0)], 2: [(1, 2)], 3: [(0, 1)], 4: [(3, 6), (1, 3)], 5: [(4, 8), (2, ORDER)]},
        stays={5: 2},
        payload_bytes=[6, 149] * 6,
        wires=full_wires(2),
        blocks=[0, 0, 0, 1, 1, 1],
    )


def test_earliest_start_by_hand() -> None:
    # Block 1 begins first by its longer tail; block 0's decode can begin first on the unit that has its latents.
    schedule = list_schedule(two_blocks(), "earliest start")
    assert rows(schedule) == [
        [(0, 0, 100), (3, 100, 250)],
        [(1, 106, 206), (2, 206, 246), (4, 256, 406), (5, 406, 466)],
    ]
    assert ways(schedule) == [(0, 0, 1, 100, 106), (6, 0, 1, 250, 256)]


def test_longest_tail_by_hand() -> None:
    # Block 1's second pass is placed before block 0's decode, which then ends first on the other unit and keeps the
    # decoder there.
    schedule = list_schedule(two_blocks(), "longest tail")
    assert rows(schedule) == [
        [(0, 0, 100), (3, 100, 250), (2, 250, 290), (5, 412, 472)],
        [(1, 106, 206), (4, 256, 406)],
    ]
    assert ways(schedule) == [(0, 0, 1, 100, 106), (2, 1, 0, 206, 212), (6, 0, 1, 250, 256), (8, 1, 0, 406, 412)]


def test_the_oldest_block_is_shown_first_by_hand() -> None:
    # Task 0 leads to the decode of block 0 (1) and to its clean pass (2), which block 1 (3) waits for.
    clip = problem([100, 40, 80, 150], {1: [0], 2: [0], 3: [2]}, units=1, blocks=[0, 0, 0, 1])
    assert rows(list_schedule(clip, "oldest block")) == [[(0, 0, 100), (1, 100, 140), (2, 140, 220), (3, 220, 370)]]
    assert rows(list_schedule(clip, "earliest start")) == [[(0, 0, 100), (2, 100, 180), (3, 180, 330), (1, 330, 370)]]


def test_what_is_urgent_may_be_told() -> None:
    two = problem([3, 5], units=1)
    assert rows(list_schedule(two, priorities=[2, 1])) == [[(0, 0, 3), (1, 3, 8)]]
    assert rows(list_schedule(two, priorities=[-2, -1])) == [[(1, 0, 5), (0, 5, 8)]]
    assert rows(list_schedule(two, tails=[9, 0])) == [[(0, 0, 3), (1, 3, 8)]]


def test_ties_go_to_the_newest() -> None:
    assert rows(list_schedule(problem([3, 3], units=1))) == [[(1, 0, 3), (0, 3, 6)]]


@pytest.mark.parametrize("rule", RULES)
def test_a_busy_lane_by_hand(rule: Rule) -> None:
    # The second K/V is made while the first is under way, and waits for the lane.
    pinned = problem(
        [(100, 0), (100, 0), (0, 150), (0, 150)],
        {1: [(0, 0)], 2: [(0, 1)], 3: [(2, 4), (1, 3)]},
        payload_bytes=[6, 149] * 4,
        wires=full_wires(2),
    )
    schedule = list_schedule(pinned, rule)
    assert rows(schedule) == [[(0, 0, 100), (1, 100, 200)], [(2, 249, 399), (3, 399, 549)]]
    assert ways(schedule) == [(1, 0, 1, 100, 249), (3, 0, 1, 249, 398)]


def test_a_payload_goes_to_a_unit_once_by_hand() -> None:
    pinned = problem(
        [(100, 0, 0), (0, 50, 0), (0, 50, 0), (0, 0, 50)], {1: [0], 2: [0], 3: [0]}, payload_bytes=[20] * 4
    )
    apart = list_schedule(pinned._replace(wires=full_wires(3)))
    assert ways(apart) == [(0, 0, 1, 100, 120), (0, 0, 2, 100, 120)]
    # With one lane out of each unit the second transfer waits for the first.
    together = list_schedule(pinned._replace(wires=full_wires(3, "ports")), "oldest block")
    assert ways(together) == [(0, 0, 1, 100, 120), (0, 0, 2, 120, 140)]


def test_what_is_made_first_is_sent_first_by_hand() -> None:
    # Task 2 reads 1, which is made at 9, and 0, made at 4: sent in that order they are there at 14, else at 19.
    late = problem([(4, 0), (5, 0), (0, 1)], {1: [(0, ORDER)], 2: [1, 0]}, payload_bytes=[5] * 3, wires=full_wires(2))
    assert ways(list_schedule(late)) == [(0, 0, 1, 4, 9), (1, 0, 1, 9, 14)]


def test_unequal_units_by_hand() -> None:
    # The third would end at 12 on the slower unit.
    assert rows(list_schedule(problem([(4, 6), (4, 6), (4, 6)]))) == [[(2, 0, 4), (0, 4, 8)], [(1, 0, 6)]]


def test_a_chain_goes_where_all_of_it_runs_well_by_hand() -> None:
    # Task 0 alone would end first on unit 2, but 1 takes 10 there.
    chained = problem([(12, 3, 2), (8, 1, 10)], {1: [0]}, stays={1: 0})
    assert rows(list_schedule(chained)) == [[], [(0, 0, 3), (1, 3, 4)]]


def test_a_chain_keeps_off_units_that_may_not_run_all_of_it() -> None:
    assert list_schedule(problem([(1, 9), (0, 9)], stays={1: 0})).units == [1, 1]


@pytest.mark.parametrize("wires", [None, full_wires(2)])
def test_a_chain_waits_for_its_unit_by_hand(wires: dict[tuple[int, int], Wire] | None) -> None:
    # Tasks 1 and 2 stay with 0; 2 is ready at 4 but 3, which is more urgent, took the unit at 3.
    chained = problem([3, 2, 2, 9], {1: [(0, ORDER)], 2: [(1, ORDER)]}, units=1, stays={1: 0, 2: 1}, wires=wires)
    assert rows(list_schedule(chained, priorities=[9, 1, 1, 5])) == [[(0, 0, 3), (3, 3, 12), (1, 12, 14), (2, 14, 16)]]


def test_a_chain_begins_with_any_of_its_tasks() -> None:
    # Task 1 stays with 0 but does not read it: whichever starts first chooses the unit.
    chained = problem([4, 6, 5, 5], {0: []}, stays={1: 0})
    for rule in RULES:
        schedule = list_schedule(chained, rule)
        assert schedule.units[0] == schedule.units[1]
        assert not faults(chained, schedule)


def test_release_by_hand() -> None:
    assert rows(list_schedule(problem([4, 3], units=1, release_us={0: 6}))) == [[(1, 0, 3), (0, 6, 10)]]
    assert list_schedule(problem([4, 3], units=1, release_us={0: 6, 1: 6})).makespan_us == 13


def test_a_gang_takes_all_its_units_by_hand() -> None:
    # Task 1 waits for both units; task 3 fits in before.
    teamed = problem([5, (3, 0), 4, 2], {1: [0]}, gangs={1: (0, 1)})
    assert rows(list_schedule(teamed)) == [[(0, 0, 5), (1, 6, 9)], [(2, 0, 4), (3, 4, 6)]]


def test_live_inputs_by_hand() -> None:
    side_by_side = problem([(10, 0), (0, 10)], live={1: (Live(0, 0, 2, 3),)})
    # It starts 2 after the source, and its last layer takes 3 after the source's end.
    assert rows(list_schedule(side_by_side)) == [[(0, 0, 10)], [(1, 2, 13)]]
    on_one = problem([(10,), (10,)], live={1: (Live(0, 0, 2, 3),)})
    assert rows(list_schedule(on_one)) == [[(0, 0, 10), (1, 10, 20)]]


def test_a_live_payload_travels_layer_by_layer_by_hand() -> None:
    # Four layers of 2 us each: the first leaves at 2 and is there at 4, the last leaves at 10.
    side_by_side = problem(
        [(10, 0), (0, 4)], live={1: (Live(0, 0, 2, 3),)}, payload_bytes=[8, 8], layers=4, wires=full_wires(2)
    )
    schedule = list_schedule(side_by_side)
    assert rows(schedule) == [[(0, 0, 10)], [(1, 4, 15)]]
    assert ways(schedule) == [(0, 0, 1, 2, 12)]


def test_a_live_payload_whose_lane_is_busy_goes_whole_by_hand() -> None:
    # The payload of task 0 holds the lane until 24; that of task 1 cannot stream from 5 on.
    busy = problem(
        [(4, 0), (6, 0), (0, 1), (0, 4)],
        {1: [(0, ORDER)], 2: [0], 3: [(2, ORDER)]},
        live={3: (Live(1, 1, 1, 1),)},
        payload_bytes=[20, 8, 1, 1],
        layers=4,
        wires=full_wires(2),
    )
    schedule = list_schedule(busy, "oldest block")
    assert ways(schedule) == [(0, 0, 1, 4, 24), (1, 0, 1, 24, 32)]
    assert rows(schedule) == [[(0, 0, 4), (1, 4, 10)], [(2, 24, 25), (3, 32, 36)]]


def test_nothing_to_do() -> None:
    for rule in RULES:
        assert list_schedule(problem([]), rule).makespan_us == 0


@pytest.mark.parametrize(
    ("blocks", "units", "offset", "makespan_us"),
    [
        (7, 1, 1, 399),
        (7, 2, 1, 209),  # a solver proves it optimal
        (7, 5, 1, 119),  # likewise
        (7, 6, 1, 117),
        (20, 3, 2, 437),
        (20, 6, 1, 247),
        (100, 8, 1, 1047),
        (7, 2, 5, 357),
    ],
)
def test_the_cascade_grid(blocks: int, units: int, offset: int, makespan_us: int) -> None:
    grid = cascade_grid(blocks, units, offset=offset)
    schedule = list_schedule(grid, tails=heads_tails(grid).tails)
    assert schedule.makespan_us == makespan_us
    assert not faults(grid, schedule)


@settings(max_examples=150, deadline=None)
@given(instances(max_tasks=10), st.sampled_from(RULES))
def test_every_schedule_is_valid(drawn: Instance, rule: Rule) -> None:
    assert not faults(drawn, list_schedule(drawn, rule))


@settings(max_examples=150, deadline=None)
@given(st.data(), instances(max_tasks=10), st.sampled_from(RULES))
def test_every_schedule_is_valid_whatever_is_urgent(data: st.DataObject, drawn: Instance, rule: Rule) -> None:
    priorities = data.draw(st.lists(st.integers(-5, 5), min_size=drawn.size, max_size=drawn.size))
    schedule = list_schedule(drawn, rule, priorities=priorities)
    assert not faults(drawn, schedule)
    assert schedule == list_schedule(drawn, rule, priorities=priorities)


@settings(max_examples=100, deadline=None)
@given(instances(max_tasks=12, max_units=4, unequal=False, barred=False, wires=False, gangs=False, live=False))
def test_no_unit_idles_while_a_task_that_it_may_run_waits(drawn: Instance) -> None:
    """On equal units without transfers; a chain's tasks may run on one unit alone."""
    assert Table.of(drawn).is_plain
    schedule = list_schedule(drawn)
    assert not faults(drawn, schedule)
    for task, start in enumerate(schedule.starts_us):
        ready = max([drawn.release_us.get(task, 0), *(schedule.ends_us[maker] for maker, _ in drawn.inputs[task])])
        chained = drawn.stays[task] >= 0 or task in drawn.stays
        for unit in [schedule.units[task]] if chained else range(drawn.units):
            idle_us = sorted(set(range(ready, start)) - busy_us(schedule, unit))
            assert not idle_us or (chained and not_yet_chosen(drawn, schedule.starts_us, task, idle_us[-1]))


def busy_us(schedule: Schedule, unit: int) -> set[int]:
    times = zip(schedule.units, schedule.starts_us, schedule.ends_us, strict=True)
    return {now for on, start, end in times if on == unit for now in range(start, end)}


def not_yet_chosen(drawn: Instance, starts: list[int], task: int, now: int) -> bool:
    """No task of its chain has started by then, so that the unit that idles was nobody's yet."""
    leads = Table.of(drawn).leads
    return all(starts[other] > now for other, lead in enumerate(leads) if lead == leads[task])
