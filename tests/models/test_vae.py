"""Decoding and encoding block by block is decoding and encoding the whole clip.

One latent frame at a time it is so bit for bit; several at a time within rounding, which is one of 256 levels: kernels
add up in another order for other lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.codec import StreamDecoder
from models.errors import ModelError
from models.vae import StreamingDecoder, WanCodec, decode_stream, skip_zero_taps
from tests.tiny import TINY_SPEC, tiny_vae

FRAMES = 6  # latent


@cache
def _plain() -> AutoencoderKLWan:
    """Random weights, no pixel patch, two temporal levels: one latent frame is four pixel frames."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        vae = AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[True, True],
            latents_mean=[0.5, -0.5, 0.0, 0.2],
            latents_std=[3.0, 2.0, 1.0, 2.5],
        )
    return vae.eval().requires_grad_(False)


_patched = cache(tiny_vae)


@cache
def _residual() -> AutoencoderKLWan:
    """Built as Wan 2.2's: upsampling treats a stream's first chunk apart."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        vae = AutoencoderKLWan(
            base_dim=4,
            decoder_base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[True, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
            is_residual=True,
            patch_size=2,
            in_channels=12,
            out_channels=12,
        )
    return vae.eval().requires_grad_(False)


def _latents() -> Tensor:
    """[C, T, h, w], wide enough to fill the range of pixels."""
    return 10 * torch.randn((4, FRAMES, 4, 4), generator=torch.Generator().manual_seed(0))


def _whole(vae: AutoencoderKLWan, latents_CThw: Tensor) -> Tensor:
    """diffusers' decode of the clip, as its pipelines call it: latents brought back to scale first."""
    scale = [torch.tensor(getattr(vae.config, name)).view(-1, 1, 1, 1) for name in ("latents_std", "latents_mean")]
    video: Tensor = vae.decode((latents_CThw * scale[0] + scale[1])[None], return_dict=False)[0][0]
    return ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0)


def _differ(a: Tensor, b: Tensor) -> int:
    assert a.shape == b.shape
    return int((a.int() - b.int()).abs().max())


def _decoder(vae: AutoencoderKLWan, frames_at_once: int | None = 1) -> StreamDecoder:
    return WanCodec(vae, frames_at_once=frames_at_once).decoder()


every = pytest.mark.parametrize("vae", [_patched, _plain, _residual], ids=["pixel patch", "plain", "residual"])
cuts = pytest.mark.parametrize("sizes", [(1,) * 6, (2, 2, 2), (3, 3), (6,), (1, 2, 3), (3, 1, 2)], ids=str)


# -- decoding ------------------------------------------------------------------------------------


@every
@cuts
def test_blocks_join_into_the_clip(vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...]) -> None:
    blocks = _latents().split(list(sizes), dim=1)
    video = decode_stream(WanCodec(vae()), blocks)
    assert video.dtype == torch.uint8
    assert video.float().std() > 10
    assert torch.equal(video, _whole(vae(), _latents()))


@every
@cuts
@pytest.mark.parametrize("frames_at_once", [2, None])
def test_several_frames_at_once_differ_by_rounding_only(
    vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...], frames_at_once: int | None
) -> None:
    blocks = _latents().split(list(sizes), dim=1)
    video, wanted = decode_stream(WanCodec(vae(), frames_at_once=frames_at_once), blocks), _whole(vae(), _latents())
    assert _differ(video, wanted) <= 1
    assert (video == wanted).float().mean() > 0.999


@every
def test_a_stream_remembers_what_came_before(vae: Callable[[], AutoencoderKLWan]) -> None:
    """Else the tests above would hold of blocks decoded alone."""
    model = vae()
    first, second = _latents().split(3, dim=1)
    decoder, fresh = _decoder(model), _decoder(model)
    decoder.decode(first)
    fresh.decode(_latents()[:, 3:])
    assert _differ(decoder.decode(second), fresh.decode(second)) > 10


def test_reset_forgets_the_stream() -> None:
    decoder = _decoder(_patched())
    first = decoder.decode(_latents()[:, :2])
    decoder.decode(_latents()[:, 2:])
    decoder.reset()
    assert decoder.state() == {}
    assert torch.equal(decoder.decode(_latents()[:, :2]), first)


