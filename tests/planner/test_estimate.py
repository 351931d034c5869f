"""Systems by hand whose arithmetic a reader can follow: 4 passes of 100 ms, 90 ms that commit, 60 ms of decoding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from planner.errors import InputError
from planner.estimate import Estimate, estimate
from planner.system import System
from planner.value import Value

PARTS: dict[str, Any] = {"pass_ms": 100, "clean_ms": 90, "decode_ms": 60}
# A message takes a microsecond at least.
CLOSE_MS = 0.05


# A window of two blocks settles soon; nothing here depends on it unless passes are given by context.
SHORT: dict[str, Any] = {"model": {"window": 6}}


class Case(Value):
    """A system, the period and the first frame that follow, milliseconds, and the period without decoding."""

    system: dict[str, Any]
    latencies: dict[str, Any] = Field(default_factory=dict)
    period: float
    first: float | None = None
    without: float | None = None


CASES = {
    "one device: four passes, the clean one, the decode": Case(system={}, period=550, first=460, without=490),
    "no clean pass": Case(system={"clean_pass": False}, period=460, first=460, without=400),
    "two steps": Case(system={"steps": 2}, period=350, first=260, without=290),
    "a decoder of its own: the longer of the two": Case(
        system={"count": 2, "placement": "free+decoder"}, period=490, first=460, without=490
    ),
    "a slow decoder of its own": Case(
        system={"count": 2, "placement": "free+decoder"}, latencies={"decode_ms": 700}, period=700, first=1100
    ),
    "a decoder in three stages: the longest, or the passes": Case(
        system={"count": 4, "placement": "free+decoder:3", "steps": 1, "clean_pass": False},
        latencies={"pass_ms": 90, "decode_ms": None, "decode_stages_ms": [95, 99, 96]},
        period=99,
        first=380,
        without=90,
    ),
    "the same three stages on one device with the passes": Case(
        system={"steps": 1, "clean_pass": False},
        latencies={"pass_ms": 90, "decode_ms": None, "decode_stages_ms": [95, 99, 96]},
        period=380,
        first=380,
    ),
    "a short first decode": Case(system={}, latencies={"decode_first_ms": 40}, period=550, first=440),
    "a short first decode in stages": Case(
        system={"count": 3, "placement": "free+decoder:2", "clean_pass": False},
        latencies={"decode_ms": None, "decode_stages_ms": [30, 30], "decode_first_ms": 40},
        period=400,
        first=440,
    ),
    "a long first decode in stages": Case(
        system={"count": 3, "placement": "free+decoder:2", "clean_pass": False},
        latencies={"decode_ms": None, "decode_stages_ms": [30, 30], "decode_first_ms": 90},
        period=400,
        first=490,
    ),
    "same level, a device a step and one that decodes": Case(
        system={"pattern": "same-level", "clean_pass": False, "count": 5, "placement": "step+decoder"},
        period=100,
        first=460,
    ),
    "the same with an overhead in each tick": Case(
        system={"pattern": "same-level", "clean_pass": False, "count": 5, "placement": "step+decoder"},
        latencies={"tick_overhead_ms": 15},
        period=115,
        first=4 * 115 + 60,
    ),
    "batched on one device: a tick is four passes, each further one at half": Case(
        system={"pattern": "same-level", "clean_pass": False, "placement": "batched"},
        latencies={"batch_share": [0.5], "tick_overhead_ms": 15},
        period=100 + 3 * 50 + 15 + 60,
    ),
    "joint ticks: stretched passes and the overhead": Case(
        system={"pattern": "cascade:1:live-joint", "count": 6, "placement": "block+decoder"},
        latencies={"clean_ms": None, "joint_stretch": 1.5, "tick_overhead_ms": 30},
        period=180,
        first=100 + 3 * 180 + 60,
    ),
    "a measured tick, joint": Case(
        system={"pattern": "cascade:1:live-joint", "count": 6, "placement": "block+decoder"},
        latencies={"pass_ms": None, "clean_ms": None, "tick_ms": 155},
        period=155,
        first=4 * 155 + 60,
    ),
    "a measured tick, joint, all five blocks on one device": Case(
        system={"pattern": "cascade:1:live-joint", "placement": "batched"},
        latencies={"pass_ms": None, "clean_ms": None, "tick_ms": 690},
        period=750,
        without=690,
    ),
    "a measured tick, live": Case(
        system={"pattern": "cascade:1:live-causal", "count": 6, "placement": "step+decoder"},
        latencies={"pass_ms": None, "clean_ms": None, "tick_ms": 155},
        period=155,
        without=155,
    ),
    "context made anew of pixels: all in the loop": Case(
        system={"pattern": "sequential-recompute"},
        latencies={"recompute_ms": 70, "encode_ms": 25},
        period=400 + 60 + 25 + 70,
        first=460,
    ),
    "the same with a decoder of its own: still all in the loop": Case(
        system={"pattern": "sequential-recompute", "count": 2, "placement": "free+decoder"},
        latencies={"recompute_ms": 70, "encode_ms": 25},
        period=400 + 60 + 25 + 70,
        first=460,
    ),
    "context made anew of latents: the decoder is out of the loop": Case(
        system={
            "pattern": "sequential-recompute",
            "decode_feeds_next": False,
            "clean_pass": False,
            "count": 2,
            "placement": "free+decoder",
        },
        latencies={"recompute_ms": 70},
        period=470,
        first=460,
        without=470,
    ),
    "the next block reads the decoded one": Case(
        system={"decode_feeds_next": True, "count": 2, "placement": "free+decoder"},
        latencies={"encode_ms": 25},
        period=400 + 60 + 25 + 90,
        first=460,
    ),
    "a prompt encoded first": Case(system={}, latencies={"text_ms": 200}, period=550, first=660, without=490),
    "an overhead in each block": Case(system={}, latencies={"block_overhead_ms": 35}, period=585, first=495),
    "an input video encoded on the same device": Case(
        system={}, latencies={"encode_ms": 45}, period=595, first=505, without=535
    ),
    "an input video encoded on a device of its own": Case(
        system={"encoder": "apart"}, latencies={"encode_ms": 45}, period=550, first=505, without=490
    ),
    "a slow stage after the decode sets the pace": Case(
        system={"after_ms": [10, 600]}, period=600, first=460 + 610, without=600
    ),
    "four devices work on each pass": Case(
        system={"count": 4, "placement": "free*ulysses:4"},
        latencies={"parallel": [{"method": "ulysses", "degree": 4, "share": 0.4}]},
        period=0.4 * 490 + 60,
        first=0.4 * 400 + 60,
    ),
    "a message between devices": Case(
        system={"count": 2, "placement": "free+decoder"}, latencies={"hand_off_ms": 8}, period=490, first=468
    ),
    "passes by context, a window of seven blocks": Case(
        system={"clean_pass": False, "model": "self-forcing-1.3b"},
        latencies={"pass_ms": {0: 50, 6: 110}},
        period=4 * 110 + 60,
        first=4 * 50 + 60,
    ),
    "layers in a ring of four: a batch of all steps once round": Case(
        system={"pattern": "layers", "clean_pass": False, "count": 5, "placement": "ring+decoder"},
        latencies={"batch_share": [1e-9], "decode_ms": 5},
        period=8 / 30 * 100,  # thirty layers, eight on the fullest device
    ),
}


def made(case: Case) -> Estimate:
    latencies = {name: value for name, value in (PARTS | case.latencies).items() if value is not None}
    return estimate(System.from_data({**SHORT, **case.system, "latencies": latencies}, "case"))


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name: str) -> None:
    case = CASES[name]
    found = made(case)
    assert found.period_ms == pytest.approx(case.period, abs=CLOSE_MS)
    assert found.fps == pytest.approx(12_000 / case.period, rel=1e-3)
    assert found.real_time_factor == pytest.approx(found.fps / 16)
    assert float(Fraction(found.period_us)) == pytest.approx(found.period_ms * 1000)
    if case.first is not None:
        assert found.first_frame_ms == pytest.approx(case.first, abs=CLOSE_MS)
    if case.without is not None:
        assert found.fps_without_decode == pytest.approx(12_000 / case.without, rel=1e-3)


@pytest.mark.parametrize(
    ("system", "period", "first"),
    [
        ({"pattern": "sequential", "steps": 50, "clean_pass": False}, 5060, 5060),
        (
            {"pattern": "cascade:8", "steps": 24, "clean_pass": False, "count": 4, "placement": "block+decoder"},
            800,
            2460,
        ),
    ],
)
def test_blocks_of_many_passes(system: dict[str, Any], period: float, first: float) -> None:
    found = estimate(System.from_data({**SHORT, **system, "latencies": PARTS}, "case"))
    assert found.period_ms == pytest.approx(period, abs=CLOSE_MS)
    assert found.first_frame_ms == pytest.approx(first, abs=CLOSE_MS)
    assert "clip of" in found.limit


def test_without_pixels_in_the_loop_there_is_no_rate_to_tell() -> None:
    assert made(CASES["context made anew of pixels: all in the loop"]).fps_without_decode is None


def test_on_several_devices_the_best_placement_is_found() -> None:
    found = estimate(System.from_data(SHORT | {"count": 2, "latencies": PARTS}, "case"))
    assert found.period_ms == pytest.approx(490, abs=CLOSE_MS)
    assert found.placement == "free"
    assert "ulysses" not in found.placement  # of which nobody said what it takes


def test_what_sets_the_period_is_named() -> None:
    assert made(CASES["a slow stage after the decode sets the pace"]).limit == "stage 2 of those after"
    assert "decode" in made(CASES["a slow decoder of its own"]).limit + "device"


def test_money_and_frames_are_as_given() -> None:
    given_fields = {"price_per_hour": 6, "count": 2, "pixel_frames": 16, "frame_rate": 24, "placement": "free+decoder"}
    found = estimate(System.from_data({**SHORT, **given_fields, "latencies": PARTS}, "case"))
    assert found.fps == pytest.approx(16_000 / 490, rel=1e-3)
    assert found.money_per_minute == pytest.approx(12 / 60 / (found.fps / 24), rel=1e-9)


@pytest.mark.parametrize(("blocks", "seconds"), [(1, 0.46), (10, 9 * 0.55 + 0.46), (2000, 1999 * 0.55 + 0.46)])
def test_a_clip_of_its_own_length(blocks: int, seconds: float) -> None:
    clip = estimate(System.from_data(SHORT | {"blocks": blocks, "latencies": PARTS}, "case")).clip
    assert clip is not None
    assert clip.frames == 12 * blocks - 3
    assert clip.seconds == pytest.approx(seconds, abs=0.1)
    assert clip.fps == pytest.approx(clip.frames / clip.seconds)


def test_a_clip_through_a_slow_stage() -> None:
    system = System.from_data(SHORT | {"blocks": 10, "after_ms": [600], "latencies": PARTS}, "case")
    clip = estimate(system).clip
    assert clip is not None
    assert clip.seconds == pytest.approx(0.46 + 10 * 0.6, abs=1e-3)


def test_money_is_of_the_devices_that_compute() -> None:
    """A block of 12 frames at 16 a second every 550 ms: a minute of video takes 60 x 0.55 / 0.75 s."""
    fields = SHORT | {"price_per_hour": 3, "latencies": PARTS}
    alone = estimate(System.from_data(fields, "case"))
    idle = estimate(System.from_data(fields | {"count": 4, "placement": "free@1"}, "case"))
    assert alone.money_per_minute == idle.money_per_minute == pytest.approx(3 / 60 * 0.55 / 0.75)
    assert (alone.devices, idle.devices) == (1, 4)


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 5), st.floats(1, 300), st.floats(1, 300), st.floats(1, 300), st.booleans())
def test_one_device_does_one_thing_after_another(
    steps: int, pass_ms: float, clean_ms: float, decode_ms: float, commits: bool
) -> None:
    latencies = {"pass_ms": pass_ms, "clean_ms": clean_ms, "decode_ms": decode_ms}
    system = System.from_data(SHORT | {"steps": steps, "clean_pass": commits, "latencies": latencies}, "case")
    expected = steps * pass_ms + commits * clean_ms + decode_ms
    assert estimate(system).period_ms == pytest.approx(expected, abs=0.0005 * (steps + 2) + 1e-9)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pattern": "cascade:9"}, "offset must be 1..5"),
        ({"pattern": "fast"}, "pattern: 'fast' is none of"),
        ({"placement": "free*tensor:2", "count": 2}, "add {method: tensor, degree: 2, share: SHARE}"),
        ({"placement": "free+decoder"}, "needs at least 2 ranks"),
        ({"pattern": "sequential-recompute"}, "recompute_ms: sequential-recompute makes the context anew"),
        ({"pattern": "cascade:1", "decode_feeds_next": True}, "blocks in flight cannot wait for pixels"),
        ({"latencies": {"pass_ms": 1}, "decode_feeds_next": True}, "decode_ms: the next block needs the decoded one"),
        ({"latencies": PARTS | {"recompute_ms": 5}}, "sequential makes no context anew; name sequential-recompute"),
        ({"model": "nope"}, "unknown model 'nope'"),
        ({"model": {"base": "toy", "layers": 0}}, "layers"),
        ({"speed": 5}, "speed: unknown key, remove it"),
        ({"count": 0}, "count: Input should be greater than or equal to 1"),
    ],
)
def test_bad_systems_are_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        estimate(System.from_data({"latencies": PARTS} | fields, "case"))
