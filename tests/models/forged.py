"""Weight files as a stranger could forge them, byte by byte."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
TABLE = b"ccollections\nOrderedDict\n"


class Trap:
    """What a pickle turns into a call when it is opened."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._reduced = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._reduced


def text(words: str) -> bytes:
    return b"X" + struct.pack("<I", len(words)) + words.encode()


def number(value: int) -> bytes:
    packed = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(packed)]) + packed


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(size: Sequence[int], stride: Sequence[int], *, there: int = 16, offset: int = 0) -> bytes:
    """A float32 tensor over storage 0, which the pickle says has `there` numbers."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(there) + b"tQ"
    return REBUILD + b"(" + storage + number(offset) + numbers(size) + numbers(stride) + b"\x89" + TABLE + b")RtR"


def table(values: dict[str, bytes]) -> bytes:
    return b"\x80\x02}" + b"".join(text(key) + value + b"s" for key, value in values.items()) + b"."


def write_torch(path: Path, pickled: bytes, *, packed: bool = False, numbers_held: int = 16) -> None:
    """The file that torch.save would write around a pickle, with one storage of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in {
            "data.pkl": pickled,
            "byteorder": b"little",
            "data/0": bytes(4 * numbers_held),
            "version": b"3\n",
        }.items():
            archive.writestr(f"forged/{name}", content)


def write_trap(path: Path, call: Callable[..., Any], *arguments: Any, protocol: int = 2) -> None:
    """A file that `torch.load` without `weights_only` would run a call from."""
    write_torch(path, pickle.dumps({"generator": {"weight": Trap(call, *arguments)}}, protocol=protocol))


def write_safetensors(path: Path, header: object, content: bytes = b"", *, claimed: int | None = None) -> None:
    """A header, its length before it or another claimed, and the bytes after it."""
    told = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(told) if claimed is None else claimed) + told + content)


def entry(shape: Sequence[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
