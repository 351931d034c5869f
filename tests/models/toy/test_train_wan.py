"""Training shows the transformer what inference will: its blocks, and its noise levels."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from models.checkpoint import wan_config
from models.masked import MaskedAttention
from models.toy import train_wan as training
from models.toy.grammar import Scene, scenes
from models.toy.model import embed_scene
from models.toy.render import render
from models.toy.train_vae import CONFIG, encode
from models.toy.train_wan import (
    BLOCKS_PER_CLIP,
    SPEC,
    STREAM_BLOCKS,
    _any_level,
    _blocks,
    _loss,
    _noise_levels,
    encode_streams,
    train_wan,
)

LADDER = (*SPEC.sigmas, 0.0)
SEEN: list[Scene] = [scene for scene in scenes() if not scene.held_out][:2]


def _latents() -> Tensor:
    """[S, C, T, h, w]."""
    shape = (2, SPEC.latent_channels, STREAM_BLOCKS * SPEC.frames_per_block, SPEC.latent_height, SPEC.latent_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# -- which blocks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "frames"),
    [
        (1, [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]),
        (5, [[0, 1, 2], [15, 16, 17], [18, 19, 20], [21, 22, 23]]),
        (STREAM_BLOCKS - 3, [[0, 1, 2], [27, 28, 29], [30, 31, 32], [33, 34, 35]]),
    ],
)
def test_a_clip_is_the_sink_and_three_blocks(first: int, frames: list[list[int]]) -> None:
    stream = torch.arange(36.0).view(1, 36, 1, 1).expand(2, 36, 4, 4)
    clip = _blocks(stream, first)
    assert clip.shape == (BLOCKS_PER_CLIP, 2, 3, 4, 4)
    assert clip[:, 1, :, 3, 3].tolist() == frames


def test_a_clip_is_what_a_block_reads_and_itself() -> None:
    assert SPEC.context_blocks(9) == (0, 7, 8)
    assert len(SPEC.context_blocks(9)) + 1 == BLOCKS_PER_CLIP


def test_streams_cover_the_blocks_that_are_drawn() -> None:
    """And each scene is encoded as if alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLWan(**CONFIG).eval()
    latents = encode_streams(vae, SEEN)
    assert latents.shape == _latents().shape
    frames = sum(SPEC.pixel_frames(block) for block in range(STREAM_BLOCKS))
    with torch.no_grad():
        alone = encode(vae, render(SEEN[1], frames)[None])
    torch.testing.assert_close(latents[1:], alone, atol=1e-4, rtol=1e-4)


# -- which noise ---------------------------------------------------------------------------------


def _drawn(count: int = 4000) -> list[tuple[float, ...]]:
    return [tuple(_noise_levels(random.Random(seed))) for seed in range(count)]


def test_levels_are_shares_of_noise() -> None:
    for levels in _drawn():
        assert len(levels) == BLOCKS_PER_CLIP
        assert all(0 <= level <= 1 for level in levels)
        assert any(levels) or levels == (0, 0, 0, 0)


def test_every_cascade_is_drawn() -> None:
    """At each offset but the sequential one, the newest block at each level and older ones as `generate` reads them."""
    n = SPEC.steps
    wanted = {
        tuple(LADDER[min(stage + back * (offset - 1), n)] for back in (3, 2, 1, 0))
        for offset in range(1, n + 1)
        for stage in range(n + 1)
    }
    assert wanted <= set(_drawn())


def test_clean_context_of_every_length_is_drawn_with_each_step() -> None:
    drawn = _drawn()
    for clean in range(BLOCKS_PER_CLIP):
        mine = [levels for levels in drawn if not any(levels[:clean]) and all(levels[clean:])]
        assert {levels[-1] for levels in mine} >= set(SPEC.sigmas)
    assert sum(not any(levels[:3]) and levels[3] > 0 for levels in drawn) > len(drawn) / 10


def test_levels_off_the_ladder_are_drawn_too_but_less_often() -> None:
    single = [_any_level(random.Random(seed)) for seed in range(2000)]
    off = [level for level in single if level not in LADDER]
    assert all(0 <= level <= 1 for level in single)
    assert 0.2 < len(off) / len(single) < 0.3
    assert sum(level > 0.5 for level in off) / len(off) > 0.7  # warped as the sampler's are: 5/6 lie above a half
    assert min(off) < 0.1


# -- the loss ------------------------------------------------------------------------------------


def _transformer() -> WanTransformer3DModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WanTransformer3DModel(**wan_config(SPEC))
    model.set_attn_processor(MaskedAttention())
    return model


def test_a_model_that_says_zero_errs_by_the_flows_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and latents are both standard normal, so noise - clean has a mean square of 2."""
    monkeypatch.setattr(training, "BATCH", 6)
    model = _transformer().requires_grad_(False)
    for weight in model.proj_out.parameters():
        weight.zero_()
    text = torch.stack([embed_scene(scene) for scene in SEEN])
    loss = _loss(model, _latents(), text, random.Random(0))
    assert loss.item() == pytest.approx(2, rel=0.1)


def test_only_what_a_block_can_know_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Block b's latents are all 100 x 2^b, so a flow of zero errs there by 4^b (times 100 squared).

    From a stream's beginning any noisy block counts; from the middle all but the one that follows the sink.
    """
    monkeypatch.setattr(training, "BATCH", 1)
    model = _transformer().requires_grad_(False)
    for weight in model.proj_out.parameters():
        weight.zero_()
    size = 100 * 2.0 ** torch.arange(STREAM_BLOCKS).repeat_interleave(SPEC.frames_per_block)
    latents = size.view(1, 1, -1, 1, 1).expand(1, SPEC.latent_channels, -1, SPEC.latent_height, SPEC.latent_width)
    clips = [(0, 1, 2, 3), *((0, first + 1, first + 2) for first in range(2, STREAM_BLOCKS - 2))]
    noisy = sorted({some for clip in clips for n in range(len(clip) + 1) for some in combinations(clip, n)})
    allowed = torch.tensor([sum(4.0**b for b in some) / max(1, len(some)) for some in noisy])
    seen = set()
    for seed in range(40):
        loss = _loss(model, latents, embed_scene(SEEN[0])[None], random.Random(seed)).item() / 100**2
        difference = (allowed - loss).abs() / allowed.clamp(min=0.1)
        assert difference.min() < 0.03
        seen.add(noisy[int(difference.argmin())])
    assert {len(some) for some in seen} == {0, 1, 2, 3, 4}


def test_training_is_a_function_of_its_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "BATCH", 2)

    def weights(name: str, seed: int) -> Tensor:
        (tmp_path / name).mkdir()
        trained: Tensor = train_wan(tmp_path / name, _latents(), SEEN, seed, steps=1).proj_out.weight.detach()
        return trained

    first = weights("first", 0)
    assert torch.equal(weights("again", 0), first)
    assert not torch.equal(weights("other", 1), first)
