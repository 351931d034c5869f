"""Profiles: what was measured, in whole microseconds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from models.catalog import load_spec
from planner.errors import InputError
from planner.profile import Profile, Timing, Transfer, points
from tests.planner.clips import clip, model, us
from tests.strategies import profiles

MEASURED = clip(model(2, clean=True), 2, 2).profile
assert MEASURED is not None
GIVEN: dict[str, Any] = json.loads(MEASURED.to_json())


@given(profiles(load_spec("toy"), "cpu-core"))
def test_json_round_trips(profile: Profile) -> None:
    assert Profile.from_json(profile.to_json()) == profile


def test_canonical_json_by_hand() -> None:
    timing = '{"context":null,"median_us":%d,"p95_us":%d,"samples":1}'
    profile = Profile(
        model="toy",
        device="cpu-core",
        software="torch 2",
        denoise=us(100, 150),
        decode_first=us(40)[0],
        decode=us(60)[0],
        link_latency_us=0,
        link_bandwidth_gbps=2,
    )
    assert profile.to_json() == (
        '{"batch_share":[],"block_overhead_us":0,"busy_ranks":1,"clean":[],'
        f'"decode":{timing % (60, 60)},"decode_first":{timing % (40, 40)},"decode_parts":[],'
        f'"denoise":[{timing % (100, 100)},{timing % (150, 150)}],"device":"cpu-core","encode_us":null,'
        '"joint_stretch":null,"link_bandwidth_gbps":2.0,"link_latency_us":0,"link_sharing":"pair","model":"toy",'
        '"parallel":[],"post_us":0,"recache_us":null,"schema_name":"blockcascade.profile/1","software":"torch 2",'
        '"text_us":null,"tick_overhead_us":0}\n'
    )


def test_a_profile_without_the_newer_fields_can_be_read() -> None:
    """What was measured by an earlier release stays good."""
    timing = '{"median_us":5,"p95_us":6,"samples":7}'
    old = (
        f'{{"busy_ranks":2,"clean":[],"decode":{timing},"decode_first":{timing},"denoise":[{timing}],'
        '"device":"cpu-core","link_bandwidth_gbps":2.0,"link_latency_us":0,"model":"toy",'
        '"schema_name":"blockcascade.profile/1","software":"torch 2"}'
    )
    found = Profile.from_json(old)
    assert (found.busy_ranks, found.post_us, found.link_sharing) == (2, 0, "pair")
    assert (found.decode.lower_us, found.taken, found.missing, found.transfers) == (None, "", (), ())


def test_what_came_later_is_written_where_it_says_something() -> None:
    transfer = Transfer(source=0, target=1, size_bytes=7, timing=Timing.of([1, 2]))
    given = {"device_name": "a GPU", "taken": "2026-11-23", "missing": ("batch 5: out of memory",)}
    profile = Profile.from_data(GIVEN | given | {"transfers": [transfer]}, "here")
    assert (
        '"timing":{"context":null,"lower_us":1,"median_us":2,"p95_us":2,"samples":2,"upper_us":2}' in profile.to_json()
    )
    assert Profile.from_json(profile.to_json()) == profile


def test_a_timing_by_hand() -> None:
    found = Timing.of([9.6, 1, 2, 3, 4.4, 7, 5, 8], context=3)
    assert (found.lower_us, found.median_us, found.upper_us, found.p95_us) == (3, 5, 8, 10)
    assert (found.samples, found.context) == (8, 3)
    assert Timing.of([0.2]).median_us == 1


def test_a_scaled_timing_keeps_its_shape() -> None:
    assert Timing.of([2, 4, 6, 8], 1).scaled(0.5) == Timing.of([1, 2, 3, 4])
    assert us(10)[0].scaled(2, 5).lower_us is None


def entries(*contexts: int | None) -> list[dict[str, Any]]:
    return [{"median_us": 10 + i, "p95_us": 20, "samples": 1, "context": c} for i, c in enumerate(contexts)]


def test_entries_stand_for_their_context_or_their_place() -> None:
    table = Profile.from_data(GIVEN | {"denoise": entries(None, 2, 5)}, "here").denoise
    assert points(table) == [(0, 10), (2, 11), (5, 12)]
    assert points(us(7, 8)) == [(0, 7), (1, 8)]


@pytest.mark.parametrize("contexts", [(2, 2), (3, 1), (1, None), (None, 0)])
@pytest.mark.parametrize("name", ["denoise", "clean"])
def test_contexts_rise(name: str, contexts: tuple[int | None, ...]) -> None:
    with pytest.raises(InputError, match=rf"^here: {name}: contexts must rise, got \[\d, \d\]"):
        Profile.from_data(GIVEN | {name: entries(*contexts)}, "here")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"schema_name": "blockcascade.problem/1"}, "schema_name"),
        ({"denoise": []}, "denoise"),
        ({"denoise": [{"median_us": 0, "p95_us": 1, "samples": 1}]}, "denoise.0.median_us"),
        ({"denoise": [{"median_us": 1.5, "p95_us": 2, "samples": 1}]}, "denoise.0.median_us"),
        ({"decode": {"median_us": 1, "p95_us": -1, "samples": 1}}, "decode.p95_us"),
        ({"decode": {"median_us": 1, "p95_us": 1, "samples": 0}}, "decode.samples"),
        ({"decode": {"median_us": 1, "p95_us": 1}}, "decode.samples"),
        ({"decode_first": None}, "decode_first"),
        ({"busy_ranks": 0}, "busy_ranks"),
        ({"link_latency_us": -1}, "link_latency_us"),
        ({"link_bandwidth_gbps": 0}, "link_bandwidth_gbps"),
        ({"link_bandwidth_gbps": float("nan")}, "link_bandwidth_gbps"),
        ({"link_bandwidth_gbps": float("inf")}, "link_bandwidth_gbps"),
        ({"link_sharing": "star"}, "link_sharing"),
        ({"post_us": -1}, "post_us"),
        ({"encode_us": 0}, "encode_us"),
        ({"joint_stretch": 0}, "joint_stretch"),
        ({"batch_share": [0.5, 0]}, "batch_share"),
        ({"batch_share": [11]}, "batch_share"),
        ({"parallel": [{"method": "ulysses", "degree": 1, "share": 0.5}]}, "parallel.0.degree"),
        ({"parallel": [{"method": "ulysses", "degree": 2, "share": 0}]}, "parallel.0.share"),
        ({"parallel": [{"method": "ring", "degree": 2, "share": 0.5}]}, "parallel.0.method"),
        ({"decode_parts": [{"median_us": 0, "p95_us": 1, "samples": 1}]}, "decode_parts.0.median_us"),
        ({"speed": 1}, "speed"),
        ({"decode": {"median_us": 1, "p95_us": 1, "samples": 1, "lower_us": 0}}, "decode.lower_us"),
        ({"taken": "yesterday"}, "taken"),
        ({"transfers": [{"source": 0, "target": 1, "size_bytes": 0}]}, "transfers.0.size_bytes"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"^here: {field}: "):
        Profile.from_data(GIVEN | changes, "here")
