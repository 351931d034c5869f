"""One forward over a whole clip, in which no block sees a later one and no clip sees another."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from models.checkpoint import wan_config
from models.masked import MaskedAttention, block_causal_bias, masked_forward
from tests.tiny import TINY_SPEC, embed

CLIPS, BLOCKS = 2, 3


@pytest.fixture(scope="module")
def transformer() -> WanTransformer3DModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = WanTransformer3DModel(**wan_config(TINY_SPEC)).requires_grad_(False)
    model.set_attn_processor(MaskedAttention())
    return model


def _inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and text of two clips."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((CLIPS, BLOCKS, 4, 2, 4, 4), generator=generator)
    return latents, 1000 * torch.rand((CLIPS, BLOCKS), generator=generator), torch.stack([embed("one"), embed("two")])


def test_bias_by_hand() -> None:
    """Two blocks of two tokens."""
    no = float("-inf")
    assert block_causal_bias(2, 2).tolist() == [[0, 0, no, no], [0, 0, no, no], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("changed", range(BLOCKS))
@pytest.mark.parametrize("what", ["latents", "timesteps"])
def test_a_change_reaches_its_block_and_later_ones_of_its_clip(
    transformer: WanTransformer3DModel, what: str, changed: int
) -> None:
    latents, timesteps, prompts = _inputs()
    before = masked_forward(transformer, TINY_SPEC, latents, timesteps, prompts)
    if what == "latents":
        latents[1, changed] += 1
    else:
        timesteps[1, changed] = 1000 - timesteps[1, changed]
    after = masked_forward(transformer, TINY_SPEC, latents, timesteps, prompts)
    moved = (after - before).abs().flatten(2).amax(2)
    assert moved[0].tolist() == [0] * BLOCKS
    assert (moved[1] > 1e-4).tolist() == [block >= changed for block in range(BLOCKS)]
    assert moved[1, :changed].tolist() == [0] * changed


def test_a_prompt_reaches_its_own_clip_only(transformer: WanTransformer3DModel) -> None:
    latents, timesteps, prompts = _inputs()
    before = masked_forward(transformer, TINY_SPEC, latents, timesteps, prompts)
    prompts[0] = embed("three")
    moved = (masked_forward(transformer, TINY_SPEC, latents, timesteps, prompts) - before).abs().flatten(2).amax(2)
    assert (moved > 1e-4).tolist() == [[True] * BLOCKS, [False] * BLOCKS]


def test_clips_in_a_batch_are_clips_alone(transformer: WanTransformer3DModel) -> None:
    latents, timesteps, prompts = _inputs()
    together = masked_forward(transformer, TINY_SPEC, latents, timesteps, prompts)
    alone = [
        masked_forward(transformer, TINY_SPEC, latents[g : g + 1], timesteps[g : g + 1], prompts[g : g + 1])
        for g in range(CLIPS)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=0)


def test_gradients_reach_every_weight() -> None:
    """It is there to train with."""
    model = WanTransformer3DModel(**wan_config(TINY_SPEC))
    model.set_attn_processor(MaskedAttention())
    masked_forward(model, TINY_SPEC, *_inputs()).square().mean().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []
