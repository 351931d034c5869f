"""Trains the toy's transformer on the latents of its clips.

A training clip is four blocks: the stream's first one (the sink) and three in a row from anywhere in the stream, or
the first four. Every block gets a noise level of its own, drawn to look like what inference reads: clean context,
the staggered levels of a cascade, or anything at all.

Shape suffixes: G clips, K blocks of a clip, S scenes, C channels, T latent frames, h, w latent positions.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from models.catalog import load_spec
from models.checkpoint import wan_config
from models.masked import MaskedAttention, masked_forward
from models.toy.grammar import Scene
from models.toy.model import embed_scene
from models.toy.render import render
from models.toy.train_vae import encode
from models.toy.training import Trainer

SPEC = load_spec("toy")
BLOCKS_PER_CLIP = 4  # the window: sink, two earlier blocks, the block itself
STREAM_BLOCKS = 12  # covers a whole period of the motion (under 7 blocks) from any phase
BATCH = 32
STEPS = 3800
# Inference reads context that the model itself made; a little unannounced noise makes it forgive its own errors.
CONTEXT_NOISE = 0.15


def train_wan(
    folder: Path, latents_SCThw: Tensor, seen: list[Scene], seed: int, steps: int = STEPS, *, compiled: bool = False
) -> WanTransformer3DModel:
    """The transformer trained on the scenes' normalised latents; goes on from a checkpoint in `folder`.

    `compiled` needs a C++ compiler and nearly halves the time.
    """
    text_SLX = torch.stack([embed_scene(scene) for scene in seen])
    torch.manual_seed(seed)
    wan = WanTransformer3DModel(**wan_config(SPEC))
    wan.set_attn_processor(MaskedAttention())
    for layer in wan.blocks if compiled else ():
        layer.compile()
    trainer = Trainer(wan, folder / "wan.ckpt", steps, 1e-3, average=0.998)
    for step in trainer.remaining():
        draw = random.Random(f"{seed}/wan/{step}")
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(wan, latents_SCThw, text_SLX, draw)
        trainer.descend(loss)
    return wan.eval()


@torch.no_grad()
def encode_streams(vae: AutoencoderKLWan, chosen: list[Scene]) -> Tensor:
    """Latent means of each scene's first STREAM_BLOCKS blocks, [S, C, T, h, w]."""
    frames = 1 + SPEC.vae_stride[0] * (STREAM_BLOCKS * SPEC.frames_per_block - 1)
    batches = [chosen[i : i + 16] for i in range(0, len(chosen), 16)]
    return torch.cat([encode(vae, torch.stack([render(s, frames) for s in batch])) for batch in batches])


def _loss(wan: WanTransformer3DModel, latents_SCThw: Tensor, text_SLX: Tensor, draw: random.Random) -> Tensor:
    generator = torch.Generator().manual_seed(draw.randrange(2**62))
    which = [draw.randrange(len(latents_SCThw)) for _ in range(BATCH)]
    firsts = [1 if draw.random() < 0.4 else draw.randrange(2, STREAM_BLOCKS - 2) for _ in range(BATCH)]
    clean = torch.stack([_blocks(latents_SCThw[s], first) for s, first in zip(which, firsts, strict=True)])
    levels_GK = torch.tensor([_noise_levels(draw) for _ in range(BATCH)])
    sigma = levels_GK.view(*levels_GK.shape, 1, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=generator)
    slip = torch.randn(clean.shape, generator=generator) * (
        CONTEXT_NOISE * torch.rand(sigma.shape, generator=generator)
    )
    noisy = torch.where(sigma == 0, clean + slip, (1 - sigma) * clean + sigma * noise)
    flow = masked_forward(wan, SPEC, noisy, 1000 * levels_GK, text_SLX[which])
    error_GK = (flow.float() - (noise - clean)).square().flatten(2).mean(2)
    # The stream's first block follows from the prompt, but in the middle of a stream the first block after the sink
    # cannot know where the shape is.
    begins_G1 = torch.tensor([[first == 1] for first in firsts])
    knowable = (begins_G1 | (torch.arange(BLOCKS_PER_CLIP) != 1)) & (levels_GK > 0)
    return (error_GK * knowable).sum() / knowable.sum().clamp(min=1)


def _blocks(latents_CThw: Tensor, first: int) -> Tensor:
    """The stream's first block and three from block `first`, [K, C, T, h, w]."""
    size = SPEC.frames_per_block
    tail = latents_CThw[:, first * size : (first + 3) * size]
    return torch.cat([latents_CThw[:, :size], tail], 1).unflatten(1, (BLOCKS_PER_CLIP, size)).transpose(0, 1)


def _noise_levels(draw: random.Random) -> list[float]:
    """A noise level 0..1 per block: clean context and one noisy block, a cascade's staircase, or independent."""
    kind = draw.random()
    ladder = (*SPEC.sigmas, 0.0)
    if kind < 0.5:
        # No clean block twice as often: only there does the prompt alone say where the shape is.
        clean = draw.choice((0, *range(BLOCKS_PER_CLIP)))
        return [0.0 if k < clean else _any_level(draw) for k in range(BLOCKS_PER_CLIP)]
    if kind < 0.85:
        stagger, newest = draw.randrange(SPEC.steps), draw.randrange(SPEC.passes)
        return [ladder[min(newest + back * stagger, SPEC.steps)] for back in reversed(range(BLOCKS_PER_CLIP))]
    return [_any_level(draw) for _ in range(BLOCKS_PER_CLIP)]


def _any_level(draw: random.Random) -> float:
    if draw.random() < 0.75:
        return draw.choice(SPEC.sigmas)
    uniform = draw.random()
    return SPEC.shift * uniform / (1 + (SPEC.shift - 1) * uniform)
