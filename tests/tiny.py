"""A random model small enough to run in milliseconds: its arithmetic is real, its video is noise."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from models.checkpoint import wan_config
from models.loaded import LoadedModel
from models.spec import ModelSpec
from models.vae import WanCodec
from models.vae_spec import VaeSpec
from models.wan import CausalWan

TINY_SPEC = ModelSpec(
    name="tiny",
    source="tests",
    layers=2,
    heads=2,
    head_dim=12,
    ffn_dim=32,
    freq_dim=16,
    text_length=3,
    text_dim=8,
    latent_channels=4,
    latent_height=4,
    latent_width=4,
    vae=VaeSpec(
        decoder_dim=4, latent_channels=4, dim_mult=(1, 1), residual_blocks=1, temporal_upsample=(True,), pixel_patch=2
    ),
    vae_stride=(2, 4, 4),
    frames_per_block=2,
    window=6,
    sink=2,
    relative_sink=True,
    timesteps=(1000, 750, 500),
    tolerates=("sequential", "cascade"),
    weight_bytes_per_parameter=4,
    activation_bytes_per_number=4,
)


def tiny_model(spec: ModelSpec = TINY_SPEC) -> LoadedModel:
    """The same random weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        wan = WanTransformer3DModel(**wan_config(spec)).eval().requires_grad_(False)
    return LoadedModel(spec, CausalWan(wan, spec), WanCodec(tiny_vae()), embed)


def tiny_vae() -> AutoencoderKLWan:
    """A random autoencoder of the tiny spec's shapes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[True],
            latents_mean=[0.1] * 4,
            latents_std=[1.5] * 4,
            patch_size=2,
            in_channels=12,
            out_channels=12,
            scale_factor_temporal=2,
            scale_factor_spatial=4,
        )
    return vae.eval().requires_grad_(False)


def embed(prompt: str) -> Tensor:
    """Text embeddings [3, 8] that depend on the prompt."""
    generator = torch.Generator().manual_seed(sum(prompt.encode()))
    return torch.randn(3, 8, generator=generator)