def test_streams_on_one_autoencoder_do_not_mix() -> None:
    alone = _decoder(_patched())
    wanted = [alone.decode(_latents()[:, i : i + 2]) for i in (0, 2)]
    one, other = _decoder(_patched()), _decoder(_patched())
    found = [one.decode(_latents()[:, :2])]
    other.decode(_latents()[:, 3:])
    _whole(_patched(), _latents())
    found.append(one.decode(_latents()[:, 2:4]))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_a_bare_autoencoder_is_decoded_as_its_codec() -> None:
    blocks = _latents().split(2, dim=1)
    decoder = StreamingDecoder(_plain())
    found = torch.cat([decoder.decode(block) for block in blocks])
    assert torch.equal(found, decode_stream(WanCodec(_plain()), blocks))
    decoder.reset()
    assert torch.equal(decoder.decode(blocks[0]), found[:5])


def test_a_decoder_runs_in_its_weights_type() -> None:
    """Latents come in float32 whatever the decoder computes in."""
    half = deepcopy(_plain()).to(torch.bfloat16)
    video, wanted = decode_stream(WanCodec(half), [_latents()]), _whole(_plain(), _latents())
    assert 0 < (video.float() - wanted.float()).abs().mean() < 2


# -- encoding ------------------------------------------------------------------------------------


def _video(vae: AutoencoderKLWan, frames: int) -> Tensor:
    """uint8 [F, H, W, 3]: 4x4 latents."""
    side = 4 * 2 ** len(vae.config.temperal_downsample) * (vae.config.patch_size or 1)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (frames, side, side, 3), dtype=torch.uint8, generator=generator)


