"""Latencies by hand: what is written in milliseconds is what the profile holds in microseconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.errors import InputError
from planner.latencies import Latencies, read_measured
from planner.patterns import Pattern
from planner.profile import Profile, points

SPEC = load_spec("self-forcing-1.3b")


def profile(pattern: str | None = None, **fields: Any) -> Profile:
    named = None if pattern is None else Pattern.parse(pattern, SPEC)
    return Latencies.from_data(fields, "hand").profile(SPEC, "h100", named)


def test_every_field_has_its_place() -> None:
    made = profile(
        source="a log",
        pass_ms=100.5,
        clean_ms=80,
        decode_ms=60,
        decode_first_ms=45,
        decode_stages_ms=[20, 25],
        recompute_ms=70,
        encode_ms=30,
        text_ms=12,
        block_overhead_ms=1.25,
        tick_overhead_ms=2,
        joint_stretch=1.5,
        batch_share=[0.5],
        parallel=[{"method": "ulysses", "degree": 2, "share": 0.6}],
        hand_off_ms=0.5,
        link_gbps=50,
    )
    assert (made.model, made.device, made.software) == (SPEC.name, "h100", "by hand: a log")
    assert [points(table) for table in (made.denoise, made.clean)] == [[(0, 100_500)], [(0, 80_000)]]
    assert [timing.median_us for timing in (made.decode_first, made.decode)] == [45_000, 60_000]
    assert [timing.median_us for timing in made.decode_parts] == [20_000, 25_000]
    assert (made.recache_us, made.encode_us, made.text_us) == (70_000, 30_000, 12_000)
    assert (made.block_overhead_us, made.tick_overhead_us, made.flight_overhead_us) == (1250, 2000, 2000)
    assert (made.joint_stretch, made.batch_share, made.parallel[0].share) == (1.5, (0.5,), 0.6)
    assert (made.link_latency_us, made.link_bandwidth_gbps) == (500, 50)


def test_what_is_left_out_costs_as_little_as_a_profile_can_hold() -> None:
    made = profile(pass_ms=100)
    assert made.clean == made.denoise
    assert (made.encode_us, made.recache_us, made.text_us, made.decode.median_us) == (1, 1, 1, 1)
    assert (made.block_overhead_us, made.tick_overhead_us, made.flight_overhead_us) == (0, 0, 0)
    assert (made.link_latency_us, made.link_bandwidth_gbps, made.joint_stretch) == (0, 1e9, None)


@pytest.mark.parametrize(
    ("written", "held"),
    [
        (5, [(0, 5000)]),
        ([5, 6.5], [(0, 5000), (1, 6500)]),
        ({6: 7, 0: 5}, [(0, 5000), (6, 7000)]),
        ({"6": 7, "0": 5}, [(0, 5000), (6, 7000)]),
        ([[2, 5], [4, 6]], [(2, 5000), (4, 6000)]),
    ],
)
def test_a_pass_by_context_in_any_form(written: Any, held: list[tuple[int, int]]) -> None:
    assert points(profile(pass_ms=written).denoise) == held
    assert points(profile(pass_ms=written).clean) == held


def test_a_decoder_in_stages_is_as_long_as_all_of_them_on_one_device() -> None:
    assert profile(pass_ms=1, decode_stages_ms=[95, 99, 96]).decode.median_us == 290_000


@pytest.mark.parametrize(
    ("pattern", "pass_us"),
    [
        ("cascade:1:live-causal", 93_000),
        ("cascade:5:live-causal", 96_100),
        ("cascade:1", 96_100),
        ("sequential", 96_100),
    ],
)
def test_a_tick_is_a_pass_and_for_live_reads_a_layer_more(pattern: str, pass_us: int) -> None:
    assert profile(pattern, tick_ms=96.1).denoise[0].median_us == pass_us  # 30 layers: 96.1 x 30 / 31


@given(st.floats(1e-3, 1e6))
def test_milliseconds_become_the_nearest_microseconds(ms: float) -> None:
    assert abs(profile(pass_ms=ms).denoise[0].median_us - ms * 1000) <= 0.5


def test_a_document_round_trips() -> None:
    one = Latencies.from_data({"pass_ms": {0: 5, 3: 6}, "decode_stages_ms": [1, 2]}, "hand")
    assert Latencies.from_json(one.to_json()) == one
    assert json.loads(one.to_json())["schema_name"] == "blockcascade.latencies/1"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "pass_ms, tick_ms: give one of them"),
        ({"pass_ms": 1, "tick_ms": 1}, "pass_ms, tick_ms: give one of them"),
        ({"tick_ms": 1, "tick_overhead_ms": 1}, "tick_ms: is a whole tick"),
        ({"tick_ms": 1, "joint_stretch": 1.4}, "tick_ms: is a whole tick; leave out joint_stretch"),
        ({"tick_ms": 1, "batch_share": [0.9]}, "tick_ms: is a whole tick; leave out batch_share"),
        ({"pass_ms": 1, "decode_first_ms": 1}, "decode_first_ms: give decode_ms"),
        ({"pass_ms": -1}, "pass_ms.0.1: Input should be greater than 0"),
        ({"pass_ms": float("inf")}, "pass_ms.0.1"),
        ({"pass_ms": []}, "pass_ms"),
        ({"pass_ms": {"x": 1}}, "a context is a number of earlier blocks, 0 or more, not 'x'"),
        ({"pass_ms": {-1: 1}}, "a context is a number of earlier blocks, 0 or more, not -1"),
        ({"pass_ms": True}, "pass_ms"),
        ({"pass_ms": 1, "decode": 5}, "decode: unknown key, remove it"),
        ({"pass_ms": 1, "batch_share": [-1]}, "batch_share: each must be above 0"),
        ({"pass_ms": [[1, 5], [1, 6]]}, "contexts must rise"),
    ],
)
def test_bad_values_are_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        profile(**fields)


@pytest.mark.parametrize("pattern", [None, "layers"])
def test_a_tick_alone_needs_a_pattern_that_has_ticks(pattern: str | None) -> None:
    with pytest.raises(InputError, match=r"tick_ms: .*give pass_ms"):
        profile(pattern, tick_ms=5)


def test_a_file_holds_a_profile_or_latencies(tmp_path: Path) -> None:
    by_hand, measured, wrong = (tmp_path / f"{name}.yaml" for name in ("hand", "profile", "wrong"))
    by_hand.write_text("pass_ms: 5\n")
    made = profile(pass_ms=5)
    measured.write_text(made.to_json())
    wrong.write_text("tick_ms: 5\npass_ms: 5\n")
    found = read_measured(str(by_hand))
    assert isinstance(found, Latencies)
    assert found.profile(SPEC, "h100") == made
    assert read_measured(str(measured)) == made
    with pytest.raises(InputError, match=r"wrong\.yaml: pass_ms, tick_ms: give one"):
        read_measured(str(wrong))
