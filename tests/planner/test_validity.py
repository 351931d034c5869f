"""The checker of schedules finds each kind of fault that is planted, and none in what brute force would accept."""

from __future__ import annotations

import pytest

from planner.instance import ANY, ORDER, Instance, Live, Schedule, Transfer
from tests.instances import cascade_grid, full_wires
from tests.planner.validity import faults

# Task 0 makes payload 0, which task 1 reads on the other unit; task 2 follows task 1 there, in order only.
PAIR = Instance(
    units=2,
    durations=[(4, 4), (3, 3), (2, 2)],
    inputs=[(), ((0, 0),), ((1, ORDER),)],
    payload_bytes=[5],
    blocks=[0, 0, 0],
    stays=[ANY, ANY, 1],
    wires=full_wires(2),
)
GOOD = Schedule([0, 1, 1], [0, 9, 12], [4, 12, 14], [Transfer(0, 0, 1, 4, 9)])


def only(instance: Instance, schedule: Schedule) -> str:
    (line,) = faults(instance, schedule)
    return line


def test_a_valid_schedule_has_no_faults() -> None:
    assert faults(PAIR, GOOD) == []
    assert faults(PAIR, Schedule([0, 0, 0], [0, 4, 7], [4, 7, 9], [])) == []
    assert faults(PAIR._replace(wires=None), Schedule([0, 1, 1], [0, 4, 7], [4, 7, 9], [])) == []


def test_a_task_is_missing() -> None:
    assert only(PAIR, Schedule([0, 1], [0, 9], [4, 12], [])) == "the schedule has [2] tasks, the instance 3"


def test_a_unit_that_may_not_run_the_task() -> None:
    assert only(PAIR._replace(durations=[(0, 4), (3, 3), (2, 2)]), GOOD) == "task 0 may not run on unit 0"


def test_a_chain_leaves_its_unit() -> None:
    moved = GOOD._replace(units=[0, 1, 0])
    assert only(PAIR, moved) == "task 2 is on unit 0, away from task 1 on unit 1"


@pytest.mark.parametrize("end", [11, 13])
def test_a_task_lasts_too_long_or_not_long_enough(end: int) -> None:
    schedule = GOOD._replace(starts_us=[0, 9, 13], ends_us=[4, end, 15])
    assert only(PAIR, schedule) == f"task 1 lasts {end - 9} on unit 1, not 3"


def test_a_task_starts_before_its_release_or_before_time() -> None:
    assert only(PAIR._replace(release_us={1: 10}), GOOD) == "task 1 starts at 9, before its release"
    early = Schedule([0, 0, 0], [-1, 4, 7], [3, 7, 9], [])
    assert only(PAIR, early) == "task 0 starts at -1, before its release"


def test_tasks_overlap_on_a_unit() -> None:
    grid = cascade_grid(2, 1, passes=1, decode_us=0)._replace(inputs=[(), ()])
    assert only(grid, Schedule([0, 0], [0, 9], [10, 19], [])) == "tasks 0 and 1 overlap on unit 0"


def test_a_gang_holds_its_other_units_too() -> None:
    gang = cascade_grid(2, 2, passes=1, decode_us=0)._replace(inputs=[(), ()], gangs={1: (1, 0)})
    assert only(gang, Schedule([0, 1], [0, 5], [10, 15], [])) == "tasks 0 and 1 overlap on unit 0"
    assert only(gang, Schedule([0, 0], [0, 10], [10, 20], [])) == "gang 1 runs on unit 0, its first is 1"


def test_an_input_has_not_ended_or_not_arrived() -> None:
    early = GOOD._replace(starts_us=[0, 8, 11], ends_us=[4, 11, 13])
    assert only(PAIR, early) == "task 1 starts at 8, before input 0 of 0 at 9"
    swapped = Schedule([0, 0, 0], [0, 6, 4], [4, 9, 6], [])
    assert only(PAIR, swapped) == "task 2 starts at 4, before input -1 of 1 at 9"
    assert only(PAIR, GOOD._replace(transfers=[])) == "task 1 reads payload 0, which never comes to unit 1"


@pytest.mark.parametrize(
    ("transfer", "fault"),
    [
        (Transfer(0, 0, 1, 3, 8), "it leaves at 3, before its maker ended"),
        (Transfer(0, 0, 1, 4, 8), "it takes 4, not 5"),
        (Transfer(0, 1, 1, 4, 9), "no task makes it, or there is no wire from unit 1"),
        (Transfer(7, 0, 1, 4, 9), "no task makes it, or there is no wire from unit 0"),
    ],
)
def test_a_transfer_is_wrong(transfer: Transfer, fault: str) -> None:
    found = faults(PAIR, GOOD._replace(transfers=[transfer]))
    assert f"transfer of payload {transfer.payload} to unit 1: {fault}" in found


