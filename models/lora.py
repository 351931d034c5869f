"""Low-rank changes to a transformer's weights, merged as they are loaded: W + alpha / r B A, in float32.

LongLive keeps them in `lora.pt`: a table `generator_lora` of PEFT's names, over every linear layer of the blocks, with
alpha = r (256 of LongLive 1, 128 of LongLive 2; NVlabs/LongLive utils/lora_utils.py, configs). Such a file tells no
alpha: it is what the caller says, else the file's own `alpha` entries, else what PEFT's `adapter_config.json` beside it
says, else r.

Shape suffixes: O outputs and I inputs of a linear layer, R rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import CheckpointError
from models.folder import read_json
from models.wan_keys import PREFIXES, WRAPPERS, diffusers_name
from models.weights import NAMED, Shaped, Weights, open_weights

TABLE, OTHER_TABLE = "generator_lora", "critic_lora"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
# PEFT's own names, those of a named adapter, and those of single-file collections.
_PART = re.compile(r"(?P<layer>.+)\.(?P<part>(lora_A|lora_B|lora_down|lora_up)(?=((\.\w+)?\.weight)?$)|alpha$).*")
_PARTS = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up", "alpha": "alpha"}


class Lora(NamedTuple):
    """Where the change of each weight is stored, by diffusers' name for the weight: its parts down, up, alpha."""

    weights: Weights
    layers: dict[str, dict[str, str]]
    alpha: float | None  # for all layers; None: each its own, or its rank
    by_root: bool = False  # alpha / sqrt(r)

    def merged(self, name: str, stored_OI: Tensor) -> Tensor:
        """A weight with its change, float32 where there is one, on the weight's device."""
        parts = self.layers.get(name)
        if parts is None:
            return stored_OI
        down_RI, up_OR = (self.weights.read(parts[part]).to(stored_OI.device, torch.float32) for part in ("down", "up"))
        return stored_OI.float() + (up_OR @ down_RI) * self._scale(parts, len(down_RI))

    def _scale(self, parts: dict[str, str], rank: int) -> float:
        alpha = self.alpha
        if alpha is None:
            alpha = float(self.weights.read(parts["alpha"])) if "alpha" in parts else float(rank)
        if not math.isfinite(alpha):
            raise CheckpointError(f"{self.weights.place}: {parts.get('alpha', 'alpha')} is {alpha}; give one")
        return alpha / (math.sqrt(rank) if self.by_root else rank)


def open_lora(place: Path, wanted: Mapping[str, Shaped], alpha: float | None = None) -> Lora:
    """The changes in a file or PEFT folder to weights of the shapes `wanted`, by diffusers' names; none is read yet.

    Raises CheckpointError naming what is half there, of no layer of the model, misshapen or of another kind.
    """
    path = place / ADAPTER if place.is_dir() else place
    weights = open_weights(path)
    layers: dict[str, dict[str, str]] = {}
    for stored in weights.headers:
        found = _layer_and_part(stored, path)
        if found is not None:
            layer, part = found
            if part in layers.setdefault(f"{layer}.weight", {}):
                raise CheckpointError(f"{path}: holds {part} of {layer} twice; keep one")
            layers[f"{layer}.weight"][part] = stored
    _require_fit(weights, layers, wanted)
    told, by_root = _told_alpha(path.parent / ADAPTER_CONFIG)
    has_own = any("alpha" in parts for parts in layers.values())
    return Lora(weights, layers, alpha if alpha is not None else None if has_own else told, by_root)


def _layer_and_part(stored: str, path: Path) -> tuple[str, str] | None:
    """The layer by diffusers' name and the part of its change; None for another model's."""
    names = [part for part in stored.split(".") if part not in WRAPPERS]
    if names[0] == OTHER_TABLE:
        return None
    while names and names[0] in (TABLE, "base_model", "transformer", *PREFIXES):
        del names[0]
    match = _PART.fullmatch(".".join(names))
    if match is None:
        raise CheckpointError(f"{path}: {stored} is of no LoRA known here; expected pairs lora_A, lora_B")
    return diffusers_name(f"{match['layer']}.weight").removesuffix(".weight"), _PARTS[match["part"]]


def _require_fit(weights: Weights, layers: dict[str, dict[str, str]], wanted: Mapping[str, Shaped]) -> None:
    problems = [
        problem for name, parts in sorted(layers.items()) if (problem := _misfit(name, parts, weights.headers, wanted))
    ]
    if problems or not layers:
        more = f", and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        told = "; ".join(problems[:NAMED]) + more if problems else "it holds no generator's"
        raise CheckpointError(f"{weights.place}: not a LoRA of this model: {told}")


def _misfit(
    name: str, parts: dict[str, str], headers: Mapping[str, Shaped], wanted: Mapping[str, Shaped]
) -> str | None:
    if name not in wanted:
        return f"the model has no {name}"
    if not {"down", "up"} <= parts.keys():
        return f"{name} has only {', '.join(parts)}"
    shape_OI = tuple(wanted[name].shape)
    shape_RI, shape_OR = (tuple(headers[parts[part]].shape) for part in ("down", "up"))
    rank = shape_RI[0] if shape_RI else 0
    # A rank beyond the layer's own is no low-rank change, and could be any size.
    if len(shape_OI) != 2 or shape_RI != (rank, shape_OI[1]) or shape_OR != (shape_OI[0], rank):
        return f"{name} {list(shape_OI)} from {list(shape_OR)} times {list(shape_RI)}"
    if not 0 < rank <= min(shape_OI):
        return f"{name} {list(shape_OI)} at rank {rank}"
    if "alpha" in parts and headers[parts["alpha"]].shape.numel() != 1:
        return f"{name} has {headers[parts['alpha']].shape.numel()} alphas"
    return None


def _told_alpha(config: Path) -> tuple[float | None, bool]:
    """PEFT's alpha and whether it scales by the rank's root, from its configuration if there is one."""
    if not config.is_file():
        return None, False
    told = read_json(config)
    alpha = told.get("lora_alpha")
    if told.get("alpha_pattern") or told.get("use_dora") or not isinstance(alpha, int | float):
        raise CheckpointError(f"{config}: only one lora_alpha for all layers, without alpha_pattern or DoRA, is merged")
    return float(alpha), bool(told.get("use_rslora"))
