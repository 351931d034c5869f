"""A model with its weights: what `generate` and the executor run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, device

from models.codec import Codec
from models.spec import ModelSpec
from models.wan import CausalWan


class LoadedModel(NamedTuple):
    """Transformer, codec between latents and pixels, and text side of one checkpoint, on one device."""

    spec: ModelSpec
    wan: CausalWan
    vae: Codec | None
    embed_prompt: Callable[[str], Tensor]  # prompt -> text embeddings [L, text_dim]

    def to(self, target: device) -> LoadedModel:
        """The same model with its weights on a device."""
        vae = None if self.vae is None else self.vae.to(target)
        return self._replace(wan=self.wan.to(target), vae=vae)
