"""A Wan transformer without its weights: its shapes, and how it is filled without a second copy of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from models.spec import ModelSpec
from models.weights import Header


def wan_config(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of diffusers' `WanTransformer3DModel` for a spec."""
    return {
        "patch_size": spec.patch,
        "num_attention_heads": spec.heads,
        "attention_head_dim": spec.head_dim,
        "in_channels": spec.latent_channels,
        "out_channels": spec.latent_channels,
        "text_dim": spec.text_dim,
        "freq_dim": spec.freq_dim,
        "ffn_dim": spec.ffn_dim,
        "num_layers": spec.layers,
    }


def blank_wan(spec: ModelSpec) -> WanTransformer3DModel:
    """The transformer with its weights on the meta device: shapes without numbers."""
    with torch.device("meta"):
        return WanTransformer3DModel(**wan_config(spec))


def wan_shapes(spec: ModelSpec) -> Mapping[str, Header]:
    """Shape of each weight by diffusers' name."""
    return _shapes(tuple(wan_config(spec).items()))


@lru_cache(maxsize=8)  # most of the catalog's models share one of a few shapes
def _shapes(config: tuple[tuple[str, Any], ...]) -> Mapping[str, Header]:
    with torch.device("meta"):
        return {name: Header(value.shape) for name, value in WanTransformer3DModel(**dict(config)).state_dict().items()}


def filled(
    blank: WanTransformer3DModel,
    weight: Callable[[str], Tensor],
    device: torch.device | str,
    layers: range | None = None,
) -> Any:
    """The transformer with the weights that `weight` gives by name, one at a time, for inference.

    Of `layers`, if said, and what lies outside all layers; the others stay on the meta device and take no memory.
    """
    held = [name for name in blank.state_dict() if layers is None or _layer(name) in (None, *layers)]
    blank.load_state_dict({name: weight(name) for name in held}, strict=layers is None, assign=True)
    # The rotation's tables are computed, not stored; on the meta device they were not.
    config = blank.config
    blank.rope = type(blank.rope)(config.attention_head_dim, config.patch_size, config.rope_max_seq_len).to(device)
    return blank.requires_grad_(False).eval()


def _layer(name: str) -> int | None:
    """The layer that a weight belongs to, by diffusers' name of it."""
    return int(name.split(".")[1]) if name.startswith("blocks.") else None
