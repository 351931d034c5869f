"""Instances found by hill climbing on which list scheduling, or the improvement pass, is farthest from the optimum.

The pins say how far, so that a change for the worse, or for the better, shows.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from planner.bounds.tight import tight_bound
from planner.instance import Instance
from planner.schedulers.improve import improve
from planner.schedulers.list_schedule import RULES, list_schedule
from tests.instances import full_wires
from tests.planner.oracles import brute_force
from tests.planner.small import problem


class Worst(NamedTuple):
    """Makespans: the bound, the optimum, the best of all list rules, and that improved in 400 rounds."""

    instance: Instance
    bound_us: int
    optimum_us: int
    listed_us: int
    improved_us: int


WORST = {
    "equal units": Worst(problem([2, 5, 10, 12, 5], {1: [0], 4: [0, 1, 3]}), 17, 17, 22, 17),
    "equal units, improved": Worst(
        problem([3, 11, 9, 3, 3, 5], {4: [2], 5: [2, 3, 4]}), 17, 17, 19, 17
    ),
    "unequal units": Worst(
        problem([(2, 12, 10), (10, 9, 4), (3, 10, 11), (8, 8, 1), (7, 7, 8)], {1: [0], 3: [2]}), 7, 7, 14, 7
    ),
    "unequal units, improved": Worst(
        problem([(5, 1), (5, 5), (1, 6), (7, 1), (12, 4), (7, 2)], {3: [0, 2], 4: [0, 3], 5: [0, 1]}), 8, 8, 12, 12
    ),
    "chains": Worst(problem([1, 1, 12, 4, 8], {3: [1], 4: [1]}, stays={2: 1, 4: 3}), 13, 13, 25, 13),
    "chains, improved": Worst(
        problem(
            [1, 12, 12, 2, 2, 3, 1], {1: [0], 4: [2], 5: [0, 3], 6: [1, 2, 4, 5]}, stays={2: 0, 3: 1, 4: 3}
        ),
        17, 17, 27, 27,
    ),
    "chains on unequal units": Worst(
        problem([(4, 2), (9, 10), (1, 5), (2, 7), (2, 12)], {2: [0], 3: [2], 4: [0, 2, 3]}, stays={2: 0, 4: 2}),
        10, 10, 23, 10,
    ),
    "transfers": Worst(
        problem(
            [3, 2, 1, 9, 10, 1],
            {2: [0, 1], 5: [0, 2, 3]},
            payload_bytes=[6, 8, 5, 8, 3, 7],
            wires=full_wires(2),
        ),
        13, 13, 25, 13,
    ),
    "transfers, improved": Worst(
        problem(
            [1, 1, 6, 3, 6, 8, 2],
            {1: [0], 2: [0, 1], 3: [0, 2], 4: [0, 1, 2], 5: [1], 6: [0, 1, 3, 4, 5]},
            units=3,
            payload_bytes=[8, 3, 4, 8, 7, 4, 7],
            wires=full_wires(3),
        ),
        19, 19, 25, 19,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORST)
def test_how_far_from_the_optimum(name: str) -> None:
    worst = WORST[name]
    listed = min((list_schedule(worst.instance, rule) for rule in RULES), key=lambda schedule: schedule.makespan_us)
    bound_us = tight_bound(worst.instance).value_us
    improved = improve(worst.instance, listed, bound_us, 400)
    found = bound_us, brute_force(worst.instance), listed.makespan_us, improved.makespan_us
    assert found == (worst.bound_us, worst.optimum_us, worst.listed_us, worst.improved_us)
