"""The passes that are timed read what a plan's passes read, and compute what they compute."""

from __future__ import annotations

import pytest
import torch

from executor.measuring.profile_passes import PassBench, alone, batch, tick
from executor.measuring.profile_side import side_points
from models.catalog import CATALOG
from models.errors import ModelError
from models.kv_cache import KVSlots
from models.loaded import LoadedModel
from models.spec import ModelSpec
from models.vae import WanCodec, WanEncoder
from planner.patterns import Pattern, newer_read, reads
from tests.tiny import TINY_SPEC, tiny_model

SPECS = [TINY_SPEC, *CATALOG.values()]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_pass_reads_as_many_blocks_as_its_name_says(spec: ModelSpec) -> None:
    full = spec.window_blocks - 1
    for context in range(full + spec.passes):
        found = alone(spec, context)
        assert len(found.reads) == context + 1
        assert found.own in found.reads
        assert sum(block < found.block for block, _ in found.reads) == min(context, full)
        assert len(spec.context_blocks(found.block)) == min(context, full)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_tick_is_that_of_the_joint_pattern(spec: ModelSpec) -> None:
    """In steady state, of all blocks in flight: each reads all others, at whatever level."""
    pattern, size = Pattern.parse("cascade:1:live-joint", spec), spec.passes
    for item in tick(spec, size):
        stage = size - 1 - (item.block - min(other.block for other in tick(spec, size)))
        expected = {block for block, _ in reads(pattern, spec, item.block, stage)}
        expected |= {block for block, _ in newer_read(pattern, item.block, stage, 10**6)}
        assert {block for block, _ in item.reads} == expected | {item.block}
        assert [b for b, _ in item.reads] == list(spec.key_order(item.block, sorted(expected - set(range(item.block)))))


def test_passes_of_a_batch_read_the_same_and_leave_each_its_own() -> None:
    found = batch(TINY_SPEC, 4)
    owns = {item.own for item in found}
    assert len(owns) == 4
    for item in found:
        assert len(item.reads) == TINY_SPEC.window_blocks
        assert owns & set(item.reads) == {item.own}


def test_every_point_runs_and_slots_are_real_numbers() -> None:
    model = tiny_model()
    bench = PassBench(model.wan, model.wan.encode_text(model.embed_prompt("x")), fused=True)
    points = list(bench.points())
    full = TINY_SPEC.window_blocks - 1
    joint = [f"denoise {full + newer}" for newer in (1, 2, 3)]
    together = [f"{kind} {size}" for size in (2, 3, 4) for kind in ("batch", "tick")]
    alone_ = [f"{kind} {context}" for context in range(full + 1) for kind in ("denoise", "clean")]
    assert [point.name for point in points] == [*alone_, "recache", *joint, *together]
    points[-1].prepare()
    slots = held(bench)
    assert slots is not None
    assert slots._buffer.std() > 0.9
    for point in reversed(points):
        point.prepare()()
    assert held(bench) is slots
    points[-1].drop()
    assert held(bench) is None
    points[0].prepare()()


def held(bench: PassBench) -> KVSlots | None:
    return bench._slots


def test_a_stream_goes_on_where_its_first_block_ended() -> None:
    """What `decode` times is never a stream's first block, whose frames are fewer; nor is `encode`."""
    model = tiny_model()
    assert isinstance(model.vae, WanCodec)
    points = {point.name: point for point in side_points(model, "x")}
    assert set(points) == {"decode_first", "decode", "encode"}
    for turn in range(4):
        assert _frames(points["decode_first"].prepare()()) == TINY_SPEC.pixel_frames(0)
        assert _frames(points["decode"].prepare()()) == TINY_SPEC.pixel_frames(1)
        encoded = points["encode"].prepare()()
        assert isinstance(encoded, torch.Tensor)
        assert encoded.shape[1] == TINY_SPEC.frames_per_block
        for point in points.values() if turn == 1 else ():
            point.drop()


def test_a_codec_that_cannot_encode_is_not_asked_to() -> None:
    model = tiny_model()
    assert isinstance(model.vae, WanCodec)
    one_way = OneWay(model.vae.vae)
    assert {p.name for p in side_points(model._replace(vae=one_way), "x")} == {"decode_first", "decode"}
    assert list(side_points(LoadedModel(model.spec, model.wan, None, model.embed_prompt), "x")) == []


class OneWay(WanCodec):
    def encoder(self) -> WanEncoder:
        raise ModelError("this codec only decodes")


def _frames(decoded: object) -> int:
    assert isinstance(decoded, torch.Tensor)
    return len(decoded)
