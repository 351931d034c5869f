"""Rows in a file: whole lines, cut where they are torn, of one grid only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planner.errors import InputError, MismatchError
from planner.sweeping.grid import Grid
from planner.sweeping.saved import saved
from planner.whatif import whatif

GRID = Grid.from_data({"model": "toy", "device": "cpu-core", "count": "1-3", "price": [1, 2]}, "grid")
ROWS = whatif(GRID, workers=1).rows


def write(path: Path, count: int, *, resume: bool = False, grid: Grid = GRID) -> int:
    """How many rows were there before up to `count` were put there."""
    with saved(str(path), grid, resume=resume) as file:
        for row in ROWS[len(file.rows) : count]:
            file.append(row)
        return len(file.rows)


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write(path, 4) == 0
    assert len(path.read_text().splitlines()) == 5
    with saved(str(path), GRID, resume=True) as file:
        assert file.rows == ROWS[:4]


def test_a_row_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with saved(str(path), GRID, resume=False) as file:
        file.append(ROWS[0])
        assert len(path.read_text().splitlines()) == 2


def test_whole_at_any_cut(tmp_path_factory: pytest.TempPathFactory) -> None:
    """However a file was torn, going on with it gives the same bytes."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write(path, len(ROWS))
    whole = path.read_bytes()

    again = whole.splitlines(keepends=True)[1]

    @example(len(whole), b"{")
    @example(whole.index(again) + len(again), again)
    @given(st.integers(0, len(whole)), st.sampled_from([b"", b"{", b"\xff", b'{"point": 0}\n', again]))
    def torn(cut: int, tail: bytes) -> None:
        if cut < whole.index(b"\n") + 1:
            tail = b""  # what is no beginning of ours is not written over
        path.write_bytes(whole[:cut] + tail)
        write(path, len(ROWS), resume=True)
        assert path.read_bytes() == whole

    torn()


def test_another_grid_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write(path, 2)
    with pytest.raises(MismatchError, match="rows of another grid"):
        write(path, 2, resume=True, grid=GRID.model_copy(update={"count": (1, 2)}))


@pytest.mark.parametrize(
    "text", ["hello", "hello\n", "[1]\n", json.dumps({"schema_name": "blockcascade.plan/2"}) + "\n"]
)
def test_what_is_no_sweep_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(text)
    with pytest.raises(MismatchError, match="holds no sweep"):
        write(path, 1, resume=True)
    with pytest.raises(InputError, match="is there already"):
        write(path, 1)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "none" / "rows.jsonl", 1)