def _encoded(vae: AutoencoderKLWan, video_FHWC: Tensor) -> Tensor:
    """diffusers' encoding of the clip, normalised as its pipelines do."""
    pixels = video_FHWC.permute(3, 0, 1, 2).float() / 127.5 - 1
    mean, std = (torch.tensor(getattr(vae.config, name)).view(-1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    mode: Tensor = vae.encode(pixels[None]).latent_dist.mode()[0]
    return (mode - mean) / std


@pytest.mark.parametrize("vae", [_plain, _residual], ids=["plain", "residual"])
@cuts
def test_encoded_blocks_join_into_the_clips_latents(
    vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...]
) -> None:
    video = _video(vae(), 4 * FRAMES - 3)
    pixels = [4 * size - (3 if index == 0 else 0) for index, size in enumerate(sizes)]
    encoder = WanCodec(vae()).encoder()
    latents = torch.cat([encoder.encode(block) for block in video.split(pixels)], dim=1)
    assert latents.shape == (4, FRAMES, 4, 4)
    assert latents.dtype == torch.float32
    assert torch.equal(latents, _encoded(vae(), video))


@pytest.mark.parametrize(("vae", "frames_at_once"), [(_plain, None), (_residual, 2), (_patched, 1), (_patched, None)])
def test_other_chunks_encode_to_the_same_within_rounding(
    vae: Callable[[], AutoencoderKLWan], frames_at_once: int | None
) -> None:
    """diffusers takes four pixel frames at a time whatever the stride; the patched one's is two."""
    stride = 2 ** sum(vae().config.temperal_downsample)
    video = _video(vae(), 9)
    encoder = WanCodec(vae(), frames_at_once=frames_at_once).encoder()
    latents = torch.cat([encoder.encode(block) for block in video.split([1 + stride, 8 - stride])], dim=1)
    torch.testing.assert_close(latents, _encoded(vae(), video), atol=1e-5, rtol=1e-4)


def test_an_encoder_remembers_what_came_before() -> None:
    encoder, fresh = WanCodec(_plain()).encoder(), WanCodec(_plain()).encoder()
    video = _video(_plain(), 13)
    encoder.encode(video[:5])
    fresh.encode(video[4:9])
    assert (encoder.encode(video[9:]) - fresh.encode(video[9:])).abs().max() > 1e-3


@pytest.mark.parametrize(("before", "frames"), [(0, 0), (0, 4), (0, 7), (5, 1), (5, 6), (5, 0)])
def test_frames_that_make_no_whole_latents_are_refused(before: int, frames: int) -> None:
    encoder = WanCodec(_plain()).encoder()
    if before:
        encoder.encode(_video(_plain(), before))
    kept = encoder.state()
    with pytest.raises(ModelError, match=rf"a block of {frames} frames: .* 1 \+ a multiple of 4"):
        encoder.encode(_video(_plain(), frames))
    assert encoder.state().keys() == kept.keys()


def test_frames_survive_the_way_there_and_back_as_diffusers_makes_it() -> None:
    video = _video(_residual(), 9)
    latents = WanCodec(_residual()).encoder().encode(video)
    assert torch.equal(decode_stream(WanCodec(_residual()), [latents]), _whole(_residual(), latents))


# -- state ---------------------------------------------------------------------------------------


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


@every
@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4), data=st.data())
def test_a_state_is_all_that_the_next_block_depends_on(
    vae: Callable[[], AutoencoderKLWan], sizes: list[int], data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(3)
    blocks = list((10 * torch.randn((4, sum(sizes), 4, 4), generator=generator)).split(sizes, dim=1))
    at = data.draw(st.integers(0, len(sizes) - 1), "at")
    frames_at_once = data.draw(st.sampled_from([1, 2, None]), "frames_at_once")
    assert _taken_over(partial(_decoder, vae(), frames_at_once), blocks, at)


def test_an_encoders_state_too() -> None:
    video = _video(_residual(), 13)
    first, other = WanCodec(_residual()).encoder(), WanCodec(_residual()).encoder()
    assert first.state() == {}
    for start, end in [(0, 1), (1, 9)]:
        first.encode(video[start:end])
        other.restore(first.state())
    wanted = first.encode(video[9:])
    assert torch.equal(other.encode(video[9:]), wanted)
    other.reset()
    assert torch.equal(other.encode(video[:1]), WanCodec(_residual()).encoder().encode(video[:1]))


def test_a_state_that_is_another_codecs_is_refused() -> None:
    decoder, other = _decoder(_plain()), _decoder(deepcopy(_plain()).to(torch.bfloat16))
    decoder.decode(_latents()[:, :2])
    kept = decoder.state()
    for stray in ({"99": torch.zeros(1)}, {"-1": torch.zeros(1)}, kept | {"weights": torch.zeros(1)}):
        with pytest.raises(ModelError, match="is not of this codec"):
            decoder.restore(stray)
    with pytest.raises(ModelError, match=r"is torch\.float32, the codec computes in torch\.bfloat16"):
        other.restore(kept)
    decoder.restore({})
    assert decoder.state() == {}


# -- frames --------------------------------------------------------------------------------------


def test_frames_are_the_specs() -> None:
    decoder = _decoder(_patched())
    counts = [len(decoder.decode(_latents()[:, start : start + 2])) for start in (0, 2, 4)]
    assert counts == [TINY_SPEC.pixel_frames(block) for block in range(3)] == [3, 4, 4]


def test_frames_are_pixels_of_the_specs_size() -> None:
    frames = _decoder(_patched()).decode(_latents()[:, :2])
    assert frames.shape == (3, TINY_SPEC.pixel_height, TINY_SPEC.pixel_width, 3)
    assert frames.is_contiguous()


def test_skipping_zero_taps_changes_work_but_no_frame() -> None:
    """Convolutions that read earlier frames stay as they are; of those whose taps there are zero, a third is run."""
    vae = deepcopy(_plain())
    zeroed = [m for m in vae.decoder.modules() if isinstance(m, WanCausalConv3d) and m.kernel_size == (3, 3, 3)][::2]
    for conv in zeroed:
        conv.weight[:, :, :-1] = 0

    def run() -> tuple[Tensor, int]:
        decoder = _decoder(vae, None)
        with FlopCounterMode(display=False) as counter:
            video = torch.cat([decoder.decode(block) for block in _latents().split(2, dim=1)])
        return video, counter.get_total_flops()

    wanted, before = run()
    skip_zero_taps(vae)
    found, after = run()
    assert _differ(found, wanted) <= 1
    assert (found == wanted).float().mean() > 0.999
    assert 0.5 < after / before < 0.9  # about half of the convolutions at a third of their cost


def test_brighter_than_white_is_white() -> None:
    """A thousand times the contrast drives what is above grey to 255 and what is below to 0; nothing wraps round."""
    vae = deepcopy(_plain())
    vae.decoder.conv_out.bias.zero_()
    frames = _decoder(vae).decode(_latents())
    vae.decoder.conv_out.weight.mul_(1000)
    driven = _decoder(vae).decode(_latents())
    assert driven[frames > 129].unique().tolist() == [255]
    assert driven[frames < 126].unique().tolist() == [0]
