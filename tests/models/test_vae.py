"""Decoding block by block is decoding the whole clip.

Compared within one of 256 levels: kernels add up in another order for other lengths, and a sum may round either way.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from models.vae import StreamingDecoder, skip_zero_taps
from tests.models.variants import tiny
from tests.tiny import TINY_SPEC

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


def _patched() -> AutoencoderKLWan:
    vae = tiny().vae
    assert vae is not None
    return vae


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


every = pytest.mark.parametrize("vae", [_patched, _plain, _residual], ids=["pixel patch", "plain", "residual"])


@every
@pytest.mark.parametrize("sizes", [(1,) * 6, (2, 2, 2), (3, 3), (6,), (1, 2, 3), (3, 1, 2)], ids=str)
def test_blocks_join_into_the_clip(vae: Callable[[], AutoencoderKLWan], sizes: tuple[int, ...]) -> None:
    model = vae()
    decoder = StreamingDecoder(model)
    video = torch.cat([decoder.decode(block) for block in _latents().split(list(sizes), dim=1)])
    wanted = _whole(model, _latents())
    assert wanted.float().std() > 10
    assert video.dtype == torch.uint8
    assert _differ(video, wanted) <= 1
    assert (video == wanted).float().mean() > 0.999


@every
def test_a_stream_remembers_what_came_before(vae: Callable[[], AutoencoderKLWan]) -> None:
    """Else the test above would hold of blocks decoded alone."""
    model = vae()
    first, second = _latents().split(3, dim=1)
    decoder, fresh = StreamingDecoder(model), StreamingDecoder(model)
    decoder.decode(first)
    fresh.decode(_latents()[:, 3:])
    assert _differ(decoder.decode(second), fresh.decode(second)) > 10


def test_reset_forgets_the_stream() -> None:
    decoder = StreamingDecoder(_patched())
    first = decoder.decode(_latents()[:, :2])
    decoder.decode(_latents()[:, 2:])
    decoder.reset()
    assert torch.equal(decoder.decode(_latents()[:, :2]), first)


def test_streams_on_one_autoencoder_do_not_mix() -> None:
    alone = StreamingDecoder(_patched())
    wanted = [alone.decode(_latents()[:, i : i + 2]) for i in (0, 2)]
    one, other = StreamingDecoder(_patched()), StreamingDecoder(_patched())
    found = [one.decode(_latents()[:, :2])]
    other.decode(_latents()[:, 3:])
    _whole(_patched(), _latents())
    found.append(one.decode(_latents()[:, 2:4]))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_frames_are_the_specs() -> None:
    decoder = StreamingDecoder(_patched())
    counts = [len(decoder.decode(_latents()[:, start : start + 2])) for start in (0, 2, 4)]
    assert counts == [TINY_SPEC.pixel_frames(block) for block in range(3)] == [3, 4, 4]


def test_frames_are_pixels_of_the_specs_size() -> None:
    frames = StreamingDecoder(_patched()).decode(_latents()[:, :2])
    assert frames.shape == (3, TINY_SPEC.pixel_height, TINY_SPEC.pixel_width, 3)
    assert frames.is_contiguous()


def test_skipping_zero_taps_changes_work_but_no_frame() -> None:
    """Convolutions that read earlier frames stay as they are; of those whose taps there are zero, a third is run."""
    vae = deepcopy(_plain())
    zeroed = [m for m in vae.decoder.modules() if isinstance(m, WanCausalConv3d) and m.kernel_size == (3, 3, 3)][::2]
    for conv in zeroed:
        conv.weight[:, :, :-1] = 0

    def run() -> tuple[Tensor, int]:
        decoder = StreamingDecoder(vae)
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
    frames = StreamingDecoder(vae).decode(_latents())
    vae.decoder.conv_out.weight.mul_(1000)
    driven = StreamingDecoder(vae).decode(_latents())
    assert driven[frames > 129].unique().tolist() == [255]
    assert driven[frames < 126].unique().tolist() == [0]
