"""Few-step flow matching, with noise that depends only on (seed, block, step).

x_sigma = (1 - sigma) x0 + sigma noise, so the model's flow (noise - x0) gives x0 = x_sigma - sigma flow. Each step
predicts x0 and, but for the last, adds fresh noise of the next level: placement and timing cannot change a number.

Shape suffixes: C latent channels, T latent frames, h, w latent positions.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from models.device import to_device
from models.spec import ModelSpec


def block_noise(spec: ModelSpec, seed: int, block: int, step: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise of a block's latents at a denoise step, [C, T, h, w] float32.

    Drawn on the CPU whatever the device, so that a GPU and a CPU start from the same numbers.
    """
    key = hashlib.sha256(f"blockcascade noise {seed} {block} {step}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)
    shape = (spec.latent_channels, spec.block_frames(block), spec.latent_height, spec.latent_width)
    return to_device(torch.randn(shape, generator=generator), device)


def predict_clean(noisy_CThw: Tensor, flow_CThw: Tensor, sigma: float) -> Tensor:
    """The clean latents that a flow prediction implies, in float32."""
    return noisy_CThw.float() - sigma * flow_CThw.float()


def renoise(clean_CThw: Tensor, noise_CThw: Tensor, sigma: float) -> Tensor:
    """Clean latents brought to the noise level `sigma`."""
    return (1 - sigma) * clean_CThw + sigma * noise_CThw


def after_step(spec: ModelSpec, noisy_CThw: Tensor, flow_CThw: Tensor, seed: int, block: int, step: int) -> Tensor:
    """What a denoise step leaves behind: the next step's input, or after the last step the clean latents."""
    sigmas = spec.block_sigmas(block)
    clean = predict_clean(noisy_CThw, flow_CThw, sigmas[step])
    if step == len(sigmas) - 1:
        return clean
    return renoise(clean, block_noise(spec, seed, block, step + 1, clean.device), sigmas[step + 1])
