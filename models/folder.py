"""Finds the files of a model in a folder, and reads its `config.json` and shard tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import CheckpointError

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = ".safetensors.index.json"
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
# A shard table of 1000 tensors takes 0.1 MiB.
MAX_JSON_BYTES = 16 * 2**20


def transformer_folder(place: Path) -> Path:
    """The folder itself, or its `transformer` folder where it is a whole diffusers pipeline."""
    return place / "transformer" if (place / "transformer" / CONFIG).is_file() else place


def weights_in(place: Path) -> Path:
    """The weight file or shard table at a place: the place itself, or what a folder holds.

    Raises CheckpointError if there is none, or several and none by the usual name.
    """
    if not place.is_dir():
        return place
    tables = sorted(place.glob(f"*{INDEX}"))
    if len(tables) == 1:
        return tables[0]
    if (place / WEIGHTS).exists():
        return place / WEIGHTS
    files = sorted(path for path in place.iterdir() if path.suffix in (".safetensors", *PICKLED))
    if len(files) != 1:
        found = f"several: {', '.join(path.name for path in files)}; name one" if files else "none is there"
        raise CheckpointError(f"{place / WEIGHTS}: no such file, and of other weight files {found}")
    return files[0]


def read_json(path: Path, expected: str = "") -> dict[str, Any]:
    """The JSON object in a file. Raises CheckpointError, with what was expected there if the file is missing."""
    if not path.exists():
        raise CheckpointError(f"{path}: no such file{expected}")
    if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"{path}: not a file of at most {MAX_JSON_BYTES // 2**20} MiB")
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is not a JSON object")
    return found


def shards_of(index: Path) -> dict[str, Path]:
    """The file that holds each key, from a shard table. Raises CheckpointError if it names files elsewhere."""
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise CheckpointError(f"{index}: has no weight_map")
    for name in table.values():
        # Not resolved: a download cache holds links, which is the user's own doing.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: weight_map may only name safetensors files beside it, not {name!r}")
    return {key: index.parent / name for key, name in table.items()}
