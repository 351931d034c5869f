"""Profiles: what was measured, in whole microseconds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from models.catalog import load_spec
from planner.errors import InputError
from planner.profile import Profile
from tests.planner.clips import clip, model, us
from tests.strategies import profiles

GIVEN = clip(model(2, clean=True), 2, 2).profile
assert GIVEN is not None


@given(profiles(load_spec("toy"), "cpu-core"))
def test_json_round_trips(profile: Profile) -> None:
    assert Profile.from_json(profile.to_json()) == profile


def test_canonical_json_by_hand() -> None:
    timing = '{"median_us":%d,"p95_us":%d,"samples":1}'
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
        f'{{"busy_ranks":1,"clean":[],"decode":{timing % (60, 60)},"decode_first":{timing % (40, 40)},'
        f'"denoise":[{timing % (100, 100)},{timing % (150, 150)}],"device":"cpu-core","link_bandwidth_gbps":2.0,'
        '"link_latency_us":0,"model":"toy","schema_name":"blockcascade.profile/1","software":"torch 2"}\n'
    )


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
        ({"speed": 1}, "speed"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], field: str) -> None:
    assert GIVEN is not None
    with pytest.raises(InputError, match=rf"^here: {field}: "):
        Profile.from_data(json.loads(GIVEN.to_json()) | changes, "here")
