"""`CausalWan`: diffusers' `WanTransformer3DModel` run block by block over K/V slots.

The layers and weights are diffusers'; only attention is ours. A layer gets what it reads and where it writes through
the argument that diffusers hands unchanged to the attention processor, so nothing is remembered between passes.

Shape suffixes: B blocks run as one batch, C latent channels, T latent frames, h, w latent positions, N tokens of a
block, M tokens read, L text tokens, D = heads x head_dim, H heads, E head dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn

from models.rotary import Rotation, rotate, rotation, time_shift
from models.spec import ModelSpec


class Past(NamedTuple):
    """The K/V of one earlier block that a pass reads: a slot, and by how many frames to move its keys."""

    slot: Tensor  # [layers, 2, N, H, E]
    shift: int = 0


class SelfView(NamedTuple):
    """What one layer's self-attention reads and where it leaves its own K/V."""

    rotation: Rotation
    past: Sequence[tuple[Tensor, Rotation | None]]  # [2, N, H, E] each, oldest first
    own: Tensor  # [2, N, H, E], overwritten


class TextView(NamedTuple):
    """One layer's cross-attention K/V of the prompt."""

    key_LHE: Tensor
    value_LHE: Tensor


class SlotAttention:
    """Attention processor: self-attention over the slots of a SelfView, cross-attention over a TextView."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: TextView | None = None,
        attention_mask: None = None,  # noqa: ARG002 - diffusers passes it
        rotary_emb: SelfView | None = None,
    ) -> Tensor:
        query_NHE = split_heads(attn, attn.norm_q(attn.to_q(hidden_states)))[0]
        if encoder_hidden_states is not None:
            key_MHE, value_MHE = encoder_hidden_states
        else:
            assert rotary_emb is not None
            query_NHE = rotate(query_NHE, rotary_emb.rotation)
            key_MHE, value_MHE = self._self_attention_inputs(attn, hidden_states, rotary_emb)
        mixed_NHE = attend(query_NHE, key_MHE, value_MHE)
        return attn.to_out[0](mixed_NHE.flatten(1)[None])

    @staticmethod
    def _self_attention_inputs(attn: WanAttention, hidden_BND: Tensor, view: SelfView) -> tuple[Tensor, Tensor]:
        key_NHE = split_heads(attn, attn.norm_k(attn.to_k(hidden_BND)))[0]
        view.own[0].copy_(rotate(key_NHE, view.rotation))
        view.own[1].copy_(split_heads(attn, attn.to_v(hidden_BND))[0])
        keys = [slot[0] if move is None else rotate(slot[0], move) for slot, move in view.past]
        values = [slot[1] for slot, _ in view.past]
        return torch.cat([*keys, view.own[0]]), torch.cat([*values, view.own[1]])


class CausalWan(nn.Module):
    """A Wan transformer that denoises one block at a time, reading earlier blocks from K/V slots."""

    def __init__(self, transformer: WanTransformer3DModel, spec: ModelSpec) -> None:
        super().__init__()
        self.transformer = transformer
        self.spec = spec
        transformer.set_attn_processor(SlotAttention())

    @property
    def device(self) -> torch.device:
        return self.transformer.proj_out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.proj_out.weight.dtype

    @torch.no_grad()
    def encode_text(self, embeds_LK: Tensor) -> tuple[TextView, ...]:
        """Cross-attention K/V of a prompt, one per layer, from its text embeddings [L, text_dim]."""
        text_1LD = self.transformer.condition_embedder.text_embedder(embeds_LK[None].to(self.device, self.dtype))
        views = []
        for layer in self.transformer.blocks:
            attn = layer.attn2
            key = split_heads(attn, attn.norm_k(attn.to_k(text_1LD)))[0]
            views.append(TextView(key, split_heads(attn, attn.to_v(text_1LD))[0]))
        return tuple(views)

    @torch.no_grad()
    def forward(
        self,
        latents_CThw: Tensor,
        timestep: float,
        start_frame: int,
        past: Sequence[Past],
        own: Tensor,
        text: Sequence[TextView],
    ) -> Tensor:
        """The predicted flow (noise - clean) of one block, same shape as its latents.

        `timestep` is 0..1000; `start_frame` the block's first latent frame in the stream; `own` the slot
        [layers, 2, N, H, E] that receives this pass's K/V (keys rotated by the block's own position).
        """
        spec = self.spec
        grid = (spec.latent_height // spec.patch[1], spec.latent_width // spec.patch[2])
        turn = _to(rotation(spec.head_dim, start_frame, latents_CThw.shape[1], *grid), self.device)
        moves = [_to(time_shift(spec.head_dim, p.shift), self.device) if p.shift else None for p in past]
        times = torch.tensor([timestep], dtype=torch.float32, device=self.device)
        tokens_BND, time_BD, modulation_B6D = embed(self.transformer, latents_CThw[None], times)
        for index, layer in enumerate(self.transformer.blocks):
            view = SelfView(turn, [(p.slot[index], move) for p, move in zip(past, moves, strict=True)], own[index])
            tokens_BND = layer(tokens_BND, text[index], modulation_B6D, view)
        return unembed(self.transformer, tokens_BND, time_BD, latents_CThw[None].shape)[0]


def split_heads(attn: WanAttention, x: Tensor) -> Tensor:
    """[.., H x E] -> [.., H, E]."""
    return x.unflatten(-1, (attn.heads, -1))


def attend(query_NHE: Tensor, key_MHE: Tensor, value_MHE: Tensor) -> Tensor:
    """Softmax attention over heads, [N, H, E]."""
    query, key, value = (x.transpose(0, 1)[None] for x in (query_NHE, key_MHE, value_MHE))
    return F.scaled_dot_product_attention(query, key, value)[0].transpose(0, 1)


def embed(
    transformer: WanTransformer3DModel, latents_BCThw: Tensor, timesteps_B: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens [B, N, D], time embedding [B, D] and modulation [B, 6, D] of blocks at one timestep each."""
    tokens = transformer.patch_embedding(latents_BCThw.to(transformer.patch_embedding.weight.dtype))
    tokens_BND = tokens.flatten(2).transpose(1, 2).contiguous()
    condition = transformer.condition_embedder
    wave = condition.timesteps_proj(timesteps_B).to(condition.time_embedder.linear_1.weight.dtype)
    time_BD = condition.time_embedder(wave).type_as(tokens_BND)
    modulation = condition.time_proj(condition.act_fn(time_BD))
    return tokens_BND, time_BD, modulation.unflatten(1, (6, -1))


def unembed(transformer: WanTransformer3DModel, tokens_BND: Tensor, time_BD: Tensor, shape: torch.Size) -> Tensor:
    """Latents [B, C, T, h, w] of the last layer's tokens."""
    shift, scale = (transformer.scale_shift_table + time_BD[:, None]).chunk(2, dim=1)
    tokens_BND = (transformer.norm_out(tokens_BND.float()) * (1 + scale) + shift).type_as(tokens_BND)
    _, channels, frames, height, width = shape
    _, ph, pw = transformer.config.patch_size
    patches = transformer.proj_out(tokens_BND)
    patches = patches.unflatten(1, (frames, height // ph, width // pw)).unflatten(-1, (ph, pw, channels))
    # [B, T, h', w', ph, pw, C] -> [B, C, T, h' ph, w' pw]
    return patches.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def _to(turn: Rotation, device: torch.device) -> Rotation:
    return Rotation(turn.cos_N1P.to(device), turn.sin_N1P.to(device))
