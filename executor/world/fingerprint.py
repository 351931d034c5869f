"""What the ranks of one run must have in common, in short words that can be compared."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from planner.plan import Plan
from planner.problem import Problem

SAMPLES = 8  # values read of each tensor
SHOWN = 12
BYTES = 65_536  # read at three places of each file


def facts(plan: Plan, problem: Problem, weights: str, *, prompts: Sequence[str], seed: int) -> dict[str, str]:
    """Digests of all that decides the clip, `weights` among them, and versions."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {
        "plan": plan.digest[:SHOWN],
        "problem": problem.digest[:SHOWN],
        "prompts": hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:SHOWN],
        "seed": str(seed),
        "weights": weights,
        "torch": str(torch.__version__),
        "python": python,
    }


def of_places(places: Mapping[str, Path | None], how: object) -> str:
    """A digest of weight files by their names below each place, sizes and some of their bytes, and of `how` they load.

    Exact for one set of files, wherever it lies; reading a few blocks of each takes milliseconds.
    """
    digest = hashlib.sha256(repr(how).encode())
    for part, place in places.items():
        files = [] if place is None else sorted(path for path in place.rglob("*") if path.is_file()) or [place]
        for path in files:
            size = path.stat().st_size
            digest.update(f"{part} {path.name} {size}".encode())
            with path.open("rb") as file:
                for start in (0, size // 2, max(0, size - BYTES)):
                    file.seek(start)
                    digest.update(file.read(BYTES))
    return digest.hexdigest()[:SHOWN]


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A digest of names, shapes, types and some values of all tensors in the parts; what is no module counts by type.
    Takes milliseconds.

    Exact, so that weights merged or converted on unlike machines may differ: load the same file on all.
    """
    digest = hashlib.sha256()
    for part, module in parts.items():
        digest.update(f"{part} {type(module).__name__}".encode())
        for name, tensor in _tensors(module):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(_some(tensor))
    return digest.hexdigest()[:SHOWN]


def _tensors(module: Any) -> list[tuple[str, Tensor]]:
    """The tensors of a module, or of the modules that an object holds."""
    if isinstance(module, nn.Module):
        return [(name, value) for name, value in module.state_dict().items() if isinstance(value, Tensor)]
    held = vars(module) if hasattr(module, "__dict__") else {}
    return [
        (f"{field}.{name}", tensor)
        for field, value in sorted(held.items())
        if isinstance(value, nn.Module)
        for name, tensor in _tensors(value)
    ]


def _some(tensor: Tensor) -> bytes:
    """A few values, evenly spaced, as bytes."""
    flat = tensor.detach().reshape(-1) if tensor.is_contiguous() else tensor.detach().flatten()
    if flat.is_meta or not len(flat):
        return b""
    picked = flat[torch.linspace(0, len(flat) - 1, SAMPLES, dtype=torch.float64, device=flat.device).round().long()]
    return bytes(picked.to("cpu").contiguous().view(torch.uint8).tolist())
