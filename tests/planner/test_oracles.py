"""The oracles against each other and against values worked out by hand."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings

from planner.instance import ANY, Instance, Live, Wire
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.oracles import brute_force, staircase_optimum


def plain(
    durations: list[tuple[int, ...]], inputs: list[tuple[tuple[int, int], ...]], payload_bytes: list[int] | None = None
) -> Instance:
    size = len(durations)
    return Instance(
        units=len(durations[0]),
        durations=durations,
        inputs=inputs,
        payload_bytes=payload_bytes or [1] * size,
        blocks=[0] * size,
        stays=[ANY] * size,
    )


def test_a_chain_takes_the_sum_on_the_fastest_units() -> None:
    assert brute_force(plain([(3, 5), (4, 2)], [(), ((0, 0),)])) == 5


def test_a_transfer_counts_where_it_is_worth_it() -> None:
    chain = plain([(3, 5), (9, 2)], [(), ((0, 0),)], [4, 1])
    assert brute_force(chain._replace(wires=full_wires(2))) == 7  # both on unit 1 rather than 3 + 4 + 2
    assert brute_force(chain._replace(wires=full_wires(2), payload_bytes=[1, 1])) == 6


def test_a_payload_goes_to_a_unit_once() -> None:
    """Task 0 runs on unit 0 only, its two readers on unit 1 only."""
    pair = plain([(1, 0), (0, 1), (0, 1)], [(), ((0, 0),), ((0, 0),)], [10, 1, 1])._replace(wires=full_wires(2))
    assert brute_force(pair) == 1 + 10 + 2
    assert brute_force(pair._replace(inputs=[(), ((0, 0),), ((0, 1),)], payload_bytes=[10, 10, 1])) == 1 + 20 + 1


@pytest.mark.parametrize(("lanes", "makespan"), [("pair", 12), ("ports", 22), ("bus", 22)])
def test_shared_lanes_carry_one_transfer_at_a_time(lanes: str, makespan: int) -> None:
    """Two readers on two other units, each with a payload of its own from the same maker."""
    wires = full_wires(3, lanes)  # type: ignore[arg-type]
    fan = plain([(1, 0, 0), (0, 1, 0), (0, 0, 1)], [(), ((0, 0),), ((0, 1),)], [10, 10, 1])._replace(wires=wires)
    assert brute_force(fan) == makespan


def test_the_order_of_transfers_is_a_choice() -> None:
    """On one lane the payload for the long task goes first, though it is the second by number."""
    tasks = plain([(1, 0), (0, 1), (0, 9)], [(), ((0, 0),), ((0, 1),)], [5, 2, 1])._replace(wires=full_wires(2))
    assert brute_force(tasks) == 1 + 2 + 9 + 1


def test_stays_keep_tasks_on_one_unit() -> None:
    tasks = plain([(4, 9), (9, 4)], [(), ()])
    assert brute_force(tasks) == 4
    assert brute_force(tasks._replace(stays=[ANY, 0])) == 13


def test_a_gang_holds_all_its_units() -> None:
    tasks = plain([(5, 5), (5, 5), (3, 0)], [(), (), ()])
    assert brute_force(tasks) == 8
    assert brute_force(tasks._replace(gangs={2: (0, 1)})) == 8
    assert brute_force(tasks._replace(gangs={2: (0, 1)}, durations=[(5, 5), (5, 5), (6, 0)])) == 11


def test_release_times_hold_tasks_back() -> None:
    assert brute_force(plain([(2,), (2,)], [(), ()])._replace(release_us={0: 7})) == 9


def test_a_live_reader_runs_beside_its_source_or_after_it() -> None:
    tasks = plain([(10, 0), (0, 10)], [(), ()])._replace(live={1: (Live(0, 0, 2, 3),)})
    assert brute_force(tasks) == 13  # waits inside for the source's end + 3
    assert brute_force(tasks._replace(durations=[(10, 0), (10, 0)])) == 20


def test_a_live_reader_elsewhere_waits_for_the_stream() -> None:
    """Four layers of 3 each, one after the other over a wire from 2 on; then the reader's last layer."""
    tasks = plain([(10, 0), (0, 4)], [(), ()], [12, 1])._replace(live={1: (Live(0, 0, 2, 3),)}, layers=4)
    assert brute_force(tasks._replace(wires=full_wires(2))) == 2 + 4 * 3 + 3
    slow = {pair: Wire(9, 1.0, wire.lanes) for pair, wire in full_wires(2).items()}
    assert brute_force(tasks._replace(wires=slow)) == 10 + 9 + 12 + 4  # whole rather than in four messages


@pytest.mark.parametrize(
    ("blocks", "passes", "units", "offset", "ticks"),
    [(1, 5, 3, 1, 5), (2, 2, 1, 1, 4), (3, 3, 2, 1, 6), (3, 3, 3, 1, 5), (4, 3, 8, 3, 12), (4, 3, 8, 2, 9)],
)
def test_staircases_by_hand(blocks: int, passes: int, units: int, offset: int, ticks: int) -> None:
    assert staircase_optimum(blocks, passes, units, offset) == ticks


@pytest.mark.parametrize(("blocks", "passes"), [(2, 2), (2, 3), (3, 2), (2, 4), (4, 2)])
def test_staircases_agree_with_brute_force(blocks: int, passes: int) -> None:
    for units, offset in product((1, 2, 3), range(1, passes + 1)):
        grid = cascade_grid(blocks, units, passes=passes, pass_us=1, decode_us=0, offset=offset)
        assert brute_force(grid) == staircase_optimum(blocks, passes, units, offset)


@given(instances(max_tasks=4, max_units=2, wires=False, live=False))
@settings(max_examples=60, deadline=None)
def test_brute_force_agrees_with_every_order_of_every_placement(instance: Instance) -> None:
    """Nothing is left out here: tasks are placed in any order that their inputs allow."""
    assert brute_force(instance) == min(
        in_order(instance, units) for units in product(*(range(instance.units),) * instance.size)
    )


def in_order(instance: Instance, units: tuple[int, ...]) -> int:
    """The least makespan over all orders of a placement, or a large number if it is not allowed."""
    size, best = instance.size, 10**9
    for task in range(size):
        unit, leader = units[task], instance.stays[task]
        if not instance.durations[task][unit] or (leader != ANY and units[leader] != unit):
            return best
    for order in permutations(range(size)):
        best = min(best, timed(instance, units, order))
    return best


def timed(instance: Instance, units: tuple[int, ...], order: tuple[int, ...]) -> int:
    free, ends = [0] * instance.units, dict[int, int]()
    for task in order:
        held = instance.gangs.get(task, (units[task],))
        makers = [maker for maker, _ in instance.inputs[task]]
        if any(maker not in ends for maker in makers):
            return 10**9
        start = max([instance.release_us.get(task, 0), *(free[u] for u in held), *(ends[maker] for maker in makers)])
        ends[task] = start + instance.durations[task][units[task]]
        for unit in held:
            free[unit] = ends[task]
    return max(ends.values())
