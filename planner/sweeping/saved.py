"""A sweep's rows in a file: one JSON object a line, below a line that names the grid. A sweep can go on from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from planner.errors import InputError, MismatchError
from planner.sweeping.grid import Grid, settled
from planner.sweeping.row import Row, from_data

SCHEMA = "blockcascade.sweep/1"


class Saved(NamedTuple):
    """The rows that a file holds already, and where the next ones go."""

    rows: tuple[Row, ...]
    file: IO[bytes]

    def append(self, row: Row) -> None:
        """Writes a row as a whole line, at once."""
        self.file.write(_line(row._asdict()))
        self.file.flush()


@contextmanager
def saved(path: str, grid: Grid, *, resume: bool) -> Iterator[Saved]:
    """A file to put a grid's rows in; with `resume` after those that it holds, a torn last line cut off.

    Raises InputError if the file is there and is not to be resumed, or cannot be written; MismatchError if it holds the
    rows of another grid.
    """
    place, grid = Path(path), settled(grid)
    if place.exists() and not resume:
        raise InputError(f"{path}: is there already; go on with it by --resume, or name another place")
    try:
        with place.open("r+b" if place.exists() else "w+b") as file:
            rows, end = _known(file, grid, path)
            file.seek(end)
            file.truncate()
            if not end:
                file.write(_line(_header(grid)))
                file.flush()
            yield Saved(rows, file)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another place") from error


def _known(file: IO[bytes], grid: Grid, path: str) -> tuple[tuple[Row, ...], int]:
    """The rows of whole lines, and where they end."""
    first = file.readline()
    if not first.endswith(b"\n"):
        if first and not _line(_header(grid)).startswith(first):
            raise MismatchError(f"{path}: holds no sweep; name another place")
        return (), 0
    header = _parsed(first)
    if not isinstance(header, dict) or header.get("schema_name") != SCHEMA:
        raise MismatchError(f"{path}: holds no sweep; name another place")
    if header != _header(grid):
        raise MismatchError(f"{path}: holds the rows of another grid; name another place, or ask for that grid again")
    rows: list[Row] = []
    end = len(first)
    for line in file:
        row = _row(line) if line.endswith(b"\n") else None
        if row is None or row.point != len(rows) or len(rows) == grid.size:
            break
        rows.append(row)
        end += len(line)
    return tuple(rows), end


def _header(grid: Grid) -> dict[str, Any]:
    return {"schema_name": SCHEMA, "grid": grid.digest, "points": grid.size, "columns": list(Row._fields)}


def _row(line: bytes) -> Row | None:
    data = _parsed(line)
    try:
        return from_data(data) if isinstance(data, dict) else None
    except TypeError:
        return None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"
