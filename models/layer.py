"""The parts of diffusers' Wan transformer, cut where self-attention needs a gap: what comes before it, and after.

The modules and weights are diffusers', and so is the arithmetic (`WanTransformerBlock.forward`; tested to be equal).

Shape suffixes: B passes that go through a layer's products as one batch, C latent channels, T latent frames, h, w
latent positions, n tokens of a block held here, L text tokens, D = heads x head_dim, H heads, E head dim, M keys, X
numbers of an output patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention, WanTransformerBlock
from torch import Tensor, nn

from models.rotary import Rotation, rotate


class TextView(NamedTuple):
    """One layer's cross-attention K/V of a prompt; [B, L, H, E] where several passes go as one batch."""

    key_LHE: Tensor
    value_LHE: Tensor


def tokens_of(transformer: WanTransformer3DModel, latents_BCThw: Tensor) -> Tensor:
    """The tokens [B, n, D] of blocks of latents."""
    tokens = transformer.patch_embedding(latents_BCThw.to(transformer.patch_embedding.weight.dtype))
    return tokens.flatten(2).transpose(1, 2).contiguous()


def time_embedding(transformer: WanTransformer3DModel, timesteps_B: Tensor) -> tuple[Tensor, Tensor]:
    """Time embedding [B, D] and modulation [B, 6, D] of timesteps 0..1000."""
    condition = transformer.condition_embedder
    wave = condition.timesteps_proj(timesteps_B).to(condition.time_embedder.linear_1.weight.dtype)
    time_BD = condition.time_embedder(wave).to(transformer.patch_embedding.weight.dtype)
    return time_BD, condition.time_proj(condition.act_fn(time_BD)).unflatten(1, (6, -1))


def modulations(layers: Sequence[WanTransformerBlock], modulation_B6D: Tensor) -> Tensor:
    """What scales and shifts a pass in each layer, [layers, B, 6, D] float32: shift, 1 + scale, gate before attention,
    and the same before the feed-forward. It depends on the timestep alone.
    """
    tables_L16D = torch.stack([layer.scale_shift_table for layer in layers])
    found_LB6D = tables_L16D + modulation_B6D.float()
    found_LB6D[:, :, 1::3] += 1
    return found_LB6D


def project(
    layer: WanTransformerBlock, tokens_BnD: Tensor, modulation_B6D: Tensor, turn: Rotation
) -> tuple[Tensor, Tensor, Tensor]:
    """A layer up to its self-attention: query, key and value [B, n, H, E], the first two turned by position.

    `modulation_B6D` is the layer's own, of `modulations`.
    """
    shift, scale = modulation_B6D.split(1, dim=1)[:2]
    normed_BnD = _plus_product(shift, layer.norm1(tokens_BnD.float()), scale, tokens_BnD)
    attn = layer.attn1
    query = rotate(split_heads(attn, attn.norm_q(attn.to_q(normed_BnD))), turn)
    key = rotate(split_heads(attn, attn.norm_k(attn.to_k(normed_BnD))), turn)
    return query, key, split_heads(attn, attn.to_v(normed_BnD))


def absorb(
    layer: WanTransformerBlock,
    tokens_BnD: Tensor,
    mixed_BnHE: Tensor,
    modulation_B6D: Tensor,
    text: TextView,
    backend: AttentionBackendName,
) -> Tensor:
    """A layer from its self-attention's result on: the tokens [B, n, D] that the next layer begins with."""
    _, _, gate, shift, scale, gate_ffn = modulation_B6D.split(1, dim=1)
    tokens_BnD = _plus_product(tokens_BnD, layer.attn1.to_out[0](mixed_BnHE.flatten(2)), gate, tokens_BnD)
    cross = layer.attn2
    query_BnHE = split_heads(cross, cross.norm_q(cross.to_q(_normed(layer.norm2, tokens_BnD))))
    mixed_BnHE = attend(query_BnHE, text.key_LHE, text.value_LHE, backend)
    tokens_BnD = tokens_BnD + cross.to_out[0](mixed_BnHE.flatten(2))
    normed_BnD = _plus_product(shift, layer.norm3(tokens_BnD.float()), scale, tokens_BnD)
    return _plus_product(tokens_BnD, layer.ffn(normed_BnD), gate_ffn, tokens_BnD)


def _plus_product(base: Tensor, one: Tensor, other: Tensor, like: Tensor) -> Tensor:
    """base + one x other, computed in float32 and rounded once, to the type of `like`: one kernel."""
    if torch.compiler.is_compiling():
        return (base.float() + one.float() * other).type_as(like)
    return torch.addcmul(base, one, other, out=torch.empty_like(like))


def _normed(norm: nn.Module, tokens_BnD: Tensor) -> Tensor:
    """Tokens normed in float32, in their own type."""
    if isinstance(norm, nn.LayerNorm) and norm.weight.dtype == tokens_BnD.dtype:
        # torch's kernel computes in float32 itself.
        return nn.functional.layer_norm(tokens_BnD, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return norm(tokens_BnD.float()).type_as(tokens_BnD)


def attend(query_BnHE: Tensor, key_BMHE: Tensor, value_BMHE: Tensor, backend: AttentionBackendName) -> Tensor:
    """Softmax attention over heads, [B, n, H, E]."""
    return dispatch_attention_fn(query_BnHE, key_BMHE, value_BMHE, backend=backend)


def to_patches(transformer: WanTransformer3DModel, tokens_BnD: Tensor, time_BD: Tensor) -> Tensor:
    """The last layer's tokens as output patches [B, n, X]."""
    shift, scale = (transformer.scale_shift_table + time_BD[:, None]).chunk(2, dim=1)
    return transformer.proj_out((transformer.norm_out(tokens_BnD.float()) * (1 + scale) + shift).type_as(tokens_BnD))


def from_patches(transformer: WanTransformer3DModel, patches_BnX: Tensor, shape: torch.Size) -> Tensor:
    """Latents of `shape` [B, C, T, h, w] from the patches of whole blocks."""
    _, channels, frames, height, width = shape
    _, ph, pw = transformer.config.patch_size
    patches = patches_BnX.unflatten(1, (frames, height // ph, width // pw)).unflatten(-1, (ph, pw, channels))
    # [B, T, h', w', ph, pw, C] -> [B, C, T, h' ph, w' pw]
    return patches.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def split_heads(attn: WanAttention, x: Tensor) -> Tensor:
    """[.., H x E] -> [.., H, E]."""
    return x.unflatten(-1, (attn.heads, -1))
