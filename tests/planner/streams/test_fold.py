"""Clips folded into the stream they are a piece of: equal to streams written down directly, and feature by feature."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.instance import ANY, ORDER, Instance, Live, Wire
from planner.streams.fold import fold
from planner.streams.loop import Period, Precedence, Resource, most_useful_units, steady_period
from tests.planner.stream_clips import cascade

BUS = Wire(2, 1.0, (7,))


def clip(
    passes: Sequence[int] = (10, 20, 30),
    blocks: int = 4,
    *,
    offset: int = 1,
    decode_us: int = 0,
    units: int = 2,
    runs: Sequence[Sequence[int]] | None = None,
    kv_bytes: int | None = None,
) -> Instance:
    """A cascade; `runs` gives the units that may run each pass, and the decode. K/V and latents each as one payload."""
    count = len(passes) + (decode_us > 0)
    durations = [*passes, *([decode_us] if decode_us else [])]
    allowed = runs or [range(units)] * count
    inputs: list[tuple[tuple[int, int], ...]] = []
    for task in range(blocks * count):
        block, step = divmod(task, count)
        reads = [(task - 1, 2 * (task - 1))] if step else []
        if block and step < len(passes):
            before = task - step - count + min(step + offset - 1, len(passes) - 1)
            reads.append((before, 2 * before + 1))
        elif block:
            reads.append((task - count, ORDER))
        inputs.append(tuple(reads))
    return Instance(
        units=units,
        durations=[
            tuple(us if unit in on else 0 for unit in range(units)) for us, on in zip(durations, allowed, strict=True)
        ]
        * blocks,
        inputs=inputs,
        payload_bytes=[1, kv_bytes or 1] * blocks * count,
        blocks=[task // count for task in range(blocks * count)],
        stays=[
            task - count if decode_us and task >= count and task % count == count - 1 else ANY
            for task in range(blocks * count)
        ],
        wires=None if kv_bytes is None else {(a, b): BUS for a in range(units) for b in range(units) if a != b},
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 9), st.integers(1, 4))
def test_a_cascade_equals_the_stream_written_directly(
    passes: list[int], offset: int, decode_us: int, units: int
) -> None:
    offset = min(offset, len(passes))
    decodes = (decode_us,) if decode_us else ()
    wanted = cascade(passes, offset, units, decodes=decodes)
    found = fold(clip(passes, offset=offset, decode_us=decode_us, units=units), 2, wanted.tasks)
    assert sorted(found.edges) == sorted(set(wanted.edges))
    name = f"all {units} devices" if units > 1 else "device 0"
    assert found.resources == (wanted.pool._replace(name=name),)
    assert found._replace(edges=wanted.edges, resources=wanted.resources) == wanted
    assert steady_period(found)[::3] == steady_period(wanted)[::3]


def test_tasks_have_names() -> None:
    assert fold(clip(), 1).tasks == ("t0", "t1", "t2")
    with pytest.raises(InputError, match="names: 2 for the 3 tasks of a block"):
        fold(clip(), 1, ("a", "b"))


def test_a_block_that_differs_from_the_next_is_refused() -> None:
    instance = clip(blocks=4)
    with pytest.raises(InputError, match="block: 0 and 1 differ, the stream is not steady there; take a later block"):
        fold(instance, 0)
    assert fold(instance, 1) == fold(instance, 2)
    for block in (3, 4, 9):
        with pytest.raises(InputError, match=f"block: {block} and {block + 1} differ"):
            fold(instance, block)
    instance.durations[-1] = (30, 0)
    with pytest.raises(InputError, match="block: 2 and 3 differ"):
        fold(instance, 2)


def test_a_transfer_counts_only_between_units() -> None:
    # 2 us and 5 us for K/V, 2 us and 1 us for latents.
    loop = fold(clip(kv_bytes=5), 2)
    assert sorted(loop.edges) == [
        Precedence(0, 0, 10, 1, 7),
        Precedence(0, 1, 10, 0, 3),
        Precedence(1, 1, 20, 1, 7),
        Precedence(1, 2, 20, 0, 3),
        Precedence(2, 2, 30, 1, 7),
    ]
    assert [resource.limit for resource in loop.resources] == ["devices"]
    assert steady_period(loop).value == 30


def test_a_transfer_that_cannot_be_avoided_is_in_the_lag_and_on_its_lane() -> None:
    # Pass 0 on unit 0, the others on unit 1, which needs its latents; pass 0 needs K/V of pass 1.
    loop = fold(clip(offset=2, kv_bytes=50, runs=[(0,), (1,), (1,)]), 2)
    assert sorted(loop.edges) == [
        Precedence(0, 1, 13, 0, 0),
        Precedence(1, 0, 72, 1, 0),
        Precedence(1, 2, 20, 0, 0),
        Precedence(2, 1, 30, 1, 0),
        Precedence(2, 2, 30, 1, 0),
    ]
    assert loop.resources == (
        Resource("device 0", "devices", ((0, 10),), 1),
        Resource("device 1", "devices", ((1, 20), (2, 30)), 1),
        Resource("lane 7", "link", ((0, 3), (1, 52)), 1),
    )
    assert steady_period(loop)[:3] == (Fraction(85), "dependencies", ("t0", "t1"))


def test_a_payload_goes_to_a_unit_once() -> None:
    # The K/V of pass 0 is read by both other passes of the next block, on the other unit.
    instance = clip(kv_bytes=40, runs=[(0,), (1,), (1,)])
    for task in range(3, 12):
        if task % 3:
            zero = task - task % 3 - 3
            instance.inputs[task] = (*instance.inputs[task], (zero, 2 * zero + 1))
    assert fold(instance, 1).resources[-1] == Resource("lane 7", "link", ((0, 3), (0, 42)), 1)


def test_a_saturated_lane_is_named() -> None:
    instance = clip((10, 10), kv_bytes=1, runs=[(0,), (1,)])
    instance = instance._replace(payload_bytes=[98, 1] * 8)
    assert steady_period(fold(instance, 1))[:3] == (Fraction(100), "link", ("lane 7",))


def test_a_decoder_apart_is_a_resource_of_its_own() -> None:
    loop = fold(clip(decode_us=25, units=3, runs=[(0, 1)] * 3 + [(2,)]), 2, ("s0", "s1", "s2", "decode"))
    assert loop.resources == (
        Resource("device 2", "decoder", ((3, 25),), 1),
        Resource("devices 0, 1", "devices", ((0, 10), (1, 20), (2, 30)), 2),
    )
    assert loop.stays == ((3,),)
    assert most_useful_units(loop) == 2
    assert steady_period(loop) == Period(Fraction(30), "dependencies", ("s2",), closed_form=True)


def test_units_shared_by_some_tasks_count_together() -> None:
    # Each of two passes runs on two of three units, one of them the same.
    loop = fold(clip((10, 20), units=3, runs=[(0, 1), (1, 2)]), 2)
    assert [(item.name, item.work_us, item.units) for item in loop.resources] == [
        ("devices 0, 1", 10, 2),
        ("devices 1, 2", 20, 2),
        ("all 3 devices", 30, 3),
    ]
    assert not steady_period(loop).closed_form


def test_slow_units_count_in_part() -> None:
    instance = clip((10, 20))._replace(durations=[(10, 30), (20, 40)] * 4)
    (pool,) = fold(instance, 2).resources
    # The second is a third as fast at one pass and half as fast at the other: half at most.
    assert (pool.work_us, pool.units) == (30, Fraction(3, 2))


def test_a_gang_takes_all_its_units() -> None:
    instance = clip((10, 20))
    instance = instance._replace(
        durations=[(10, 10), (20, 0)] * 4, gangs={task: (0, 1) for task in range(8) if task % 2}
    )
    loop = fold(instance, 2)
    assert loop.resources == (Resource("all 2 devices", "devices", ((0, 10), (1, 40)), 2),)
    assert loop.durations_us == (10, 20)


def test_tasks_that_stay_together_are_one_group() -> None:
    instance = clip((10, 20, 30))
    # Pass 1 stays with pass 0 of its block; pass 2 with pass 2 of the block before.
    stays = [ANY if task % 3 == 0 else task - 1 if task % 3 == 1 else max(task - 3, ANY) for task in range(12)]
    assert fold(instance._replace(stays=stays), 1).stays == ((2,),)
    # If pass 0 also stays with the block before's pass 1, both are tied to one unit.
    stays = [ANY if task % 3 == 2 or not task else task - 1 - (task % 3 == 0) for task in range(12)]
    assert fold(instance._replace(stays=stays), 1).stays == ((0, 1),)


def test_live_inputs_start_with_their_source_and_end_after_it() -> None:
    instance = clip((10,), blocks=5)
    inputs: list[tuple[tuple[int, int], ...]] = [()] * 5
    live: dict[int, tuple[Live, ...]] = {task: (Live(task - 1, 2 * (task - 1), 1, 2),) for task in range(1, 5)}
    loop = fold(instance._replace(inputs=inputs, live=live), 2)
    assert loop.late == (0,)
    assert sorted(loop.edges) == [Precedence(0, 0, 1, 1), Precedence(1, 1, 2, 1)]
    assert steady_period(loop._replace(resources=())).value == 2
    # Another pass after it waits for the end.
    inputs = [((task - 1, 0),) if task % 2 else () for task in range(10)]
    live = {task: (Live(task - 2, 0, 3, 4),) for task in range(2, 10, 2)}
    instance = clip((10, 5), blocks=5)._replace(inputs=inputs, live=live)
    assert sorted(fold(instance, 2).edges) == [
        Precedence(0, 0, 3, 1),
        Precedence(2, 1, 0, 0),
        Precedence(2, 2, 4, 1),
    ]
