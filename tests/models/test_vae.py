"""Decoding and encoding block by block is decoding and encoding the whole clip.

One latent frame at a time it is so bit for bit; several at a time within rounding, which is one of 256 levels: kernels
add up in another order for other lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.errors import ModelError
from models.vae import StreamingDecoder, WanCodec, decode_stream, skip_zero_taps
from tests.models.vaes import EVERY, FRAMES, decoder_of, latents, patched, plain, residual, video_for
from tests.tiny import TINY_SPEC


def _whole(vae: AutoencoderKLWan, latents_CThw: Tensor) -> Tensor:
    """diffusers' decode of the clip, as its pipelines call it: latents brought back to scale first."""
    scale = [torch.tensor(getattr(vae.config, name)).view(-1, 1, 1, 1) for name in ("latents_std", "latents_mean")]
    video: Tensor = vae.decode((latents_CThw * scale[0] + scale[1])[None], return_dict=False)[0][0]
    return ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0)


def _differ(a: Tensor, b: Tensor) -> int:
    assert a.shape == b.shape
    return int((a.int() - b.int()).abs().max())


cuts = pytest.mark.parametrize("sizes", [(1,) * 6, (2, 2, 2), (3, 3), (6,), (1, 2, 3), (3, 1, 2)], ids=str)


# -- decoding ------------------------------------------------------------------------------------


@EVERY
@cuts
def test_blocks_join_into_the_clip(vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...]) -> None:
    blocks = latents().split(list(sizes), dim=1)
    video = decode_stream(WanCodec(vae()), blocks)
    assert video.dtype == torch.uint8
    assert video.float().std() > 10
    assert torch.equal(video, _whole(vae(), latents()))


@EVERY
@cuts
@pytest.mark.parametrize("frames_at_once", [2, None])
def test_several_frames_at_once_differ_by_rounding_only(
    vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...], frames_at_once: int | None
) -> None:
    blocks = latents().split(list(sizes), dim=1)
    video, wanted = decode_stream(WanCodec(vae(), frames_at_once=frames_at_once), blocks), _whole(vae(), latents())
    assert _differ(video, wanted) <= 1
    assert (video == wanted).float().mean() > 0.999


@EVERY
def test_a_stream_remembers_what_came_before(vae: Callable[[], AutoencoderKLWan]) -> None:
    """Else the tests above would hold of blocks decoded alone."""
    model = vae()
    first, second = latents().split(3, dim=1)
    decoder, fresh = decoder_of(model), decoder_of(model)
    decoder.decode(first)
    fresh.decode(latents()[:, 3:])
    assert _differ(decoder.decode(second), fresh.decode(second)) > 10


def test_reset_forgets_the_stream() -> None:
    decoder = decoder_of(patched())
    first = decoder.decode(latents()[:, :2])
    decoder.decode(latents()[:, 2:])
    decoder.reset()
    assert decoder.state() == {}
    assert torch.equal(decoder.decode(latents()[:, :2]), first)


def test_streams_on_one_autoencoder_do_not_mix() -> None:
    alone = decoder_of(patched())
    wanted = [alone.decode(latents()[:, i : i + 2]) for i in (0, 2)]
    one, other = decoder_of(patched()), decoder_of(patched())
    found = [one.decode(latents()[:, :2])]
    other.decode(latents()[:, 3:])
    _whole(patched(), latents())
    found.append(one.decode(latents()[:, 2:4]))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_a_bare_autoencoder_is_decoded_as_its_codec() -> None:
    blocks = latents().split(2, dim=1)
    decoder = StreamingDecoder(plain())
    found = torch.cat([decoder.decode(block) for block in blocks])
    assert torch.equal(found, decode_stream(WanCodec(plain()), blocks))
    decoder.reset()
    assert torch.equal(decoder.decode(blocks[0]), found[:5])


def test_a_decoder_runs_in_its_weights_type() -> None:
    """Latents come in float32 whatever the decoder computes in."""
    half = deepcopy(plain()).to(torch.bfloat16)
    video, wanted = decode_stream(WanCodec(half), [latents()]), _whole(plain(), latents())
    assert 0 < (video.float() - wanted.float()).abs().mean() < 2


# -- encoding ------------------------------------------------------------------------------------


