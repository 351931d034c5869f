"""Reads weight files from strangers: none of them can run code, and a file's size bounds what it makes us hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import CheckpointError
from models.folder import INDEX, PICKLED, shards_of
from models.pickled import UNMAPPED, read_pickled

NAMED = 5  # keys an error names of each sort

M = TypeVar("M", bound=nn.Module)


class Shaped(Protocol):
    """A tensor, or what stands for one that is not read yet."""

    @property
    def shape(self) -> torch.Size: ...


class Header(NamedTuple):
    """A tensor that is not read yet."""

    shape: torch.Size


class Weights(NamedTuple):
    """The tensors of a file or of several shards, not read yet: `read` gives one, as it is stored."""

    place: Path
    headers: dict[str, Header]
    read: Callable[[str], Tensor]


def open_weights(path: Path) -> Weights:
    """Keys and shapes of a weight file, told from its headers alone.

    Safetensors by its suffix (`.safetensors`, or the table of its shards `.safetensors.index.json`), else what
    `torch.save` wrote (`.pt`, `.pth`, `.bin`, `.ckpt`). Raises CheckpointError if a file is missing, damaged,
    truncated, claims more than it holds, or asks to run code; whichever it is, nothing has been read or run.
    """
    if path.name.endswith(INDEX):
        return _open_shards(path)
    if not path.exists():
        raise CheckpointError(f"{path}: no such file")
    if not path.is_file():
        raise CheckpointError(f"{path}: not a file; name a weight file or a folder that holds one")
    if path.suffix == ".safetensors":
        return _open_safetensors(path)
    if path.suffix in PICKLED:
        tensors = read_pickled(path)
        return Weights(path, {key: Header(value.shape) for key, value in tensors.items()}, tensors.__getitem__)
    raise CheckpointError(f"{path}: not known by its suffix; expected .safetensors, {INDEX}, {', '.join(PICKLED)}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """A file's tensors by key, on the CPU and apart from the file; otherwise as `open_weights`."""
    weights = open_weights(path)
    return {key: fresh(weights.read(key), None, "cpu") for key in weights.headers}


def fresh(stored: Tensor, dtype: torch.dtype | None, device: torch.device | str) -> Tensor:
    """A tensor of its own memory, aligned and contiguous, whatever it lay in before."""
    return stored.to(device, dtype or stored.dtype, copy=True, memory_format=torch.contiguous_format)


def fill(module: M, weights: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> M:
    """The module with weights read from `path`, in a type; its own may lie on the meta device.

    Raises CheckpointError naming what is missing, unexpected or misshapen.
    """
    problems = differences(weights, module.state_dict())
    if problems:
        raise CheckpointError(f"{path}: does not fit the model: {'; '.join(problems)}")
    module.load_state_dict({key: value.to(dtype) for key, value in weights.items()}, assign=True)
    return module


def differences(found: Mapping[str, Shaped], wanted: Mapping[str, Shaped]) -> list[str]:
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


def _open_safetensors(path: Path) -> Weights:
    try:
        # The library checks the header against the file's size before anything else. For numpy it maps the file to be
        # read only, which works for files larger than memory; the data is mapped when the first of it is wanted.
        with safe_open(path, framework="numpy") as file:
            headers = {key: Header(torch.Size(file.get_slice(key).get_shape())) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    data = _Mapped(path)
    return Weights(path, headers, data.read)


class _Mapped:
    """A safetensors file's data, mapped once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def read(self, key: str) -> Tensor:
        if self._file is None:
            try:
                self._file = safe_open(self._path, framework="pt")
            except (OSError, SafetensorError, RuntimeError) as error:
                raise CheckpointError(f"{self._path}: {UNMAPPED} ({error})") from error
        tensor: Tensor = self._file.get_tensor(key)
        return tensor


def _open_shards(index: Path) -> Weights:
    """The shards as one file; each must hold what the table says it does."""
    holder = shards_of(index)
    shards = {path: open_weights(path) for path in sorted(set(holder.values()))}
    strays = sorted(key for key, path in holder.items() if key not in shards[path].headers)
    if strays:
        path = holder[strays[0]]
        raise CheckpointError(f"{index}: {len(strays)} keys are not where it says; first {strays[0]} in {path.name}")
    headers = {key: shards[path].headers[key] for key, path in holder.items()}
    return Weights(index, headers, lambda key: shards[holder[key]].read(key))
