"""A model of random numbers in a spec's shapes: what takes as long as a checkpoint, where there is none."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from models.blank import blank_wan, filled, wan_shapes
from models.loaded import LoadedModel
from models.spec import ModelSpec
from models.vae import WanCodec
from models.vae_spec import VaeSpec
from models.wan import CausalWan

SPREAD = 0.02  # as weights usually begin


def random_model(
    spec: ModelSpec, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu", seed: int = 0
) -> LoadedModel:
    """Transformer, Wan autoencoder and text side; its video is noise, the same for the same seed and device.

    The weights are made on the device, one at a time. `dtype`: without one, float32 if the spec's weights take four
    bytes, else bfloat16. Any text is a prompt; its embedding is random too, and takes no encoder.
    """
    if dtype is None:
        dtype = torch.float32 if spec.weight_bytes_per_parameter == 4 else torch.bfloat16
    generator = torch.Generator(device).manual_seed(seed)
    shapes = wan_shapes(spec)

    def weight(name: str) -> Tensor:
        return _random(name, shapes[name].shape, dtype, generator)

    wan = CausalWan(filled(blank_wan(spec), weight, device), spec).eval()
    vae = _random_vae(spec.vae, dtype, generator)

    def embed(prompt: str) -> Tensor:
        own = torch.Generator().manual_seed(zlib.crc32(prompt.encode()))
        return torch.randn(spec.text_length, spec.text_dim, generator=own)

    return LoadedModel(spec, wan, WanCodec(vae), embed)


def vae_config(spec: VaeSpec) -> dict[str, Any]:
    """Arguments of diffusers' `AutoencoderKLWan`, which names the temporal levels from the pixels to the latents."""
    numbers = 3 * spec.pixel_patch**2
    return {
        "base_dim": spec.decoder_dim,
        "z_dim": spec.latent_channels,
        "dim_mult": list(spec.dim_mult),
        "num_res_blocks": spec.residual_blocks,
        "temperal_downsample": list(reversed(spec.temporal_upsample)),
        "latents_mean": [0.0] * spec.latent_channels,
        "latents_std": [1.0] * spec.latent_channels,
        "is_residual": spec.wide_upsample,
        "in_channels": numbers,
        "out_channels": numbers,
        "patch_size": None if spec.pixel_patch == 1 else spec.pixel_patch,
        "scale_factor_temporal": spec.stride[0],
        "scale_factor_spatial": spec.stride[1],
    }


def _random_vae(spec: VaeSpec, dtype: torch.dtype, generator: torch.Generator) -> AutoencoderKLWan:
    with torch.device("meta"):
        vae = AutoencoderKLWan(**vae_config(spec))
    shapes = {name: value.shape for name, value in vae.state_dict().items()}
    vae.load_state_dict({name: _random(name, shape, dtype, generator) for name, shape in shapes.items()}, assign=True)
    return vae.requires_grad_(False).eval()


def _random(name: str, shape: torch.Size, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """A weight of that name; a norm's scales by about one, so that numbers neither die out nor grow from layer on."""
    value = torch.empty(shape, dtype=dtype, device=generator.device).normal_(0, SPREAD, generator=generator)
    is_scale = name.endswith("gamma") or (".norm" in name and name.endswith("weight"))
    return value.add_(1) if is_scale else value
