"""Heads and tails: the longest ways, by hand, and never longer than what a schedule does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.bounds.candidates import candidates
from planner.bounds.heads import HeadsTails, heads_tails, least_work
from planner.bounds.sharpen import least_time, sharpen
from planner.instance import ORDER, Instance, Live
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from tests.instances import cascade_grid, full_wires, instances
from tests.planner.small import problem


def sharpened(instance: Instance) -> HeadsTails:
    return sharpen(instance, heads_tails(instance))


# -- heads and tails -----------------------------------------------------------------------------


def test_longest_ways_by_hand() -> None:
    # denoise, decode, commit, denoise of the next block, decode
    clip = problem([100, 40, 80, 150, 60], {1: [0], 2: [0], 3: [2], 4: [3]})
    assert heads_tails(clip) == ([0, 100, 100, 180, 330], [290, 0, 210, 60, 0])


def test_they_count_on_the_fastest_units_that_may_run_a_task() -> None:
    clip = problem([(5, 3), (0, 7), (4, 9)], {1: [0], 2: [1]})
    assert least_work(clip, candidates(clip)) == [3, 7, 4]
    assert heads_tails(clip) == ([0, 3, 10], [11, 4, 0])
    # The last stays where the second must run.
    assert heads_tails(clip._replace(stays=[-1, -1, 1])) == ([0, 3, 10], [16, 9, 0])


def test_payloads_travel_only_if_they_must() -> None:
    apart = problem([(5, 0), (0, 7)], {1: [0]}, payload_bytes=[20, 1], wires=full_wires(2))
    assert heads_tails(apart) == ([0, 25], [27, 0])
    assert heads_tails(apart._replace(inputs=[(), ((0, ORDER),)])) == ([0, 5], [7, 0])
    either = problem([(5, 5), (0, 7)], {1: [0]}, payload_bytes=[20, 1], wires=full_wires(2))
    assert heads_tails(either) == ([0, 5], [7, 0])


def test_live_inputs_by_hand() -> None:
    # Starts 2 after the source's start, ends 3 after its end; on one unit it would follow it, which takes longer.
    live = {1: (Live(0, 0, 2, 3),)}
    assert heads_tails(problem([10, 4], live=live)) == ([0, 2], [3, 0])
    # Four layers of 2: the first is there at 4, the last 2 after the end of the source.
    apart = problem([(10, 0), (0, 4)], live=live, payload_bytes=[8, 8], layers=4, wires=full_wires(2))
    assert heads_tails(apart) == ([0, 4], [5, 0])


def test_release_by_hand() -> None:
    assert heads_tails(problem([4, 3], {1: [0]}, release_us={0: 5, 1: 7})) == ([5, 9], [3, 0])


# -- sharpened -----------------------------------------------------------------------------------


def test_what_one_unit_must_run_first_by_hand() -> None:
    # Tasks 0 and 1 have unit 0 to share, so that 2 starts at 6, and at least 6 goes by after 3.
    shared = problem([(3, 0), (3, 0), (0, 4), (0, 4), (3, 0), (3, 0)], {2: [0, 1], 4: [3], 5: [3]})
    assert heads_tails(shared).heads[2] == 3
    assert sharpened(shared).heads == [0, 0, 6, 0, 4, 4]
    assert sharpened(shared).tails == [4, 4, 0, 6, 0, 0]


def test_what_equal_units_must_run_first_by_hand() -> None:
    # Three tasks of 4 on two units: 8 for whole tasks, of which the area sees 6.
    assert sharpened(problem([4, 4, 4, 1], {3: [0, 1, 2]})).heads[3] == 6


def test_what_unequal_units_must_run_first_by_hand() -> None:
    # Two tasks of 4, or of 6 on the slow unit: at 6, though one alone would be done at 4.
    assert sharpened(problem([(4, 6), (4, 6), (1, 1)], {2: [0, 1]})).heads[2] == 6
    # With a unit of 9 it is no use: one after the other on the fast one.
    assert sharpened(problem([(4, 9), (4, 9), (1, 1)], {2: [0, 1]})).heads[2] == 8


def test_what_must_travel_or_share_the_unit_by_hand() -> None:
    # Task 2 reads both: one comes over, which takes 3, or both run on its unit, which takes 10.
    near = problem([5, 5, 1], {2: [0, 1]}, payload_bytes=[3] * 3, wires=full_wires(2))
    assert sharpened(near).heads[2] == 8
    far = near._replace(payload_bytes=[30] * 3)
    assert sharpened(far).heads[2] == 10
    # Of two payloads of different size the smaller travels.
    mixed = near._replace(payload_bytes=[2, 4, 1])
    assert sharpened(mixed).heads[2] == 7


def test_what_a_task_on_the_unit_read_shares_it_too_by_hand() -> None:
    # 3 reads 2, which reads 0 and 1, and nothing is worth sending: all on one unit.
    deep = problem([5, 5, 1, 1], {2: [0, 1], 3: [2]}, payload_bytes=[30] * 4, wires=full_wires(2))
    assert sharpened(deep).heads == [0, 0, 10, 11]
    assert sharpened(deep).tails == [2, 2, 1, 0]


def test_least_time_of_whole_tasks_by_hand() -> None:
    assert [least_time(count, [4, 6, 100]) for count in (1, 2, 3, 4, 5)] == [4, 6, 8, 12, 12]


def test_the_grid_with_transfers_by_hand() -> None:
    # Each tick of the wavefront waits for latents of 2: heads grow by 12, not by 10, from pass to pass.
    grid = cascade_grid(5, 5, decode_us=0, transfer=4, latent=2)
    assert heads_tails(grid).heads[-1] == 80
    assert sharpened(grid).heads[-1] > 80


# -- every time ----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(instances(max_tasks=12, max_units=4), st.sampled_from(RULES))
def test_no_schedule_is_ahead_of_heads_or_short_of_tails(drawn: Instance, rule: Rule) -> None:
    schedule = list_schedule(drawn, rule)
    known = heads_tails(drawn)
    for heads, tails in (known, sharpen(drawn, known)):
        assert all(head <= start for head, start in zip(heads, schedule.starts_us, strict=True))
        assert all(end + tail <= schedule.makespan_us for end, tail in zip(schedule.ends_us, tails, strict=True))


@settings(max_examples=100, deadline=None)
@given(instances(max_tasks=12, max_units=4))
def test_sharpening_only_raises(drawn: Instance) -> None:
    known = heads_tails(drawn)
    sharper = sharpen(drawn, known)
    assert all(one <= other for one, other in zip(known.heads, sharper.heads, strict=True))
    assert all(one <= other for one, other in zip(known.tails, sharper.tails, strict=True))
