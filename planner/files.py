"""Documents as files: JSON or YAML in, canonical JSON or YAML out, `-` for the standard streams.

A file appears whole or not at all. YAML is read without tags, so a file cannot name code.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field, StrictInt

from models.catalog import load_spec
from models.errors import SpecError
from planner.cluster import Cluster
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem
from planner.value import Document, Value

MAX_BYTES = 512 * 2**20
STREAM = "-"

D = TypeVar("D", bound=Document)


def read_document(kind: type[D], path: str) -> D:
    """The document in a JSON or YAML file. Raises InputError naming the file, the field and the fix.

    A problem may be written short: `model: toy` and `cluster: {device: h100, count: 5}`.
    """
    data = _parse(_read(path), path)
    if kind is Problem and isinstance(data, dict):
        data = _expand_problem(data, path)
    return kind.from_data(data, path)


def read_data(path: str) -> Any:
    """What a JSON or YAML file holds, unchecked. Raises InputError naming the file."""
    return _parse(_read(path), path)


def read_plan(path: str) -> Plan:
    """The plan in a JSON, YAML or text file. Raises InputError naming the file, the place and the fix."""
    text = _read(path)
    return Plan.from_text(text, path) if text.startswith("# {") else Plan.from_data(_parse(text, path), path)


def read_any(path: str, *kinds: type[Document]) -> Document:
    """The document in a file, told by its `schema_name` or as plan text. Raises InputError as `read_document` does, or
    naming the kinds that will do.
    """
    text = _read(path)
    if text.startswith("# {") and Plan in kinds:
        return Plan.from_text(text, path)
    data = _parse(text, path)
    named = data.get("schema_name") if isinstance(data, dict) else None
    for kind in kinds:
        if named == kind.model_fields["schema_name"].default:
            return kind.from_data(data, path)
    known = " or ".join(str(kind.model_fields["schema_name"].default) for kind in kinds)
    raise InputError(f"{path}: schema_name is {named!r}, not {known}; name a file of that kind")


def write_document(document: Document, path: str) -> None:
    """Writes canonical JSON, or YAML if the name ends so. Raises InputError if the place cannot be written."""
    if path.endswith((".yaml", ".yml")):
        write_bytes(yaml.safe_dump(document.model_dump(mode="json"), sort_keys=True).encode(), path)
    else:
        write_bytes(document.to_json().encode(), path)


def write_bytes(content: bytes, path: str) -> None:
    """Writes a file, standard output, a pipe or a device. Raises InputError if the place cannot be written."""
    if path == STREAM:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    target = Path(path)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            # A pipe or a device is written to, never replaced.
            target.write_bytes(content)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(partial).chmod(0o644)
        Path(partial).replace(target)
    except OSError as error:
        Path(partial).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place") from error


def _read(path: str) -> str:
    try:
        if path == STREAM:
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; no document of ours is")
        return raw.decode()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None


def _parse(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as json_error:
        if path.endswith(".json"):
            raise InputError(f"{path}: not valid JSON ({json_error})") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    try:
        return yaml.safe_load(text)
    # ValueError: dates and numbers that YAML reads and Python cannot hold.
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}: neither valid JSON nor YAML{where}") from None


class _ShortCluster(Value):
    """A cluster written short: equal devices from the catalog."""

    device: str
    count: StrictInt = 1
    price_per_hour: float | None = Field(default=None, ge=0)
    link: str | None = None
    per_node: StrictInt | None = None
    network: str | None = None

    def cluster(self) -> Cluster:
        return Cluster.of(
            self.device,
            self.count,
            price_per_hour=self.price_per_hour,
            link=self.link,
            per_node=self.per_node,
            network=self.network,
        )


def _expand_problem(data: dict[str, Any], path: str) -> dict[str, Any]:
    """The full form of a problem written short."""
    expanded = {"schema_name": "blockcascade.problem/1", **data}
    if isinstance(data.get("model"), str):
        try:
            expanded["model"] = load_spec(data["model"])
        except SpecError as error:
            raise InputError(f"{path}: model: {error}") from None
    cluster = data.get("cluster")
    if isinstance(cluster, dict) and "device" in cluster:
        expanded["cluster"] = _ShortCluster.from_data(cluster, f"{path}: cluster").cluster()
    return expanded
