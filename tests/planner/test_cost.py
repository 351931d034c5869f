"""Durations, transfers and memory: rooflines by their own formula, profiles and sizes by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from models.catalog import load_spec
from planner.action import Action, Payload
from planner.cluster import Cluster, Device, Link
from planner.cost import Costs, costs
from planner.errors import InputError
from planner.graph import build_graph
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import KV_US, LATENTS_US, clip, model
from tests.strategies import problems

KV, LATENTS = Payload("kv", 3, 1), Payload("latents", 3, 1)


def rooflines(*devices: Device) -> Costs:
    link = Link(kind="given", latency_us=7, bandwidth_gbps=2)
    cluster = Cluster(devices=devices, link=link)
    return costs(Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=9)))


def device(tflops: float, memory_gbps: float) -> Device:
    return Device(kind="given", peak_tflops=tflops, memory_bytes=10**12, memory_gbps=memory_gbps)


def take(timing: Costs, text: str, rank: int = 0) -> int:
    return timing.compute_us(Action.parse(text), rank)


def test_a_roofline_bound_by_arithmetic() -> None:
    spec = load_spec("toy")
    timing = rooflines(device(1e-3, 1e9), device(2e-3, 1e9))
    # 1e-3 TFLOP/s is a thousand FLOPs a microsecond, of which a pass reaches half and a decode 14 %. The toy's window
    # is four blocks: its own and at most three more.
    for block, context in ((0, 0), (1, 1), (2, 2), (3, 3), (7, 3)):
        expected = 50 + math.ceil(spec.pass_flops(context) / 500)
        assert take(timing, f"denoise b{block}.s0") == take(timing, f"denoise b{block}.s3") == expected
        assert take(timing, f"commit b{block}") == expected
    assert take(timing, "denoise b7.s0", 1) == 50 + math.ceil(spec.pass_flops(3) / 1000)
    assert take(timing, "decode b0") == 50 + math.ceil(spec.decode_flops(0) / 140)
    assert take(timing, "decode b1") == take(timing, "decode b7") == 50 + math.ceil(spec.decode_flops(1) / 140)
    assert take(timing, "decode b0") < take(timing, "decode b1")


def test_a_roofline_bound_by_memory() -> None:
    spec = load_spec("toy")
    timing = rooflines(device(1e9, 1))
    # One gigabyte a second is a thousand bytes a microsecond: weights once, K/V of the context and of the block.
    for block in range(4):
        moved = spec.weight_bytes + (block + 1) * spec.kv_bytes_per_block
        assert take(timing, f"denoise b{block}.s0") == 50 + math.ceil(moved / 1000)


def test_a_roofline_never_beats_a_launch() -> None:
    assert take(rooflines(device(1e12, 1e12)), "denoise b3.s0") == 51


def test_a_profile_by_hand() -> None:
    timing = costs(clip(model(2, clean=True), 9, denoise_us=(100, 150), clean_us=(80,), decode_us=(40, 60)))
    # Beyond the second entry along the slope of 50; a table of one entry is level.
    assert [take(timing, f"denoise b{block}.s1") for block in range(5)] == [100, 150, 200, 250, 300]
    assert [take(timing, f"commit b{block}") for block in range(3)] == [80, 80, 80]
    assert [take(timing, f"decode b{block}") for block in range(3)] == [40, 60, 60]


def test_extrapolation_starts_from_the_last_two_and_stays_positive() -> None:
    timing = costs(clip(model(1), 9, denoise_us=(500, 100, 40)))
    assert [take(timing, f"denoise b{block}.s0") for block in range(6)] == [500, 100, 40, 1, 1, 1]


def test_a_profile_stops_at_the_window() -> None:
    timing = costs(clip(model(1, window=3), 9, denoise_us=(100, 150)))
    assert [take(timing, f"denoise b{block}.s0") for block in range(5)] == [100, 150, 200, 200, 200]


def test_a_profile_of_another_device_is_refused() -> None:
    problem = clip(model(1), 3, 3)
    devices = (*problem.cluster.devices[:2], *Cluster.of("h100").devices)
    mixed = problem.model_copy(update={"cluster": Cluster(devices=devices, link=problem.cluster.link)})
    with pytest.raises(InputError, match="profile: measured on 'cpu-core', but rank 2 is 'h100'"):
        costs(mixed)


def test_transfers_by_hand() -> None:
    timing = costs(clip(model(2), 3, 2))
    assert (timing.transfer_us(KV), timing.transfer_us(LATENTS)) == (KV_US, LATENTS_US) == (149, 6)
    # 147456 bytes at 1 byte per nanosecond are 147.456 us, rounded up.
    assert costs(clip(model(2), 3, 2, latency_us=0, bandwidth_gbps=1)).transfer_us(KV) == 148
    assert costs(clip(model(2), 3, 2, latency_us=0, bandwidth_gbps=1e9)).transfer_us(KV) == 1


def test_a_profiles_link_replaces_the_clusters() -> None:
    # The toy's K/V of three frames are 442368 bytes, its latents 3072.
    timing = rooflines(device(1, 1))
    assert (timing.transfer_us(KV), timing.transfer_us(LATENTS)) == (7 + 222, 7 + 2)
    assert (timing.payload_bytes(KV), timing.payload_bytes(LATENTS)) == (442_368, 3_072)


def test_resident_bytes_by_hand() -> None:
    spec, timing = load_spec("toy"), rooflines(device(1, 1))
    # 48 tokens x (4 x 192 + 4 x 192) numbers x 4 bytes of working memory; the decoder's two maps of 24 channels in
    # float32 over 12 frames of 16 x 16 patches.
    assert timing.resident_bytes(denoises=True, decodes=False) == spec.weight_bytes + 294_912
    assert timing.resident_bytes(denoises=False, decodes=True) == spec.decoder_weight_bytes + 589_824
    both = spec.weight_bytes + spec.decoder_weight_bytes + 294_912 + 589_824
    assert timing.resident_bytes(denoises=True, decodes=True) == both
    assert timing.resident_bytes(denoises=False, decodes=False) == 0


@settings(max_examples=50)
@given(problems())
def test_everything_takes_time(problem: Problem) -> None:
    timing = costs(problem)
    graph = build_graph(problem, Pattern.sequential(problem.model), timing)
    for action in graph:
        for rank in range(problem.cluster.size):
            duration = timing.compute_us(action, rank)
            assert type(duration) is int
            assert duration >= 1
    for payload in (KV, LATENTS):
        assert type(timing.transfer_us(payload)) is int
        assert timing.transfer_us(payload) >= 1