def _encoded(vae: AutoencoderKLWan, video_FHWC: Tensor) -> Tensor:
    """diffusers' encoding of the clip, normalised as its pipelines do."""
    pixels = video_FHWC.permute(3, 0, 1, 2).float() / 127.5 - 1
    mean, std = (torch.tensor(getattr(vae.config, name)).view(-1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    mode: Tensor = vae.encode(pixels[None]).latent_dist.mode()[0]
    return (mode - mean) / std


@pytest.mark.parametrize("vae", [plain, residual], ids=["plain", "residual"])
@cuts
def test_encoded_blocks_join_into_the_clips_latents(
    vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...]
) -> None:
    video = video_for(vae(), 4 * FRAMES - 3)
    pixels = [4 * size - (3 if index == 0 else 0) for index, size in enumerate(sizes)]
    encoder = WanCodec(vae()).encoder()
    latents = torch.cat([encoder.encode(block) for block in video.split(pixels)], dim=1)
    assert latents.shape == (4, FRAMES, 4, 4)
    assert latents.dtype == torch.float32
    assert torch.equal(latents, _encoded(vae(), video))


@pytest.mark.parametrize(("vae", "frames_at_once"), [(plain, None), (residual, 2), (patched, 1), (patched, None)])
def test_other_chunks_encode_to_the_same_within_rounding(
    vae: Callable[[], AutoencoderKLWan], frames_at_once: int | None
) -> None:
    """diffusers takes four pixel frames at a time whatever the stride; the patched one's is two."""
    stride = 2 ** sum(vae().config.temperal_downsample)
    video = video_for(vae(), 9)
    encoder = WanCodec(vae(), frames_at_once=frames_at_once).encoder()
    latents = torch.cat([encoder.encode(block) for block in video.split([1 + stride, 8 - stride])], dim=1)
    torch.testing.assert_close(latents, _encoded(vae(), video), atol=1e-5, rtol=1e-4)


def test_an_encoder_remembers_what_came_before() -> None:
    encoder, fresh = WanCodec(plain()).encoder(), WanCodec(plain()).encoder()
    video = video_for(plain(), 13)
    encoder.encode(video[:5])
    fresh.encode(video[4:9])
    assert (encoder.encode(video[9:]) - fresh.encode(video[9:])).abs().max() > 1e-3


@pytest.mark.parametrize(("before", "frames"), [(0, 0), (0, 4), (0, 7), (5, 1), (5, 6), (5, 0)])
def test_frames_that_make_no_whole_latents_are_refused(before: int, frames: int) -> None:
    encoder = WanCodec(plain()).encoder()
    if before:
        encoder.encode(video_for(plain(), before))
    kept = encoder.state()
    with pytest.raises(ModelError, match=rf"a block of {frames} frames: .* 1 \+ a multiple of 4"):
        encoder.encode(video_for(plain(), frames))
    assert encoder.state().keys() == kept.keys()


def test_frames_survive_the_way_there_and_back_as_diffusers_makes_it() -> None:
    video = video_for(residual(), 9)
    latents = WanCodec(residual()).encoder().encode(video)
    assert torch.equal(decode_stream(WanCodec(residual()), [latents]), _whole(residual(), latents))


# -- frames --------------------------------------------------------------------------------------


def test_frames_are_the_specs() -> None:
    decoder = decoder_of(patched())
    counts = [len(decoder.decode(latents()[:, start : start + 2])) for start in (0, 2, 4)]
    assert counts == [TINY_SPEC.pixel_frames(block) for block in range(3)] == [3, 4, 4]


def test_frames_are_pixels_of_the_specs_size() -> None:
    frames = decoder_of(patched()).decode(latents()[:, :2])
    assert frames.shape == (3, TINY_SPEC.pixel_height, TINY_SPEC.pixel_width, 3)
    assert frames.is_contiguous()


def test_skipping_zero_taps_changes_work_but_no_frame() -> None:
    """Convolutions that read earlier frames stay as they are; of those whose taps there are zero, a third is run."""
    vae = deepcopy(plain())
    zeroed = [m for m in vae.decoder.modules() if isinstance(m, WanCausalConv3d) and m.kernel_size == (3, 3, 3)][::2]
    for conv in zeroed:
        conv.weight[:, :, :-1] = 0

    def run() -> tuple[Tensor, int]:
        decoder = decoder_of(vae, None)
        with FlopCounterMode(display=False) as counter:
            video = torch.cat([decoder.decode(block) for block in latents().split(2, dim=1)])
        return video, counter.get_total_flops()

    wanted, before = run()
    skip_zero_taps(vae)
    found, after = run()
    assert _differ(found, wanted) <= 1
    assert (found == wanted).float().mean() > 0.999
    assert 0.5 < after / before < 0.9  # about half of the convolutions at a third of their cost


def test_brighter_than_white_is_white() -> None:
    """A thousand times the contrast drives what is above grey to 255 and what is below to 0; nothing wraps round."""
    vae = deepcopy(plain())
    vae.decoder.conv_out.bias.zero_()
    frames = decoder_of(vae).decode(latents())
    vae.decoder.conv_out.weight.mul_(1000)
    driven = decoder_of(vae).decode(latents())
    assert driven[frames > 129].unique().tolist() == [255]
    assert driven[frames < 126].unique().tolist() == [0]
