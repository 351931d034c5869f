"""Opens what `torch.save` wrote, from strangers: no code runs, and nothing larger than the file can come to be.

torch's own `weights_only` unpickler runs no code, but it allows calls that allocate whatever a pickle says (a
bytearray, an empty tensor of any size). So the pickle is looked over first, unopened: tables of plain tensors pass, all
else is refused. The tensors are views of the mapped file: a storage's size is bound by the file's, and nothing is read
before it is used.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.errors import CheckpointError

# Three models of 1000 tensors each make a pickle of 0.7 MiB, and one BUILD (of its metadata) each.
MAX_PICKLE_BYTES = 4 * 2**20
MAX_BUILDS = 16
MOST_SHARED = 4  # models in one file that may be one and the same
UNMAPPED = "cannot be mapped into memory; where it is larger than this machine's, save it in shards of safetensors"
RESAVE = "save its tensors alone, best as safetensors"
_TABLE = "collections OrderedDict"
# What a table of plain tensors is pickled from. The storages are only named there, never built.
_HARMLESS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch (?!Untyped|Typed)[A-Z]\w*Storage"
)


def read_pickled(path: Path) -> dict[str, Tensor]:
    """Tensors of a file that `torch.save` wrote, as views of it; keys of tables inside tables are joined by dots.

    What is no tensor (a step count, an optimizer's lists) is left out. Raises CheckpointError.
    """
    _look_over(path, _pickle_in(path))
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a damaged or forged file sets off in there
        if "unable to mmap" in str(error):
            raise CheckpointError(f"{path}: {UNMAPPED} ({_first_line(error)})") from error
        raise CheckpointError(f"{path}: damaged, or not a table of tensors ({_first_line(error)}); {RESAVE}") from error
    found: dict[str, Tensor] = {}
    for key, tensor in _leaves(tree, "", set()):
        if key in found:
            raise CheckpointError(f"{path}: holds {key} twice; {RESAVE}")
        found[key] = tensor
    if not found:
        raise CheckpointError(f"{path}: holds no table of tensors")
    _require_held(path, found)
    return found


def _require_held(path: Path, found: dict[str, Tensor]) -> None:
    """Refuses tensors that claim more than is there: strides of zero make any size of one number."""
    for key, tensor in found.items():
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            shape = list(tensor.shape)
            raise CheckpointError(f"{path}: {key} claims {shape} of fewer numbers than that; {RESAVE}")
    claimed, there = sum(tensor.nbytes for tensor in found.values()), path.stat().st_size
    if claimed > MOST_SHARED * there:
        raise CheckpointError(f"{path}: claims {claimed} bytes of tensors in a file of {there}; {RESAVE}")


def _pickle_in(path: Path) -> bytes:
    """The file's pickle, unopened."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch.save stores; a packed entry could grow a thousandfold as it is read.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise CheckpointError(f"{path}: holds packed entries, which torch.save does not write; {RESAVE}")
            pickles = [entry for entry in entries if entry.filename.lower().endswith("data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"{path}: a zip file, but not one that torch.save wrote; {RESAVE}")
            if pickles[0].file_size > MAX_PICKLE_BYTES:
                size = pickles[0].file_size
                raise CheckpointError(f"{path}: its table takes {size} bytes, over {MAX_PICKLE_BYTES}; {RESAVE}")
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise CheckpointError(
            f"{path}: truncated, or not a file that torch.save of 1.6 or later wrote ({error}); "
            f"fetch it again, or {RESAVE}"
        ) from error


def _look_over(path: Path, pickle: bytes) -> None:
    """Refuses a pickle that asks for anything but tables of plain tensors. Runs nothing of it."""
    builds = 0
    try:
        for name, argument, top in _steps(pickle):
            wish = ""
            if name == "GLOBAL" and not _HARMLESS.fullmatch(argument):
                wish = f"to call {argument.replace(' ', '.')[:80]!r}"
            elif name in ("NEWOBJ", "STACK_GLOBAL", "INST", "OBJ"):
                wish = f"to build objects ({name})"
            elif top == _TABLE and name != "EMPTY_TUPLE":
                # torch.save makes a table empty and fills it; each copy of a full one would double what it takes.
                wish = "to copy tables"
            builds += name == "BUILD"
            if wish or builds > MAX_BUILDS:
                raise CheckpointError(f"{path}: not opened, as it asks {wish or 'to build objects'}; {RESAVE}")
    except (ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"{path}: its table is damaged ({_first_line(error)}); fetch it again") from error


def _steps(pickle: bytes) -> Iterator[tuple[str, str, str]]:
    """Each operation of a pickle, its argument in words, and the name on top of the stack, if it is a called one's."""
    named: dict[Any, str] = {}  # by the place it is kept at
    top = ""
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            named[argument] = top
            continue
        yield opcode.name, str(argument), top
        top = ""
        if opcode.name == "GLOBAL":
            top = str(argument)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            top = named[argument]


def _leaves(tree: object, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Tensors in tables inside tables; each table once, however often it is named."""
    if isinstance(tree, Tensor):
        yield prefix, tree
    elif isinstance(tree, dict) and id(tree) not in seen:
        seen.add(id(tree))
        for key, value in tree.items():
            if isinstance(key, str):
                yield from _leaves(value, f"{prefix}.{key}" if prefix else key, seen)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