def test_a_transfer_leaves_from_where_its_payload_was_not_made() -> None:
    wide = PAIR._replace(units=3, durations=[(4, 4, 4), (3, 3, 3), (2, 2, 2)], wires=full_wires(3))
    found = faults(wide, GOOD._replace(transfers=[Transfer(0, 2, 1, 4, 9)]))
    assert found == ["transfer of payload 0 to unit 1: it leaves from unit 2, its maker ran on 0"]


def test_a_payload_goes_to_a_unit_twice() -> None:
    twice = GOOD._replace(transfers=[Transfer(0, 0, 1, 4, 9), Transfer(0, 0, 1, 9, 14)])
    assert only(PAIR, twice) == "payload 0 goes to unit 1 more than once"


def test_there_are_transfers_without_wires() -> None:
    assert only(PAIR._replace(wires=None), GOOD) == "there are transfers, but no wires"


@pytest.mark.parametrize(("lanes", "meet"), [("pair", False), ("ports", True), ("bus", True)])
def test_transfers_meet_on_a_lane(lanes: str, meet: bool) -> None:
    fan = PAIR._replace(
        units=3,
        durations=[(4, 4, 4)] * 3,
        inputs=[(), ((0, 0),), ((0, 1),)],
        payload_bytes=[5, 5],
        stays=[ANY] * 3,
        wires=full_wires(3, lanes),  # type: ignore[arg-type]
    )
    both = Schedule([0, 1, 2], [0, 9, 12], [4, 13, 16], [Transfer(0, 0, 1, 4, 9), Transfer(1, 0, 2, 7, 12)])
    lane = 0
    assert faults(fan, both) == ([f"transfers of payloads 0 and 1 overlap on lane {lane}"] if meet else [])


# Task 1 reads payload 0 of task 0 layer by layer: 4 layers of 2, the first after 3; its own last layer takes 1.
LIVE = Instance(
    units=2,
    durations=[(12, 12), (5, 5)],
    inputs=[(), ()],
    payload_bytes=[8],
    blocks=[0, 0],
    stays=[ANY, ANY],
    wires=full_wires(2),
    live={1: (Live(0, 0, 3, 1),)},
    layers=4,
)


def test_a_live_reader_may_wait_inside() -> None:
    assert faults(LIVE, Schedule([0, 1], [0, 5], [12, 15], [])) == []
    assert faults(LIVE, Schedule([0, 1], [0, 5], [12, 15], [Transfer(0, 0, 1, 3, 14)])) == []
    assert faults(LIVE._replace(wires=None), Schedule([0, 1], [0, 3], [12, 13], [])) == []
    assert faults(LIVE, Schedule([0, 0], [0, 12], [12, 17], [])) == []


@pytest.mark.parametrize(
    ("units", "start", "end", "fault"),
    [
        ([0, 1], 4, 15, "task 1 starts at 4, live input 0 lets it at 5"),
        ([0, 1], 5, 14, "task 1 ends at 14, live input 0 lets it at 15"),
        ([0, 1], 14, 18, "task 1 lasts 4 on unit 1, not 5"),
    ],
)
def test_a_live_reader_starts_or_ends_too_early(units: list[int], start: int, end: int, fault: str) -> None:
    assert only(LIVE, Schedule(units, [0, start], [12, end], [])) == fault


def test_a_live_reader_on_the_source_s_unit_follows_it() -> None:
    assert "tasks 0 and 1 overlap on unit 0" in faults(LIVE, Schedule([0, 0], [0, 5], [12, 17], []))


def test_a_stream_is_listed_with_other_times() -> None:
    wrong = Schedule([0, 1], [0, 5], [12, 15], [Transfer(0, 0, 1, 3, 13)])
    assert "transfer of payload 0 to unit 1: it leaves at 3, before its maker ended" in faults(LIVE, wrong)


def test_a_live_reader_may_have_its_payload_whole() -> None:
    assert faults(LIVE, Schedule([0, 1], [0, 20], [12, 25], [Transfer(0, 0, 1, 12, 20)])) == []
    early = Schedule([0, 1], [0, 19], [12, 24], [Transfer(0, 0, 1, 12, 20)])
    assert only(LIVE, early) == "task 1 starts at 19, live input 0 lets it at 20"
