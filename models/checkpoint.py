"""Loads transformers and autoencoders from the layouts they are published in (`wan_keys`), files of strangers included.

Headers give names and shapes, so a file of another model is refused before a weight is read. Weights go one by one into
the type and onto the device wanted: besides the model itself, only one weight is held in memory.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from models.blank import blank_wan, filled, wan_config, wan_shapes
from models.catalog import CATALOG
from models.errors import CheckpointError
from models.find_spec import find_spec
from models.folder import CONFIG, WEIGHTS, read_json, transformer_folder, weights_in
from models.lora import Lora, open_lora
from models.spec import ModelSpec
from models.wan import CausalWan
from models.wan_keys import wan_names
from models.weights import Shaped, Weights, differences, fresh, open_weights

__all__ = ["CONFIG", "WEIGHTS", "load_vae", "load_wan", "open_model", "save", "wan_config"]

EXPECTED = f"; expected a folder with {CONFIG} and {WEIGHTS}"
# Wan's own names in its config.json, where they are not diffusers'.
_WAN_CONFIG = {
    "num_heads": "num_attention_heads",
    "num_layers": "num_layers",
    "ffn_dim": "ffn_dim",
    "freq_dim": "freq_dim",
    "in_dim": "in_channels",
    "out_dim": "out_channels",
}
MOST_LEVELS, MOST_BLOCKS = 8, 16  # of an autoencoder; the published ones have 4 and 2


def open_model(
    model: ModelSpec | Path | str,
    place: Path,
    *,
    lora: Path | None = None,
    lora_alpha: float | None = None,
    ema: bool = True,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    layers: range | None = None,
) -> CausalWan:
    """The transformer at a place, ready to run block by block, on a device.

    `model`: a spec, a catalog name or the user's own file (`find_spec`). `place`: a weight file, a table of shards, or
    a folder. `lora`: changes to merge, at `lora_alpha` where their file does not tell it. `ema`: of two generators the
    averaged one, as the recipes of Self-Forcing and of Causal-Forcing's frame-wise models do; its chunk-wise one does
    not. `dtype`: without one, float32 if the spec's weights take four bytes, else bfloat16. `layers`: those to
    read, all if not said; the others' weights take no memory. Raises SpecError, CheckpointError.
    """
    spec = find_spec(model)
    if dtype is None:
        dtype = torch.float32 if spec.weight_bytes_per_parameter == 4 else torch.bfloat16
    return load_wan(place, spec, dtype, lora=lora, lora_alpha=lora_alpha, ema=ema, device=device, layers=layers)


def load_wan(
    place: Path,
    spec: ModelSpec,
    dtype: torch.dtype = torch.float32,
    *,
    lora: Path | None = None,
    lora_alpha: float | None = None,
    ema: bool = True,
    device: torch.device | str = "cpu",
    layers: range | None = None,
) -> CausalWan:
    """As `open_model`, of a spec and in a type. Raises CheckpointError if the weights are not the spec's."""
    if not place.exists():
        raise CheckpointError(f"{place}: no such file{EXPECTED}, or a weight file")
    folder = transformer_folder(place)
    if (folder / CONFIG).exists():
        _require_config(folder / CONFIG, spec)
    weights = open_weights(weights_in(folder))
    names = wan_names(weights.headers, weights.place, ema=ema)
    wanted = wan_shapes(spec)
    _require_fit(weights.place, {name: weights.headers[stored] for name, stored in names.items()}, wanted, spec)
    change = None if lora is None else open_lora(lora, wanted, lora_alpha)

    def weight(name: str) -> Tensor:
        return _weight(weights, names[name], name, change, dtype, device)

    return CausalWan(filled(blank_wan(spec), weight, device, layers), spec).eval()


def load_vae(folder: Path, dtype: torch.dtype = torch.float32) -> AutoencoderKLWan:
    """The autoencoder in a folder. Raises CheckpointError if its files are missing, damaged or do not fit."""
    vae = _blank_vae(folder / CONFIG)
    weights = open_weights(weights_in(folder))
    problems = differences(weights.headers, vae.state_dict())
    if problems:
        raise CheckpointError(f"{weights.place}: does not fit the model: {'; '.join(problems)}")
    vae.load_state_dict(
        {name: _weight(weights, name, name, None, dtype, "cpu") for name in weights.headers}, assign=True
    )
    return vae.requires_grad_(False).eval()


def save(module: nn.Module, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    """Writes a module's weights and configuration as `load_wan` and `load_vae` read them."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.to(dtype).contiguous() for name, value in module.state_dict().items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _weight(
    weights: Weights, stored: str, name: str, change: Lora | None, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    value = weights.read(stored)
    if not value.is_floating_point():
        raise CheckpointError(f"{weights.place}: {stored} is {value.dtype}; quantised weights are not run")
    if change is not None and name in change.layers:
        return change.merged(name, value.to(device)).to(dtype)
    return fresh(value, dtype, device)


def _require_config(path: Path, spec: ModelSpec) -> None:
    """Refuses a configuration that says another model than the spec; only it tells heads from their size."""
    given, required = read_json(path), set(wan_config(spec))
    if "num_heads" in given:
        given, required = {ours: given[theirs] for theirs, ours in _WAN_CONFIG.items() if theirs in given}, set()
    for key, value in blank_wan(spec).config.items():
        if key.startswith(("_", "rope_")) or (key not in given and key not in required):
            continue
        found = tuple(given[key]) if isinstance(given.get(key), list) else given.get(key)
        if found != value:
            raise CheckpointError(f"{path}: {key} is {found!r}, {spec.name} has {value!r}")


def _require_fit(place: Path, found: Mapping[str, Shaped], wanted: Mapping[str, Shaped], spec: ModelSpec) -> None:
    problems = differences(found, wanted)
    if not problems:
        return
    if any(".lora_" in name for name in found):
        raise CheckpointError(f"{place}: holds a LoRA; give it as such, beside the weights it changes")
    others = [name for name, other in CATALOG.items() if not differences(found, wan_shapes(other))]
    hint = f". Its weights are shaped as those of {', '.join(others)}: open it as one of these" if others else ""
    raise CheckpointError(f"{place}: does not fit {spec.name}: {'; '.join(problems)}{hint}")


def _blank_vae(path: Path) -> AutoencoderKLWan:
    """The autoencoder that a configuration describes, on the meta device."""
    config = read_json(path, EXPECTED)
    known = inspect.signature(AutoencoderKLWan.__init__).parameters
    given = {key: value for key, value in config.items() if key in known}
    try:
        # Shapes cost nothing on the meta device, but each layer does.
        if len(given.get("dim_mult", ())) > MOST_LEVELS or not 0 <= given.get("num_res_blocks", 0) <= MOST_BLOCKS:
            raise ValueError(f"more than {MOST_LEVELS} levels or {MOST_BLOCKS} blocks in each")
        with torch.device("meta"):
            return AutoencoderKLWan(**given)
    except (TypeError, ValueError, IndexError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        raise CheckpointError(f"{path}: does not describe an AutoencoderKLWan ({error})") from error
