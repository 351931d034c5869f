"""Small random autoencoders of each published build, and what goes through them."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from models.codec import StreamDecoder
from models.vae import WanCodec
from tests.tiny import tiny_vae

FRAMES = 6  # latent


@cache
def plain() -> AutoencoderKLWan:
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


patched = cache(tiny_vae)


@cache
def residual() -> AutoencoderKLWan:
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


def latents() -> Tensor:
    """[C, T, h, w], wide enough to fill the range of pixels."""
    return 10 * torch.randn((4, FRAMES, 4, 4), generator=torch.Generator().manual_seed(0))


def video_for(vae: AutoencoderKLWan, frames: int) -> Tensor:
    """uint8 [F, H, W, 3]: 4x4 latents."""
    side = 4 * 2 ** len(vae.config.temperal_downsample) * (vae.config.patch_size or 1)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (frames, side, side, 3), dtype=torch.uint8, generator=generator)


def decoder_of(vae: AutoencoderKLWan, frames_at_once: int | None = 1) -> StreamDecoder:
    return WanCodec(vae, frames_at_once=frames_at_once).decoder()


EVERY = pytest.mark.parametrize("vae", [patched, plain, residual], ids=["pixel patch", "plain", "residual"])
