"""The tightest bound without a search: by hand, and what it adds."""

from __future__ import annotations

from planner.bounds.makespan import makespan_bound
from planner.bounds.tight import tight_bound
from planner.instance import ORDER
from planner.schedulers.list_schedule import list_schedule
from tests.instances import cascade_grid, full_wires
from tests.planner.oracles import brute_force
from tests.planner.small import problem


def test_where_a_chain_runs_by_hand() -> None:
    # Two passes, each on its own unit; their decodes run on one, so that the latents of the other have to travel.
    clip = problem(
        [(5, 0), (0, 5), (2, 2), (2, 2)],
        {2: [0], 3: [1, (2, ORDER)]},
        stays={3: 2},
        payload_bytes=[3] * 4,
        wires=full_wires(2),
    )
    assert makespan_bound(clip).value_us == 5 + 2 + 2
    # On unit 1: the first latents are there at 8. On unit 0 the second decode starts at 8. Either way 10, or 12.
    assert tight_bound(clip).value_us == 10 == brute_force(clip)


def test_unequal_units_are_told_apart_for_a_chain() -> None:
    # Sharing both, three decodes of 4 and 6 take 12 on the fast unit.
    clip = problem([(4, 6), (4, 6), (4, 6)], {1: [(0, ORDER)], 2: [(1, ORDER)]}, stays={1: 0, 2: 1})
    assert tight_bound(clip).value_us == 12 == brute_force(clip)


def test_the_wavefront_on_unequal_devices() -> None:
    # Two passes run at once, one of them on the slow device, and whatever comes next waits for it.
    grid = cascade_grid(4, 2, passes=2, pass_us=10, decode_us=0, speeds=(1.0, 0.8))
    loose, tight = makespan_bound(grid).value_us, tight_bound(grid).value_us
    assert loose < tight <= list_schedule(grid).makespan_us


def test_transfers_that_cannot_be_spared_by_hand() -> None:
    # Two blocks of two passes on two units: the second and third pass run side by side, so the last waits for a payload
    # to come over; the latents take 2, the K/V 4.
    grid = cascade_grid(2, 2, passes=2, decode_us=0, transfer=4, latent=2)
    assert makespan_bound(grid).value_us == 30
    assert tight_bound(grid).value_us == 32 == list_schedule(grid).makespan_us == brute_force(grid)


def test_nothing_to_do() -> None:
    assert tight_bound(problem([])).value_us == 0
