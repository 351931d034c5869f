"""`CausalWan`: diffusers' `WanTransformer3DModel` with what running it block by block needs; `Forward` runs it.

Shape suffixes: L text tokens, K numbers of a text embedding, D = heads x head_dim, H heads, E head dim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.attention_dispatch import AttentionBackendName
from torch import Tensor, nn

from models.errors import ModelError
from models.layer import TextView, absorb, project, split_heads, time_embedding
from models.spec import ModelSpec


class CausalWan(nn.Module):
    """A Wan transformer that denoises blocks one at a time, or several at once, reading K/V from slots.

    `attention` names one of diffusers' attention backends ('native' is torch's own).
    """

    def __init__(self, transformer: WanTransformer3DModel, spec: ModelSpec, attention: str = "native") -> None:
        super().__init__()
        self.transformer = transformer
        self.spec = spec
        self.attention = _backend(attention)
        self.project: Callable[..., tuple[Tensor, Tensor, Tensor]] = project
        self.absorb: Callable[..., Tensor] = absorb
        self._times: dict[tuple[float, torch.device], tuple[Tensor, Tensor]] = {}

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
    def times(self, timestep: float) -> tuple[Tensor, Tensor]:
        """Time embedding [1, D] and modulation [1, 6, D] of a timestep; kept, as a stream has only a few."""
        key = timestep, self.device
        if key not in self._times:
            self._times[key] = time_embedding(self.transformer, torch.tensor([timestep], device=self.device))
        return self._times[key]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles what a layer does before and after its attention, with torch.compile's arguments."""
        self.project = torch.compile(project, *args, **kwargs)
        self.absorb = torch.compile(absorb, *args, **kwargs)


def _backend(name: str) -> AttentionBackendName:
    try:
        return AttentionBackendName(name)
    except ValueError:
        known = ", ".join(backend.value for backend in AttentionBackendName)
        raise ModelError(f"attention {name!r} is none of diffusers' backends: {known}") from None
