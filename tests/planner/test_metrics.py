"""The figures a user asks for, reckoned by hand."""

from __future__ import annotations

import pytest

from models.catalog import load_spec
from planner.metrics import Metrics, metrics

SELF_FORCING = load_spec("self-forcing-1.3b")


def test_seven_blocks_of_self_forcing_by_hand() -> None:
    # The stream's first latent frame decodes to one pixel frame: 9 + 6 x 12 = 81 frames, the usual five seconds.
    finished = [1_000_000 + 400_000 * block for block in range(7)]
    assert metrics(SELF_FORCING, finished, 3_500_000) == Metrics(
        makespan_us=3_500_000,
        first_frame_us=1_000_000,
        period_us=400_000.0,
        fps=81 / 3.5,
        steady_fps=12 / 0.4,
    )


def test_the_period_is_the_mean_after_the_first_block() -> None:
    found = metrics(SELF_FORCING, [500_000, 600_000, 1_100_000], 1_100_000)
    assert (found.first_frame_us, found.period_us) == (500_000, 300_000.0)
    assert found.steady_fps == pytest.approx(40)
    assert found.fps == pytest.approx((9 + 12 + 12) / 1.1)


def test_two_blocks() -> None:
    assert metrics(SELF_FORCING, [500_000, 750_000], 750_000).period_us == 250_000.0


def test_one_block() -> None:
    found = metrics(SELF_FORCING, [500_000], 600_000)
    assert (found.first_frame_us, found.period_us) == (500_000, 500_000.0)
    assert found.fps == pytest.approx(9 / 0.6)
    assert found.steady_fps == pytest.approx(12 / 0.5)
