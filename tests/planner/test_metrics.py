"""The figures a user asks for, reckoned by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from models.catalog import load_spec
from planner.action import Action, TimedAction
from planner.cluster import Cluster
from planner.metrics import Metrics, metrics, reckon
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import busy_us
from tests.strategies import listed

SELF_FORCING = load_spec("self-forcing-1.3b")
# 2.99 an hour each.
FOUR = Cluster.of("h100", 4)
HOUR_US = 3_600_000_000


def of(finished: list[int], *, begun: list[int] | None = None, used: tuple[int, ...] = (0,)) -> Metrics:
    begun = [0] * len(finished) if begun is None else begun
    return reckon(SELF_FORCING, FOUR, used, begun, finished, finished[-1])


def test_seven_blocks_of_self_forcing_by_hand() -> None:
    # The stream's first latent frame decodes to one pixel frame: 9 + 6 x 12 = 81 frames, five seconds at 16 a second.
    finished = [1_000_000 + 400_000 * block for block in range(7)]
    begun = [400_000 * block for block in range(7)]
    money = 3 * 2.99 * 3_500_000 / HOUR_US
    assert reckon(SELF_FORCING, FOUR, (0, 1, 3), begun, finished, 3_500_000) == Metrics(
        makespan_us=3_500_000,
        first_frame_us=1_000_000,
        period_us=400_000.0,
        fps=81 / 3.5,
        steady_fps=12 / 0.4,
        block_latency_us=1_000_000,
        control_us=1_400_000,
        devices=3,
        money=money,
        money_per_minute=money / (81 / 16 / 60),
    )


def test_the_period_is_the_mean_after_the_first_block() -> None:
    found = of([500_000, 600_000, 1_100_000])
    assert (found.first_frame_us, found.period_us) == (500_000, 300_000.0)
    assert found.steady_fps == pytest.approx(40)
    assert found.fps == pytest.approx((9 + 12 + 12) / 1.1)


def test_two_blocks() -> None:
    assert of([500_000, 750_000]).period_us == 250_000.0


def test_one_block() -> None:
    found = reckon(SELF_FORCING, FOUR, (0,), [0], [500_000], 600_000)
    assert (found.first_frame_us, found.period_us, found.control_us) == (500_000, 500_000.0, 500_000)
    assert found.fps == pytest.approx(9 / 0.6)
    assert found.steady_fps == pytest.approx(12 / 0.5)


def test_blocks_that_finish_together() -> None:
    assert of([500_000, 500_000]).period_us == 1.0


def test_latencies_are_the_worst_of_all_blocks() -> None:
    found = of([100, 300, 350], begun=[0, 50, 120])
    assert found.block_latency_us == 300 - 50
    # A change just after block 0 has begun shows with block 1, just after block 1's begin with block 2.
    assert found.control_us == max(300 - 0, 350 - 50)


def test_only_ranks_that_compute_are_paid_for() -> None:
    def row(text: str, start: int, end: int) -> TimedAction:
        return TimedAction(Action.parse(text), start, end)

    ranks = (
        (row("denoise b0.s3", 0, 100), row("send latents b0.s3 to r2", 100, 106)),
        (),
        (row("recv latents b0.s3 from r0", 100, 106), row("decode b0", 106, 150)),
        (row("recv kv b0.s3 from r0", 100, 106), row("free kv b0.s3", 106, 106)),
    )
    found = metrics(SELF_FORCING, FOUR, ranks)
    assert (found.devices, found.makespan_us, found.first_frame_us) == (2, 150, 150)
    assert found.money == pytest.approx(2 * 2.99 * 150 / HOUR_US)


def test_dearer_devices_cost_more() -> None:
    mixed = Cluster(devices=(*Cluster.of("h100").devices, *Cluster.of("4090").devices), link=FOUR.link)
    assert reckon(SELF_FORCING, mixed, (1,), [0], [HOUR_US], HOUR_US).money == pytest.approx(0.44)
    assert reckon(SELF_FORCING, mixed, (0, 1), [0], [HOUR_US], HOUR_US).money == pytest.approx(3.43)


@settings(max_examples=50)
@given(listed())
def test_figures_hang_together(made: tuple[Problem, Plan]) -> None:
    problem, given_plan = made
    found = metrics(problem.model, problem.cluster, given_plan.ranks)
    assert 0 < found.first_frame_us <= found.makespan_us == given_plan.makespan_us
    assert 0 < found.block_latency_us <= found.makespan_us
    assert 0 <= found.control_us <= found.makespan_us
    assert found.devices == sum(busy_us(rows) > 0 for rows in given_plan.ranks)
    assert len(given_plan.finished_us) == problem.workload.blocks
    assert found.steady_fps * found.period_us == pytest.approx(problem.model.pixel_frames(1) * 1e6)
