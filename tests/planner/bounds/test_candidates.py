"""Which units may run each task."""

from __future__ import annotations

import pytest

from planner.bounds.candidates import candidates, is_uniform, leaders
from tests.planner.small import problem


def test_leaders() -> None:
    assert leaders(problem([1] * 5, stays={2: 0, 4: 2})) == [0, 1, 0, 3, 0]
    with pytest.raises(AssertionError, match="task 0 stays with 1"):
        leaders(problem([1, 1], stays={0: 1}))


def test_candidates() -> None:
    assert candidates(problem([(1, 0, 2), (1, 1, 1)])) == [(0, 2), (0, 1, 2)]
    assert candidates(problem([(1, 2), 3], gangs={0: (1, 0)})) == [(1,), (0, 1)]


def test_a_chain_has_the_units_of_all_its_tasks() -> None:
    assert candidates(problem([(1, 1, 0), (0, 1, 1), (1, 1, 1)], stays={1: 0})) == [(1,), (1,), (0, 1, 2)]
    assert candidates(problem([(1, 1, 1), (0, 1, 1)], stays={1: 0})) == [(1, 2), (1, 2)]


def test_is_uniform() -> None:
    assert is_uniform(problem([3, 5]))
    assert not is_uniform(problem([3, (5, 6)]))
    assert not is_uniform(problem([3, (5, 0)]))
    assert not is_uniform(problem([3, (0, 5)]))
    assert not is_uniform(problem([3, 5], gangs={0: (0, 1)}))
