"""A model with its weights: what `generate` and the executor run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from diffusers import AutoencoderKLWan
from torch import Tensor

from models.spec import ModelSpec
from models.wan import CausalWan


class LoadedModel(NamedTuple):
    """Transformer, autoencoder and text side of one checkpoint, on one device."""

    spec: ModelSpec
    wan: CausalWan
    vae: AutoencoderKLWan | None
    embed_prompt: Callable[[str], Tensor]  # prompt -> text embeddings [L, text_dim]
