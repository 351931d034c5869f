"""Finds a model's spec by its name or in the user's own file; needs nothing of the run extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.catalog import load_spec
from models.errors import SpecError
from models.spec import ModelSpec

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 2**20


def find_spec(model: ModelSpec | Path | str, **changes: Any) -> ModelSpec:
    """The spec of a catalog name, or that in a YAML or JSON file, with some fields changed.

    A file holds all fields of a ModelSpec, or `base: NAME` and those that differ from the catalog's model of that name.
    Raises SpecError naming the file and the fields that are wrong.
    """
    if isinstance(model, ModelSpec):
        data, place = model.model_dump(), model.name
    elif Path(model).suffix in SUFFIXES:
        data, place = _from_file(Path(model)), str(model)
    else:
        data, place = load_spec(str(model)).model_dump(), str(model)
    try:
        return ModelSpec.model_validate(data | changes)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'model'}: {e['msg']}" for e in error.errors()[:5])
        raise SpecError(f"{place}: {told}") from None


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SpecError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise SpecError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; no model's spec is")
    try:
        data = yaml.safe_load(path.read_text())  # JSON is YAML
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read as YAML or JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise SpecError(f"{path}: holds no table of a model's fields")
    base = data.pop("base", None)
    return data if base is None else load_spec(str(base)).model_dump() | data
