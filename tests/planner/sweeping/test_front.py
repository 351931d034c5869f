"""Rows that none beats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.sweeping.front import front
from planner.sweeping.grid import Grid
from planner.sweeping.row import Row
from planner.whatif import whatif

ROW = whatif(Grid.from_data({"model": "toy", "device": "cpu-core"}, "grid"), workers=1).rows[0]


def made(*figures: tuple[float, float], verdict: str = "ok") -> list[Row]:
    """Rows of so many steady fps at so much money."""
    return [
        ROW._replace(point=place, steady_fps=fps, money_per_minute=money, verdict=verdict)
        for place, (fps, money) in enumerate(figures)
    ]


def test_by_hand() -> None:
    rows = made((10, 1.0), (20, 2.0), (20, 3.0), (5, 1.5), (30, 9.0), (10, 1.0))
    assert [row.point for row in front(rows, ("fps", "money"))] == [4, 1, 0]
    assert [row.point for row in front(rows, ("money", "fps"))] == [0, 1, 4]


def test_within_the_limits_first() -> None:
    late = [row._replace(point=7) for row in made((99, 0.1), verdict="misses first frame 3 s > 1")]
    refused = [ROW._replace(point=8, fps=None, steady_fps=None, verdict="0 sessions: memory")]
    assert [row.point for row in front([*late, *made((10, 1.0)), *refused], ("fps", "money"))] == [0]
    assert [row.point for row in front([*late, *refused], ("fps", "money"))] == [7]
    assert front(refused, ("fps", "money")) == ()


@pytest.mark.parametrize("names", [("fps",), ("fps", "fps"), ("fps", "steady_fps"), ("fps", "taste"), ()])
def test_objectives_are_two_known_ones(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="two or more different ones"):
        front(made((1, 1)), names)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12))
def test_none_is_beaten_and_none_is_missing(figures: list[tuple[int, int]]) -> None:
    rows = made(*((float(fps), float(money)) for fps, money in figures))
    chosen = front(rows, ("fps", "money"))

    def beats(one: Row, other: Row) -> bool:
        mine, theirs = ((row.figure("steady_fps"), -row.figure("money_per_minute")) for row in (one, other))
        return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))

    assert not any(beats(one, other) for one in rows for other in chosen)
    told = {(row.steady_fps, row.money_per_minute) for row in chosen}
    assert len(told) == len(chosen)
    assert all((row.steady_fps, row.money_per_minute) in told or any(beats(c, row) for c in chosen) for row in rows)
