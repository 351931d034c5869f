"""A run's folder on disk: files of tensors that appear whole and durable or not at all, and are read with suspicion.

Only names of `saved` are written, read or deleted, and nothing is followed out of the folder: a link is refused.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from executor.errors import OutputError, StateError
from executor.keeping.saved import BLOCKS, STATE, Saved, parse

Index = tuple[slice, ...]

# What a write that was cut off leaves behind: ours, and the library's own.
_LEFTOVER = re.compile(r"\.[a-z0-9.-]{1,80}\.safetensors\.[a-z0-9_]{8}\.part|\.tmp[A-Za-z0-9]{6}", re.ASCII)
_TYPES = {
    torch.uint8: "U8",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


class Header(NamedTuple):
    """A tensor's shape and type; the type as safetensors writes it."""

    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: torch.dtype) -> Header:
        return cls(shape, _TYPES.get(dtype, str(dtype)))

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


class Store:
    """The tensors in one folder. All ranks of a run share it; each file is written by one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Makes the folders. Raises StateError if they cannot be made, or one of them is a link."""
        for place in (self.folder, self.folder / BLOCKS, self.folder / STATE):
            try:
                place.mkdir(parents=place == self.folder, exist_ok=True)
            except OSError as error:
                raise StateError(f"{place}: cannot be made ({error.strerror}); name another folder") from error
            if place != self.folder and not stat.S_ISDIR(place.lstat().st_mode):
                raise StateError(f"{place}: is a link, and may lead anywhere; remove it")

    def write(self, saved: Saved, tensors: Mapping[str, Tensor]) -> None:
        """Writes a file, replacing one of that name. Raises OutputError naming it if it is not whole on disk."""
        target = self.folder / str(saved)
        partial: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
            os.close(descriptor)
            partial = Path(name)
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial)
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
        except (OSError, SafetensorError) as error:
            if partial is not None:
                partial.unlink(missing_ok=True)
            cause = error.strerror if isinstance(error, OSError) else error
            raise OutputError(f"{target}: cannot be written ({cause}); make room, then go on with --resume") from error

    def has(self, saved: Saved) -> bool:
        """Whether the file is there; what is in it is another matter."""
        return (self.folder / str(saved)).is_file()

    def headers(self, saved: Saved) -> dict[str, Header]:
        """The tensors of a file by key, not read yet. Raises StateError naming what is wrong with it."""
        path = self._regular(saved)
        try:
            # The library checks the header against the file's size first.
            with safe_open(path, framework="numpy") as file:
                slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - no mapping
                return {key: Header(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
        except (OSError, SafetensorError) as error:
            raise StateError(f"{path}: damaged ({error}); remove it") from error

    def require(self, saved: Saved, key: str, wanted: Header) -> None:
        """Raises StateError unless the file holds just this tensor."""
        found = self.headers(saved)
        if found != {key: wanted}:
            told = ", ".join(f"{name} {header}" for name, header in list(found.items())[:3]) or "nothing"
            raise StateError(f"{self.folder / str(saved)}: holds {told} instead of {key} {wanted}; remove it")

    def read(self, saved: Saved, key: str, index: Index = ()) -> Tensor:
        """A tensor, or of it what the slices name. Raises StateError as `headers` does."""
        path = self._regular(saved)
        try:
            with safe_open(path, framework="pt") as file:
                found: Tensor = file.get_slice(key)[index] if index else file.get_tensor(key)
                return found
        except (OSError, SafetensorError, RuntimeError) as error:
            raise StateError(
                f"{path}: cannot be read ({error}); remove it, then go on from an earlier block"
            ) from error

    def read_all(self, saved: Saved) -> dict[str, Tensor]:
        """All of a file's tensors."""
        return {key: self.read(saved, key) for key in self.headers(saved)}

    def state(self) -> Iterator[Saved]:
        """What of the runs' state is there, by name, in no order that means anything."""
        for entry in self._entries(STATE):
            found = parse(f"{STATE}/{entry.name}")
            if found is not None and entry.is_file(follow_symlinks=False):
                yield found

    def holds_any(self) -> bool:
        """Whether some block or state is there, whatever it is."""
        return any(parse(f"{place}/{entry.name}") for place in (BLOCKS, STATE) for entry in self._entries(place))

    def delete(self, saved: Saved) -> None:
        """Deletes a file, if it is there."""
        (self.folder / str(saved)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Deletes what interrupted writes have left; nobody may be writing."""
        for place in (BLOCKS, STATE):
            for entry in list(self._entries(place)):
                if _LEFTOVER.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False):
                    (self.folder / place / entry.name).unlink(missing_ok=True)

    def _entries(self, place: str) -> Iterator[os.DirEntry[str]]:
        folder = self.folder / place
        if folder.is_symlink() or not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            yield from entries

    def _regular(self, saved: Saved) -> Path:
        path = self.folder / str(saved)
        try:
            found = path.lstat()
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode) or path.parent.is_symlink():
            raise StateError(f"{path}: is a link or no file; remove it")
        return path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
