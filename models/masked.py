"""One masked forward over whole clips: what training needs, and what the cached forward must equal.

Blocks lie in the batch dimension, each with its own noise level; self-attention joins the blocks of a clip under a
block-causal mask. Shape suffixes as in `models.wan`, with G clips of K blocks each, so B = G x K.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from models.layer import from_patches, split_heads, time_embedding, to_patches, tokens_of
from models.rotary import Rotation, rotate, rotation
from models.spec import ModelSpec


class ClipView(NamedTuple):
    """How the blocks of a clip see one another."""

    blocks: int
    rotation: Rotation  # of all N x K tokens of a clip
    bias_MM: Tensor  # 0 where a token reads another, -inf where not


class MaskedAttention:
    """Attention processor over whole clips; softmax written out, as CPU kernels' backward is slow on few keys."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,  # noqa: ARG002 - diffusers passes it
        rotary_emb: ClipView | None = None,
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(source)), attn.to_v(source)
        query, key, value = (split_heads(attn, x) for x in (query, key, value))
        if rotary_emb is None:
            return attn.to_out[0](_softmax_attention(query, key, value, None).flatten(2))
        blocks = rotary_emb.blocks
        query, key, value = (x.unflatten(0, (-1, blocks)).flatten(1, 2) for x in (query, key, value))
        query, key = rotate(query, rotary_emb.rotation), rotate(key, rotary_emb.rotation)
        mixed = _softmax_attention(query, key, value, rotary_emb.bias_MM)
        return attn.to_out[0](mixed.unflatten(1, (blocks, -1)).flatten(0, 1).flatten(2))


def block_causal_bias(blocks: int, tokens_per_block: int) -> Tensor:
    """0 where a token's block is not before the one it reads, -inf elsewhere, [M, M] for M = blocks x tokens."""
    block_M = torch.arange(blocks).repeat_interleave(tokens_per_block)
    allowed = block_M[:, None] >= block_M[None, :]
    return torch.zeros(allowed.shape).masked_fill(~allowed, float("-inf"))


def masked_forward(
    transformer: WanTransformer3DModel,
    spec: ModelSpec,
    latents_GKCThw: Tensor,
    timesteps_GK: Tensor,
    text_GLX: Tensor,
) -> Tensor:
    """The predicted flow of every block at once, same shape as the latents; blocks read themselves and earlier ones.

    `transformer` must carry `MaskedAttention` as its attention processor; positions run from frame 0.
    """
    clips, blocks, _, frames, height, width = latents_GKCThw.shape
    grid = (height // spec.patch[1], width // spec.patch[2])
    turn = rotation(spec.head_dim, 0, blocks * frames, *grid)
    bias = block_causal_bias(blocks, frames * grid[0] * grid[1])
    latents_BCThw = latents_GKCThw.flatten(0, 1)
    tokens = tokens_of(transformer, latents_BCThw)
    time_BD, modulation = time_embedding(transformer, timesteps_GK.flatten())
    text = transformer.condition_embedder.text_embedder(text_GLX)
    text_BLD = text.repeat_interleave(blocks, dim=0)
    for layer in transformer.blocks:
        tokens = layer(tokens, text_BLD, modulation, ClipView(blocks, turn, bias))
    patches = to_patches(transformer, tokens, time_BD)
    return from_patches(transformer, patches, latents_BCThw.shape).unflatten(0, (clips, blocks))


def _softmax_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(-1).type_as(value) @ value).transpose(1, 2)
