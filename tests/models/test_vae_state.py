"""A codec's state is all that the next block depends on; one that it cannot have left is refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from diffusers import AutoencoderKLWan
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.codec import State, StreamDecoder, StreamEncoder
from models.errors import ModelError
from models.vae import WanCodec
from tests.models.vaes import EVERY, decoder_of, latents, plain, residual, video_for


def _taken_over(make: Callable[[], StreamDecoder], blocks: list[Tensor], at: int) -> bool:
    """Whether another decoder, given the first one's state at a block, goes on as the first does."""
    first, other = make(), make()
    for block in blocks[:at]:
        first.decode(block)
    kept = first.state()
    copies = {key: value.clone() for key, value in kept.items()}
    wanted = [first.decode(block) for block in blocks[at:]]
    untouched = all(torch.equal(kept[key], copies[key]) for key in copies)
    other.decode(blocks[-1])
    other.restore(copies)
    return untouched and all(torch.equal(other.decode(b), w) for b, w in zip(blocks[at:], wanted, strict=True))


@EVERY
@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4), data=st.data())
def test_a_state_is_all_that_the_next_block_depends_on(
    vae: Callable[[], AutoencoderKLWan], sizes: list[int], data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(3)
    blocks = list((10 * torch.randn((4, sum(sizes), 4, 4), generator=generator)).split(sizes, dim=1))
    at = data.draw(st.integers(0, len(sizes) - 1), "at")
    frames_at_once = data.draw(st.sampled_from([1, 2, None]), "frames_at_once")
    assert _taken_over(partial(decoder_of, vae(), frames_at_once), blocks, at)


def test_an_encoders_state_too() -> None:
    video = video_for(residual(), 13)
    first, other = WanCodec(residual()).encoder(), WanCodec(residual()).encoder()
    assert first.state() == {}
    for start, end in [(0, 1), (1, 9)]:
        first.encode(video[start:end])
        other.restore(first.state())
    wanted = first.encode(video[9:])
    assert torch.equal(other.encode(video[9:]), wanted)
    other.reset()
    assert torch.equal(other.encode(video[:1]), WanCodec(residual()).encoder().encode(video[:1]))


def test_a_state_that_is_another_codecs_is_refused() -> None:
    decoder, other = decoder_of(plain()), decoder_of(deepcopy(plain()).to(torch.bfloat16))
    decoder.decode(latents()[:, :2])
    kept = decoder.state()
    for stray in ({"99": torch.zeros(1)}, {"-1": torch.zeros(1)}, kept | {"weights": torch.zeros(1)}):
        with pytest.raises(ModelError, match="is not of this codec"):
            decoder.restore(stray)
    with pytest.raises(ModelError, match=r"is torch\.float32, the codec computes in torch\.bfloat16"):
        other.restore(kept)
    decoder.restore({})
    assert decoder.state() == {}


HALVES = pytest.mark.parametrize("half", ["decoder", "encoder"])


def _left(vae: AutoencoderKLWan, half: str, blocks: int) -> tuple[StreamDecoder | StreamEncoder, State]:
    """What a half of the codec has left after some blocks, and a fresh one to restore it in."""
    codec = WanCodec(vae)
    if half == "decoder":
        decoder = codec.decoder()
        for block in latents()[:, : 2 * blocks].split(2, dim=1):
            decoder.decode(block)
        return codec.decoder(), decoder.state()
    encoder, stride = codec.encoder(), 2 ** sum(vae.config.temperal_downsample)
    for start, end in [(0, 1), (1, 1 + stride)][:blocks]:
        encoder.encode(video_for(vae, 1 + stride)[start:end])
    return codec.encoder(), encoder.state()


@EVERY
@HALVES
@pytest.mark.parametrize("blocks", [1, 2])
def test_a_state_that_lacks_an_entry_is_refused(vae: Callable[[], AutoencoderKLWan], half: str, blocks: int) -> None:
    fresh, kept = _left(vae(), half, blocks)
    for gone in kept:
        with pytest.raises(ModelError, match=f"state lacks entries {gone} of .*restore what the same codec saved"):
            fresh.restore({key: value for key, value in kept.items() if key != gone})
    fresh.restore(kept)


@EVERY
@HALVES
def test_a_state_of_another_shape_is_refused(vae: Callable[[], AutoencoderKLWan], half: str) -> None:
    """By turns an entry of another height, width, channels, frames or dimensions."""
    fresh, kept = _left(vae(), half, 2)
    for turn, (key, value) in enumerate(kept.items()):
        ways = [value[..., :1, :], value[..., :1], value[:, :1], value[:, :, :0], value.flatten()]
        wrong = next(way for way in (*ways[turn % 5 :], *ways) if way.shape != value.shape)
        with pytest.raises(ModelError, match=r"state entry '\d+' is \[.*\], not \[.*restore what"):
            fresh.restore(kept | {key: wrong})
    fresh.restore(kept)


def test_a_block_of_another_size_is_refused() -> None:
    decoder, encoder = decoder_of(plain()), WanCodec(plain()).encoder()
    decoder.decode(latents()[:, :2])
    with pytest.raises(ModelError, match="the stream so far is 4x4 here, this block 4x2; begin another stream"):
        decoder.decode(latents()[:, 2:, :, :2])
    video = video_for(plain(), 5)
    encoder.encode(video[:1])
    with pytest.raises(ModelError, match="the stream so far is"):
        encoder.encode(video[1:, : video.shape[1] // 2])
