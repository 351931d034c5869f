"""Lower bounds of the makespan: below every schedule, by exhaustion; and as tight as they should be, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bounds.makespan import Bound, heads_tails, makespan_bound
from planner.bounds.tight import tight_bound
from planner.instance import ANY, ORDER, Instance, Live, Wire
from planner.schedulers.list_schedule import RULES, list_schedule
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.oracles import brute_force, staircase_optimum
from tests.planner.small import problem


def unchained(grid: Instance) -> Instance:
    """Decodes on any unit, in any order."""
    inputs = [tuple(read for read in reads if read[1] != ORDER) for reads in grid.inputs]
    return grid._replace(inputs=inputs, stays=[ANY] * grid.size)


# -- by hand -------------------------------------------------------------------------------------


def test_critical_path_by_hand() -> None:
    # denoise, commit, denoise of the next block, decode
    clip = problem([100, 40, 80, 150, 60], {1: [0], 2: [0], 3: [2], 4: [3]})
    assert makespan_bound(clip) == Bound(100 + 80 + 150 + 60, "critical path")


def test_device_area_by_hand() -> None:
    # Work of 7 x 57. At the start a device idles for the first pass; at the end, as only one decodes, for the last
    # decode.
    assert makespan_bound(cascade_grid(7, 2)) == Bound((399 + 10 + 7) // 2, "device area")
    assert makespan_bound(cascade_grid(7, 1)) == Bound(399, "device area")
    # Three passes that need nothing, on two devices.
    assert makespan_bound(problem([100, 100, 100])) == Bound(150, "device area")


def test_the_grid_with_free_decodes_has_the_optimum_that_solvers_found() -> None:
    assert makespan_bound(unchained(cascade_grid(7, 2))) == Bound(205, "device area")


@pytest.mark.parametrize(("units", "least"), [(1, 5), (2, 5), (3, 5)])
def test_a_chain_counts_once_among_the_last(units: int, least: int) -> None:
    # Four decodes of 1 after work of 1: were the last of them on different units, less would do.
    tasks = problem([1, 1, 1, 1, 1], {t: [0] for t in range(1, 5)}, units=units, stays={2: 1, 3: 2, 4: 3})
    assert makespan_bound(tasks).value_us == least == brute_force(tasks)


def test_area_of_a_part_by_hand() -> None:
    # All: (0 + 10 + 20 + 6 x 3) / 2 = 24. But the six that come last begin at 20: (20 + 20 + 6 x 3) / 2.
    fan = problem([10, 10, 3, 3, 3, 3, 3, 3], {1: [0], **{task: [1] for task in range(2, 8)}})
    assert makespan_bound(fan) == Bound(29, "device area")
    mirrored = problem([3, 3, 3, 3, 3, 3, 10, 10], {6: [0, 1, 2, 3, 4, 5], 7: [6]})
    assert makespan_bound(mirrored) == Bound(29, "device area")


def test_unequal_devices_by_hand() -> None:
    # Nine tasks of 6, or 12 on the slow device: at speeds 1 and 1/2 no less than 60 / 1.5, which 6 and 3 tasks reach.
    assert makespan_bound(problem([(6, 12)] * 9)) == Bound(36, "device area")
    # Taken for two fast devices the bound would be 27.
    assert makespan_bound(problem([6] * 9)) == Bound(27, "device area")


def test_devices_that_may_not_run_everything_by_hand() -> None:
    # The first three tasks may only run on devices 0 and 1, whatever device 2 does.
    confined = problem([(9, 9, 0), (9, 9, 0), (9, 9, 0), (1, 1, 1)])
    assert makespan_bound(confined) == Bound(14, "device area")
    # The third device decodes and does nothing else.
    decoder = problem([(4, 0), (4, 0), (0, 5), (0, 5)], {2: [0], 3: [1]})
    assert makespan_bound(decoder) == Bound(4 + 5 + 5, "one device")


def test_a_chain_takes_one_device_by_hand() -> None:
    # Six decodes of 5 after passes of 1: one device decodes them all, the last pass is done when it likes.
    clip = problem([1] * 6 + [5] * 6, {6 + b: [b] for b in range(6)}, units=4, stays={7 + b: 6 + b for b in range(5)})
    assert makespan_bound(clip) == Bound(1 + 30, "one device")
    # On the device that suits the whole chain best: 2 x 10 on device 1, though device 0 is faster for one.
    unequal = problem([(1, 10), (30, 10)], stays={1: 0})
    assert makespan_bound(unequal) == Bound(20, "one device")


def test_busiest_link_by_hand() -> None:
    # Three payloads of 20 on one lane, the first made at 1; whoever reads the last takes 1.
    sent = problem([(1, 0)] * 3 + [(0, 1)] * 3, {3 + t: [t] for t in range(3)}, payload_bytes=[20] * 6)
    assert makespan_bound(sent._replace(wires=full_wires(2))) == Bound(1 + 60 + 1, "busiest link")
    # Two readers on one unit share one payload; makers on two units have two lanes.
    shared = problem([(1, 0), (0, 1), (0, 1)], {1: [0], 2: [0]}, payload_bytes=[20] * 3, wires=full_wires(2))
    assert makespan_bound(shared).value_us == 1 + 20 + 1 + 1
    apart = problem([(1, 0, 0), (0, 1, 0), (0, 0, 1)], {2: [0, 1]}, payload_bytes=[20] * 3)
    assert makespan_bound(apart._replace(wires=full_wires(3))).value_us == 1 + 20 + 1
    assert makespan_bound(apart._replace(wires=full_wires(3, "bus"))) == Bound(1 + 40 + 1, "busiest link")


def test_a_gang_counts_on_each_of_its_devices_by_hand() -> None:
    # 3 x 2 for the gang and 4 + 4: on two devices (6 + 8) / 2.
    assert makespan_bound(problem([(3, 0), 4, 4], gangs={0: (0, 1)})) == Bound(7, "device area")
    assert makespan_bound(problem([(3, 0, 0), (0, 4, 0)], gangs={0: (0, 1)})) == Bound(7, "one device")


def test_release_by_hand() -> None:
    assert makespan_bound(problem([4, 3], release_us={1: 20})) == Bound(23, "critical path")
    assert makespan_bound(problem([4, 3], units=1, release_us={0: 20, 1: 20})) == Bound(27, "device area")


def test_live_inputs_by_hand() -> None:
    # The reader starts 2 after the source and ends 3 after it; with one device it follows it.
    pair = problem([10, 4], live={1: (Live(0, 0, 2, 3),)})
    assert makespan_bound(pair).value_us == 13
    assert makespan_bound(problem([10, 4], units=1, live={1: (Live(0, 0, 2, 3),)})).value_us == 14


def test_nothing_to_do() -> None:
    assert makespan_bound(problem([])).value_us == 0


# -- every time ----------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(instances(max_tasks=6))
def test_no_schedule_beats_the_bounds(drawn: Instance) -> None:
    optimum = brute_force(drawn)
    assert makespan_bound(drawn).value_us <= tight_bound(drawn).value_us <= optimum
    assert all(optimum <= list_schedule(drawn, rule).makespan_us for rule in RULES)


@settings(max_examples=100, deadline=None)
@given(instances(max_tasks=12, max_units=4))
def test_no_schedule_of_more_tasks_beats_the_bounds(drawn: Instance) -> None:
    best = min(list_schedule(drawn, rule).makespan_us for rule in RULES)
    assert makespan_bound(drawn).value_us <= tight_bound(drawn).value_us <= best


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_no_staircase_beats_the_bounds(blocks: int, passes: int, units: int, offset: int) -> None:
    grid = cascade_grid(blocks, units, passes=passes, pass_us=1, decode_us=0, offset=min(offset, passes))
    optimum = staircase_optimum(blocks, passes, units, min(offset, passes))
    assert makespan_bound(grid).value_us <= tight_bound(grid).value_us <= optimum
    assert optimum <= list_schedule(grid).makespan_us


@settings(max_examples=60, deadline=None)
@given(instances(max_units=1, wires=False, live=False, barred=False, unequal=False, gangs=False))
def test_one_device_is_solved_if_tasks_wait_for_nothing_but_their_release(drawn: Instance) -> None:
    free = drawn._replace(inputs=[()] * drawn.size)
    assert makespan_bound(free).value_us == list_schedule(free).makespan_us


# -- the more the better -------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.data(), instances(max_tasks=10, max_units=4))
def test_a_faster_device_never_raises_a_bound(data: st.DataObject, drawn: Instance) -> None:
    unit, speed = data.draw(st.integers(0, drawn.units - 1)), data.draw(st.sampled_from([1.25, 2, 4]))
    rows = [
        tuple(max(1, int(length / speed)) if u == unit and length else length for u, length in enumerate(row))
        for row in drawn.durations
    ]
    no_higher(drawn._replace(durations=rows), drawn)


@settings(max_examples=100, deadline=None)
@given(st.data(), instances(max_tasks=10, max_units=4))
def test_a_wider_link_never_raises_a_bound(data: st.DataObject, drawn: Instance) -> None:
    if drawn.wires:
        pair = data.draw(st.sampled_from(sorted(drawn.wires)))
        wire = drawn.wires[pair]
        wider = wire._replace(latency_us=wire.latency_us // 2, bytes_per_us=2 * wire.bytes_per_us)
        no_higher(drawn._replace(wires=drawn.wires | {pair: wider}), drawn)


@settings(max_examples=100, deadline=None)
@given(st.data(), instances(max_tasks=10, max_units=3, gangs=False))
def test_one_device_more_never_raises_a_bound(data: st.DataObject, drawn: Instance) -> None:
    like = data.draw(st.integers(0, drawn.units - 1))
    rows = [(*row, row[like]) for row in drawn.durations]
    wires = None
    if drawn.wires is not None:
        new = {
            (a, b): Wire(1, 1.0, (100 + a,))
            for unit in range(drawn.units)
            for a, b in ((unit, drawn.units), (drawn.units, unit))
        }
        wires = drawn.wires | new
    no_higher(drawn._replace(units=drawn.units + 1, durations=rows, wires=wires), drawn)


def no_higher(better: Instance, worse: Instance) -> None:
    assert makespan_bound(better).value_us <= makespan_bound(worse).value_us
    assert tight_bound(better).value_us <= tight_bound(worse).value_us


# -- long clips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("units", range(1, 9))
def test_a_thousand_blocks_are_planned_to_a_thousandth(units: int) -> None:
    grid = cascade_grid(1000, units)
    heads, tails = heads_tails(grid)
    bound, makespan = makespan_bound(grid, heads, tails).value_us, list_schedule(grid, tails=tails).makespan_us
    assert bound <= makespan <= 1.001 * bound
