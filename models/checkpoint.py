"""Loads weights from folders in diffusers' layout: `config.json` beside one safetensors file.

Only safetensors is read, so a weight file from a stranger cannot run code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.errors import CheckpointError
from models.spec import ModelSpec
from models.wan import CausalWan

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
NAMED = 5  # keys an error names of each sort

M = TypeVar("M", bound=nn.Module)


def load_wan(folder: Path, spec: ModelSpec, dtype: torch.dtype = torch.float32) -> CausalWan:
    """The transformer in a folder, ready to run block by block. Raises CheckpointError if it is not the spec's."""
    config = _config(folder)
    for key, value in wan_config(spec).items():
        found = tuple(config[key]) if isinstance(config.get(key), list) else config.get(key)
        if found != value:
            raise CheckpointError(f"{folder / CONFIG}: {key} is {found!r}, {spec.name} has {value!r}")
    return CausalWan(_fill(WanTransformer3DModel(**wan_config(spec)), folder, dtype), spec).eval()


def load_vae(folder: Path, dtype: torch.dtype = torch.float32) -> AutoencoderKLWan:
    """The autoencoder in a folder. Raises CheckpointError if its files are missing, damaged or do not fit."""
    config = _config(folder)
    try:
        vae = AutoencoderKLWan.from_config(config)
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: does not describe an AutoencoderKLWan ({error})") from error
    return _fill(vae, folder, dtype)


def save(module: nn.Module, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    """Writes a module's weights and configuration as `load_wan` and `load_vae` read them."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.to(dtype).contiguous() for name, value in module.state_dict().items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


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


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected a folder with {CONFIG} and {WEIGHTS}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return config


def _fill(module: M, folder: Path, dtype: torch.dtype) -> M:
    """The module with the folder's weights, for inference."""
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    problems = _differences(weights, module.state_dict())
    if problems:
        raise CheckpointError(f"{path}: does not fit the model: {'; '.join(problems)}")
    module.load_state_dict(weights)
    module.requires_grad_(False).eval()
    # diffusers warns of every cast, even of one that changes nothing.
    return module if dtype == torch.float32 else module.to(dtype)


def _differences(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What keeps a state dict from fitting, in words; empty if it fits."""
    sorts = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "misshapen": [
            f"{key} {list(found[key].shape)} instead of {list(wanted[key].shape)}"
            for key in sorted(wanted.keys() & found.keys())
            if found[key].shape != wanted[key].shape
        ],
    }
    return [
        f"{len(keys)} {sort}: {', '.join(keys[:NAMED])}{', ...' if len(keys) > NAMED else ''}"
        for sort, keys in sorts.items()
        if keys
    ]
