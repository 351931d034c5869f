"""The endless stream behind a clip: one block's tasks, and when blocks begin to be alike."""

from __future__ import annotations

from fractions import Fraction

import pytest

from planner.expand import expand
from planner.patterns import Pattern
from planner.problem import Problem
from planner.streams.loop import Loop, most_useful_units, steady_period
from planner.streams.steady import loop_of, settled_blocks
from tests.planner.clips import cascade, clip, costed, model
from tests.planner.stream_clips import closed_form

TWO = model(2, clean=True, window=2)


def loop(problem: Problem, text: str, placement: str = "free") -> Loop:
    costs = costed(problem, Pattern.parse(text, problem.model), placement)
    return loop_of(expand(costs), costs.flow)


def small(ranks: int, blocks: int = 40) -> Problem:
    return clip(TWO, blocks, ranks, denoise_us=(90, 110), clean_us=(70,), decode_us=(50, 120))


@pytest.mark.parametrize(
    ("text", "placement", "tasks"),
    [
        ("sequential", "free", {"s0", "s1", "c", "decode"}),
        ("cascade:1", "step", {"s0", "s1", "c", "decode"}),
        ("cascade:2:live-joint", "batched", {"tick+0", "tick+1", "decode"}),
        ("layers", "ring", {"slice.0", "slice.1", "decode"}),
        ("sequential-recompute", "free", {"recache", "s0", "s1", "decode", "encode"}),
    ],
)
def test_the_tasks_of_a_block(text: str, placement: str, tasks: set[str]) -> None:
    assert set(loop(small(2), text, placement).tasks) == tasks


@pytest.mark.parametrize(("text", "offset"), [("cascade:1", 1), ("cascade:2", 2), ("sequential", 3)])
@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_bounds_of_the_closed_form(text: str, offset: int, ranks: int) -> None:
    """Equal devices, free links: the longest window of `offset` passes, the work's share, or the decode."""
    problem = clip(
        TWO, 40, ranks, denoise_us=(90, 110), clean_us=(70,), decode_us=(50, 120), latency_us=0, bandwidth_gbps=1e9
    )
    found = loop(problem, text)
    least = closed_form([110, 110, 70], offset, ranks, [120])
    # A transfer takes a microsecond.
    assert least <= steady_period(found).value <= least + 2
    assert ranks > 1 or steady_period(found).value == least


def test_the_grid_of_five_passes() -> None:
    for ranks, period in (
        (1, Fraction(57)),
        (2, Fraction(57, 2)),
        (5, Fraction(57, 5)),
        (6, Fraction(10)),
        (9, Fraction(10)),
    ):
        found = _grid(ranks)
        assert steady_period(found).value == period
        assert most_useful_units(found) == 6


def _grid(ranks: int) -> Loop:
    spec = model(5, window=7)
    problem = clip(spec, 40, ranks, denoise_us=(10,), decode_us=(7, 7), latency_us=0, bandwidth_gbps=1e6)
    return loop(problem, "cascade:1")


def test_a_clip_longer_than_it_takes_to_settle_is_the_same_stream() -> None:
    for text, placement in (
        ("cascade:1", "free"),
        ("cascade:1", "step"),
        ("cascade:1:live-joint", "block"),
        ("layers", "ring"),
    ):
        costs = costed(small(3, 60), Pattern.parse(text, TWO), placement)
        shortest = settled_blocks(costs.flow) + 4
        assert loop(small(3, shortest), text, placement) == loop(small(3, 60), text, placement)


def test_a_sink_does_not_tie_a_stream_to_its_beginning() -> None:
    spec = model(2, clean=True, window=4, sink=1)
    problem = clip(spec, 40, 2, denoise_us=(90,), clean_us=(70,), decode_us=(50, 120))
    costs = costed(problem, cascade(1), "free")
    assert all(edge.distance <= 3 for edge in loop_of(expand(costs), costs.flow).edges)
