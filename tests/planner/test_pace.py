"""The pace of a clip by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from planner.pace import pace_us


@pytest.mark.parametrize(
    ("finished", "pace"),
    [
        ([0, 500, 600, 700, 800, 900, 1000, 5000], Fraction(100)),
        ([0, 500, 600, 800, 900, 1100, 1200, 1400, 5000], Fraction(150)),  # by turns 100 and 200
        ([0, 500, 610, 730, 860, 1000, 9000], Fraction(125)),  # no rhythm: the mean
        ([0, 5, 12, 90], Fraction(7)),
    ],
)
def test_ramps_are_left_out(finished: list[int], pace: Fraction) -> None:
    assert pace_us(finished, 1) == pace


def test_without_ramps_all_blocks_count() -> None:
    assert pace_us([10, 40], 0) == 30
