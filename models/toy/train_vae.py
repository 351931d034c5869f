"""Trains the toy's `AutoencoderKLWan` on rendered clips.

Shape suffixes: B clips, C channels, F pixel frames, T latent frames, H, W pixels, h, w latent positions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, patchify, unpatchify
from torch import Tensor

from models.toy.grammar import scenes
from models.toy.render import BACKGROUND, render
from models.toy.training import Trainer
from models.vae import skip_zero_taps

CHANNELS = 16  # latent channels
CONFIG = {
    "base_dim": 24,
    "z_dim": CHANNELS,
    "dim_mult": [1, 2, 2],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    # Pixels are folded 4x4 before the first convolution, as Wan 2.2's autoencoder folds them 2x2:
    # at 64x64 a plain decoder costs thirty times one pass of the toy's transformer.
    "patch_size": 4,
    "in_channels": 48,
    "out_channels": 48,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 16,
}
KL_WEIGHT = 1e-4


class Stage(NamedTuple):
    """One leg of the training.

    Many short clips first, as colours and shapes differ between clips; then longer ones, so that the temporal
    convolutions see what a long stream brings; then the decoder alone, so that edges get sharp. `margin` is how far
    around the shape pixels weigh as much as its own: without it, what is painted too much costs less than what is
    painted too little, and every shape grows.
    """

    name: str
    frames: int
    batch: int
    steps: int
    peak_rate: float
    margin: int = 0
    decoder_only: bool = False


STAGES = (
    Stage("short", frames=5, batch=40, steps=1500, peak_rate=2e-3),
    Stage("long", frames=17, batch=12, steps=400, peak_rate=1e-3),
    Stage("sharp", frames=13, batch=14, steps=1100, peak_rate=1.5e-3, margin=4, decoder_only=True),
)


def train_vae(folder: Path, seed: int, stages: Sequence[Stage] = STAGES) -> AutoencoderKLWan:
    """The trained autoencoder, its latents not normalised yet; goes on from the checkpoints in `folder`."""
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(**CONFIG, latents_mean=[0.0] * CHANNELS, latents_std=[1.0] * CHANNELS)
    forget_past_taps(vae)
    for stage in stages:
        vae.encoder.requires_grad_(not stage.decoder_only)
        vae.quant_conv.requires_grad_(not stage.decoder_only)
        trainer = Trainer(vae, folder / f"vae-{stage.name}.ckpt", stage.steps, stage.peak_rate, average=0.995)
        for step in trainer.remaining():
            draw = random.Random(f"{seed}/vae/{stage.name}/{step}")
            with torch.autocast("cpu", torch.bfloat16):
                loss = _loss(vae, stage, draw)
            trainer.descend(loss)
    return vae.eval()


def forget_past_taps(vae: AutoencoderKLWan) -> None:
    """Zeroes what the 3x3x3 convolutions read of earlier frames, and keeps it so while training.

    Trained on short clips with those taps, the decoder's colours drift in long ones (reconstruction error 0.04 within
    the clips' length, 0.22 at twice of it). Motion still passes through the strided temporal convolutions, whose
    reach the clips cover. The taps stay in the weights, so the shipped model is a plain `AutoencoderKLWan`.
    """
    for module in vae.modules():
        if isinstance(module, WanCausalConv3d) and module.kernel_size == (3, 3, 3):
            with torch.no_grad():
                module.weight[:, :, :-1] = 0
    skip_zero_taps(vae)


class Stream:
    """Encodes a clip and decodes it again, chunk by chunk, both halves remembering what came before."""

    def __init__(self, vae: AutoencoderKLWan, generator: torch.Generator | None = None) -> None:
        self._vae = vae
        self._generator = generator
        self._encoder_memory: list[Tensor | str | None] = [None] * vae._cached_conv_counts["encoder"]
        self._decoder_memory: list[Tensor | str | None] = [None] * vae._cached_conv_counts["decoder"]

    def encode(self, video_BCFHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, [B, C, T, h, w], of the next 4 T pixel frames; the stream's first chunk is 1 frame."""
        folded = patchify(video_BCFHW, self._vae.config.patch_size)
        hidden = self._vae.encoder(folded, feat_cache=self._encoder_memory, feat_idx=[0])
        mean, logvar = self._vae.quant_conv(hidden).chunk(2, 1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, latents_BCThw: Tensor, *, first: bool) -> Tensor:
        """The pixel frames [B, C, F, H, W] of the next latents."""
        hidden = self._vae.post_quant_conv(latents_BCThw)
        pixels = self._vae.decoder(hidden, feat_cache=self._decoder_memory, feat_idx=[0], first_chunk=first)
        return unpatchify(pixels, self._vae.config.patch_size)

    def loss(self, video_BCFHW: Tensor, *, first: bool, margin: int) -> Tensor:
        """Reconstruction error of the next chunk, the shape's pixels weighted, plus the KL term."""
        mean, logvar = self.encode(video_BCFHW)
        noise = torch.randn(mean.shape, generator=self._generator)
        error = (self.decode(mean + (0.5 * logvar).exp() * noise, first=first) - video_BCFHW).abs()
        back = torch.tensor(BACKGROUND, dtype=torch.float32).view(1, 3, 1, 1, 1) / 127.5 - 1
        painted = ((video_BCFHW - back).abs().amax(1, keepdim=True) > 0.05).float()
        painted = F.max_pool3d(painted, (1, 2 * margin + 1, 2 * margin + 1), stride=1, padding=(0, margin, margin))
        # The shape covers a twentieth of a frame; unweighted, a black frame would already score well.
        weighted = (error * (1 + 6 * painted)).mean()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return weighted + KL_WEIGHT * kl


def encode(vae: AutoencoderKLWan, video_BCFHW: Tensor) -> Tensor:
    """Latent means [B, C, T, h, w] of whole clips of 1 + 4 (T - 1) pixel frames, in two chunks."""
    stream = Stream(vae)
    return torch.cat([stream.encode(video_BCFHW[:, :, :1])[0], stream.encode(video_BCFHW[:, :, 1:])[0]], 2)


def _loss(vae: AutoencoderKLWan, stage: Stage, draw: random.Random) -> Tensor:
    stream = Stream(vae, torch.Generator().manual_seed(draw.randrange(2**62)))
    video = _clips(stage, draw)
    first = stream.loss(video[:, :, :1], first=True, margin=stage.margin)
    rest = stream.loss(video[:, :, 1:], first=False, margin=stage.margin)
    return (first + (stage.frames - 1) * rest) / stage.frames


def _clips(stage: Stage, draw: random.Random) -> Tensor:
    seen = [scene for scene in ALL_SCENES if not scene.held_out]
    chosen = [(draw.choice(seen), 4 * draw.randrange(48)) for _ in range(stage.batch)]
    return torch.stack([render(scene, stage.frames, start) for scene, start in chosen])


ALL_SCENES = tuple(scenes())
