"""Cyclic orders: exact periods by hand and by unrolling, kernels that keep every rule, and how good rotations are."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.schedulers.endless import run_endless
from planner.schedulers.periodic import Cadence, Rotation, kernel_of, order_period, rotate
from planner.streams.kernel import Order, find_kernel
from planner.streams.loop import Loop, Precedence, Resource, steady_period
from tests.planner.stream_clips import broken_rules, cascade, cascades

GRID = [10] * 5


def of(best: Rotation) -> tuple[str, Fraction | int, Fraction | int]:
    return best.name, best.cadence.value, best.gap


def by_block(loop: Loop, units: int) -> Order:
    return tuple(tuple((task, unit) for task in range(len(loop.tasks))) for unit in range(units))


@st.composite
def orders(draw: st.DrawFn, loop: Loop) -> tuple[Order, int]:
    """Tasks in the order of their numbers on any units, and how many blocks; some tasks may be a round behind."""
    blocks, units = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    behind = draw(st.integers(0, len(loop.tasks)))
    rows: list[list[tuple[int, int]]] = [[] for _ in range(units)]
    for block in range(blocks):
        for task in range(len(loop.tasks)):
            rows[draw(st.integers(0, units - 1))].append((task, block - blocks * (task >= behind)))
    return tuple(tuple(sorted(row, key=lambda entry: entry[::-1])) for row in rows), blocks


def unrolled(loop: Loop, order: Order, blocks: int, rounds: int) -> list[int]:
    """Last end of each round's tasks, if each starts as soon as it can."""
    starts: dict[tuple[int, int], int] = {}
    unit_of = {(task, block % blocks): unit for unit, row in enumerate(order) for task, block in row}
    waits: dict[tuple[int, int], list[tuple[tuple[int, int], int]]] = {}
    for block in range(rounds * blocks):
        for edge in loop.edges:
            moved = unit_of[edge.target, (block + edge.distance) % blocks] != unit_of[edge.source, block % blocks]
            lag = edge.lag_us + (edge.transfer_us if moved else 0)
            waits.setdefault((edge.target, block + edge.distance), []).append(((edge.source, block), lag))
    for row in order:
        line = [(task, block + turn * blocks) for turn in range(-1, rounds + 1) for task, block in row]
        line = [entry for entry in line if 0 <= entry[1] < rounds * blocks]
        for before, after in pairwise(line):
            waits.setdefault(after, []).append((before, loop.durations_us[before[0]]))
    todo = [(task, block) for block in range(rounds * blocks) for task in range(len(loop.tasks))]
    while todo:
        free = [entry for entry in todo if all(other in starts for other, _ in waits.get(entry, []))]
        assert free, "a deadlock"
        for entry in free:
            starts[entry] = max((starts[other] + lag for other, lag in waits.get(entry, [])), default=0)
        todo = [entry for entry in todo if entry not in starts]
    ends = [0] * rounds
    for (task, block), start in starts.items():
        ends[block // blocks] = max(ends[block // blocks], start + loop.durations_us[task])
    return ends


# -- the period of an order ----------------------------------------------------------------------


def test_blocks_in_turn_by_hand() -> None:
    loop = cascade((10, 20, 30), 1)
    assert order_period(loop, by_block(loop, 1), 1) == Cadence(Fraction(60), ("s0", "s1", "s2"))
    assert order_period(loop, by_block(loop, 3), 3).value == 30
    two = order_period(loop, by_block(loop, 2), 2)
    # Each unit's block after the next must be done: 60 in two blocks, as much as the last pass needs twice.
    assert two.value == 30


def test_steps_on_units_of_their_own_by_hand() -> None:
    loop = cascade((10, 20, 30), 1, transfer_us=5)
    assert order_period(loop, (((0, 0), (1, 0)), ((2, 0),)), 1) == Cadence(Fraction(30), ("s0", "s1"))
    # Same-level K/V stays, whatever it would take to move.
    assert order_period(loop, (((0, 0),), ((1, 0),), ((2, 0),)), 1) == Cadence(Fraction(30), ("s2",))
    # By block it moves at each pass.
    assert order_period(loop, by_block(loop, 3), 3) == Cadence(Fraction(35), ("b0.s2", "b1.s2", "b2.s2"))


def test_blocks_of_other_rounds_by_hand() -> None:
    # One unit runs s1 of a block after s0 of the next but one: it waits only as the unit is busy.
    loop = cascade((10, 20), 2)
    assert order_period(loop, (((0, 0), (1, 0)),), 1).value == 30
    split = ((0, 0),), ((1, 0),)
    assert order_period(loop, split, 1) == Cadence(Fraction(30), ("s0", "s1"))
    with pytest.raises(InputError, match="edges: s0 -> s1 -> s0 is cyclic"):
        order_period(loop, (((0, 2), (1, 0)),), 1)
    same_level = cascade((10, 20), 1)
    assert order_period(same_level, (((0, 2), (1, 0)),), 1) == Cadence(Fraction(30), ("s0", "s1"))


def test_a_task_on_several_units_holds_all_of_them() -> None:
    loop = Loop(("a", "b", "gang"), (3, 4, 10), (), ())
    order = (((0, 0), (2, 0)), ((1, 0), (2, 0)))
    assert order_period(loop, order, 1) == Cadence(Fraction(14), ("b", "gang"))


def test_a_unit_waits_for_the_end_of_a_late_task() -> None:
    # The pass of each block runs beside the one before, ends 12 us after it has, and lasts 10 by itself.
    edges = (Precedence(0, 0, 1, 1), Precedence(1, 1, 12, 1))
    loop = Loop(("s0",), (10,), edges, (Resource("devices", "devices", ((0, 10),), 1),), late=(0,))
    assert order_period(loop, (((0, 0),),), 1) == Cadence(Fraction(12), ("s0.end",))
    kernel = kernel_of(loop, (((0, 0),), ((0, 1),)), 2)
    assert (kernel.blocks, kernel.period_us) == (2, 24)
    assert [slot[2:] for slot in kernel.slots] == [(0, 0, 10), (1, 1, 22)]


def test_errors_name_what_is_missing() -> None:
    loop = cascade((10, 20))
    with pytest.raises(InputError, match="order: task 1 of block 0 is missing or too much; a round has 1 blocks"):
        order_period(loop, (((0, 0),),), 1)
    with pytest.raises(InputError, match="order: task 0 of block 1 is missing or too much; a round has 2 blocks"):
        order_period(loop, (((0, 0), (1, 0)),), 2)
    with pytest.raises(InputError, match="order: task 0 of block 0 is missing or too much"):
        order_period(loop, (((0, 0), (1, 0), (0, 4)),), 1)
    with pytest.raises(InputError, match="order: no unit runs anything"):
        order_period(Loop((), (), (), ()), (), 1)


@settings(max_examples=30)
@given(st.data(), cascades(max_transfer_us=5))
def test_equals_the_pace_of_unrolling(data: st.DataObject, loop: Loop) -> None:
    order, blocks = data.draw(orders(loop))
    try:
        cadence = order_period(loop, order, blocks)
    except InputError:
        return
    rounds = 40
    ends = unrolled(loop, order, blocks, rounds)
    # The longest way through R rounds is R times the heaviest cycle and what does not repeat: each node once at most.
    rest = blocks * (sum(loop.durations_us) + sum(edge.transfer_us for edge in loop.edges))
    assert abs(max(ends) - rounds * blocks * cadence.value) <= 3 * rest


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("passes", [(10, 20, 30), (7, 3, 11), (5, 5, 4)])
def test_equals_the_pace_that_unrolling_settles_in(units: int, offset: int, passes: tuple[int, ...]) -> None:
    loop = cascade(passes, offset, decodes=(6,), transfer_us=4)
    for order, blocks in (
        (by_block(loop, units), units),
        ((((0, 0), (3, -1)), ((1, 0), (2, 0))), 1),
        ((((0, 0), (1, 0), (2, 1)), ((2, 0), (0, 1), (1, 1), (3, 0), (3, 1))), 2),
    ):
        ends = unrolled(loop, order, blocks, 60)
        assert ends[54] - ends[42] == 12 * blocks * order_period(loop, order, blocks).value


# -- kernels -------------------------------------------------------------------------------------


def test_a_kernel_by_hand() -> None:
    loop = cascade((10, 20), 1)
    kernel = kernel_of(loop, by_block(loop, 2), 2)
    assert (kernel.blocks, kernel.period_us, kernel.first, kernel.last) == (2, 40, 0, None)
    assert [tuple(slot) for slot in kernel.slots] == [
        (0, 0, 0, 0, 10),
        (1, 0, 0, 10, 30),
        (0, 1, 1, 10, 20),
        (1, 1, 1, 30, 50),
    ]
    assert order_period(loop, kernel.order, 2).value == 20


def test_a_kernel_of_several_rounds_has_whole_microseconds_by_hand() -> None:
    edges = (Precedence(0, 0, 10, 4),)
    loop = Loop(("s0",), (1,), edges, ())
    kernel = kernel_of(loop, (((0, 0),),), 1)
    assert (kernel.blocks, kernel.period_us) == (2, 5)
    assert [slot.start_us for slot in kernel.slots] == [0, 2]
    assert not broken_rules(loop, kernel, 8)


@given(st.data(), cascades(max_transfer_us=5))
def test_kernels_keep_every_rule_and_their_period(data: st.DataObject, loop: Loop) -> None:
    order, blocks = data.draw(orders(loop))
    try:
        kernel = kernel_of(loop, order, blocks)
    except InputError:
        return
    assert kernel.period == order_period(loop, order, blocks).value
    assert broken_rules(loop, kernel, 5) == []
    assert order_period(loop, kernel.order, kernel.blocks).value == kernel.period


@pytest.mark.parametrize("units", range(1, 7))
@pytest.mark.parametrize("offset", [1, 2])
def test_a_kernel_found_in_a_greedy_run_has_the_period_of_its_order(units: int, offset: int) -> None:
    loop = cascade(GRID, offset, units, decodes=(7,))
    size, blocks = len(loop.tasks), 80
    run = run_endless(loop, units, {5: 0}, blocks)
    ends = [start + loop.durations_us[i % size] for i, start in enumerate(run.starts_us)]
    kernel = find_kernel(run.starts_us, ends, run.units, [i // size for i in range(size * blocks)])
    assert kernel is not None
    assert order_period(loop, kernel.order, kernel.blocks).value == kernel.period
    assert kernel.period >= steady_period(loop).value


# -- the best order ------------------------------------------------------------------------------


def test_blocks_in_turn_are_optimal_without_a_tied_decoder() -> None:
    for units in range(1, 9):
        best = rotate(cascade((10, 12, 9, 30), 2, decodes=(7,), pinned=False), units)
        assert of(best) == ("block", best.bound.value, 0)
        assert best.blocks == units


@given(cascades(), st.integers(1, 5))
def test_the_closed_form_is_reached_where_it_is_claimed(loop: Loop, units: int) -> None:
    if steady_period(loop.on(units)).closed_form:
        best = rotate(loop, units)
        assert (best.name, best.cadence.value) == ("block", steady_period(loop.on(units)).value)


def test_decoding_goes_last_in_a_block() -> None:
    edges = (Precedence(0, 1, 10, 0), Precedence(0, 2, 10, 0), Precedence(2, 0, 5, 1))
    best = rotate(Loop(("s0", "decode", "clean"), (10, 7, 5), edges, (), stays=((1,),)), 1)
    assert of(best)[1:] == (22, 0)
    assert best.order == (((0, 0), (2, 0), (1, 0)),)
    # Unless a pass needs the pixels first.
    edges = (Precedence(0, 1, 10, 0), Precedence(1, 2, 7, 0), Precedence(2, 0, 5, 1))
    best = rotate(Loop(("s0", "decode", "encode"), (10, 7, 5), edges, (), stays=((1,),)), 1)
    assert of(best)[1:] == (22, 0)
    assert best.order == (((0, 0), (1, 0), (2, 0)),)


def test_steps_stay_where_their_keys_and_values_are() -> None:
    best = rotate(cascade(GRID, 1, transfer_us=50), 5)
    assert of(best) == ("step", 10, 0)
    # Of two units one gets three of the steps.
    best = rotate(cascade(GRID, 1, transfer_us=50), 2)
    assert of(best) == ("step", 30, Fraction(1, 5))


def test_a_slow_decoder_is_best_kept_apart() -> None:
    best = rotate(cascade((10, 10, 10, 12), 1, decodes=(25,)), 3)
    assert of(best) == ("step", 25, 0)
    assert best.cadence.certificate == ("d0",)
    best = rotate(cascade((10, 15, 10, 15), 1, decodes=(25,)), 3)
    assert of(best) == ("step", 25, 0)
    best = rotate(cascade((10, 15, 15, 10), 1, decodes=(26,)), 3)
    assert of(best) == ("step", 26, 0)
    best = rotate(cascade(GRID, 1, decodes=(25,)), 3)
    assert of(best) == ("decoder apart", 25, 0)


def test_a_decoder_in_parts_can_have_a_unit_for_each() -> None:
    loop = cascade((12, 12, 12), 3, decodes=(36, 36))
    best = rotate(loop, 3)
    assert of(best)[1:] == (36, 0)
    assert {best.order.index(row) for row in best.order if any(task == 4 for task, _ in row)} == {2}


@pytest.mark.parametrize(
    ("units", "apart", "most"),
    [
        (2, Fraction(50), Fraction(1, 100)),
        (3, Fraction(25), Fraction(0)),
        (4, Fraction(50, 3), Fraction(1, 100)),
        (5, Fraction(50, 4), Fraction(1, 100)),
        (6, Fraction(10), Fraction(0)),
    ],
)
def test_a_shared_decoder_loses_next_to_nothing(units: int, apart: Fraction, most: Fraction) -> None:
    loop = cascade(GRID, 1, decodes=(7,))
    best = rotate(loop, units)
    assert best.bound == steady_period(loop.on(units))
    assert best.gap <= most
    assert best.cadence.value <= apart


@settings(max_examples=25)
@given(cascades(max_transfer_us=9), st.integers(1, 4))
def test_rotations_keep_every_rule_and_no_bound_is_beaten(loop: Loop, units: int) -> None:
    best = rotate(loop, units)
    assert len(best.order) == units
    assert best.gap >= 0
    assert best.bound == steady_period(loop.on(units))
    kernel = kernel_of(loop, best.order, best.blocks)
    assert kernel.period == best.cadence.value
    assert broken_rules(loop, kernel, 3) == []
    owner = {slot.task: slot.unit for slot in kernel.slots}
    assert all(owner[slot.task] == slot.unit for slot in kernel.slots if slot.task in loop.decodes)


def test_errors_of_a_rotation() -> None:
    with pytest.raises(InputError, match="loop: devices has 0 units"):
        rotate(cascade(GRID), 0)
    with pytest.raises(InputError, match="edges: s0 -> s1 -> s0 is cyclic"):
        rotate(cascade((5, 5))._replace(edges=(Precedence(0, 1, 5, 0), Precedence(1, 0, 5, 0))), 2)
    with pytest.raises(InputError, match="loop: needs tasks"):
        rotate(Loop((), (), (), ()), 1)
