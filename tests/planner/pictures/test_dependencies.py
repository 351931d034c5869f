"""The figure that defines a pattern: its staircase, and the context of a pass, against the levels by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.catalog import load_spec
from planner.errors import InputError
from planner.patterns import Pattern
from planner.pictures.dependencies import context, plot_dependencies, staircase
from tests.planner.clips import cascade, model

SPEC = model(4, clean=True, window=8)


def levels(pattern: Pattern, of: tuple[int, int], blocks: int = 5) -> list[tuple[int, int, bool]]:
    return [(read.cell.block, read.cell.level, read.beside) for read in context(SPEC, pattern, blocks, of)]


def test_each_row_begins_an_offset_later() -> None:
    cells = staircase(SPEC, cascade(2), 3)
    assert [cell.tick for cell in cells] == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8]


def test_what_a_first_pass_reads() -> None:
    assert levels(Pattern.sequential(SPEC), (3, 0)) == [(0, 4, False), (1, 4, False), (2, 4, False)]
    assert levels(cascade(2), (3, 0)) == [(0, 3, False), (1, 2, False), (2, 1, False)]
    assert levels(cascade(1), (3, 0)) == [(0, 0, False), (1, 0, False), (2, 0, False)]


def test_what_is_read_live_is_told_apart() -> None:
    assert levels(cascade(1, "live-causal"), (3, 1)) == [(0, 4, True), (1, 3, True), (2, 2, True)]
    assert levels(cascade(2, "live-causal"), (3, 1)) == [(0, 4, False), (1, 4, False), (2, 3, True)]
    assert levels(cascade(1, "live-joint"), (3, 1)) == [(0, 4, True), (1, 3, True), (2, 2, True), (4, 0, True)]


def test_what_is_read_is_made_before_or_beside() -> None:
    for pattern in (cascade(1), cascade(3), cascade(2, "live-causal"), cascade(1, "live-joint")):
        for cell in staircase(SPEC, pattern, 5):
            for read in context(SPEC, pattern, 5, (cell.block, cell.level)):
                assert (read.cell.tick == cell.tick) if read.beside else (read.cell.tick < cell.tick)


def test_the_picture_says_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "staircase.svg"
    plot_dependencies(SPEC, [cascade(2), cascade(1, "live-joint")], path, blocks=4)
    words = re.findall(r"<!-- (.*?) -->", path.read_text())
    assert "cascade:2: each block trails by 2 passes; at most 3 in flight" in words
    assert "cascade:1:live-joint: each block trails by 1 pass; at most 5 in flight" in words
    assert {"offset 1", "offset 2", "block 3", "c", "the pass that reads"} <= set(words)
    first = path.read_bytes()
    plot_dependencies(SPEC, [cascade(2), cascade(1, "live-joint")], path, blocks=4)
    assert path.read_bytes() == first


def test_a_model_without_a_clean_pass(tmp_path: Path) -> None:
    path = tmp_path / "staircase.svg"
    plot_dependencies(model(2), cascade(1), path, blocks=3)
    assert "c" not in re.findall(r"<!-- (.*?) -->", path.read_text())


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"blocks": 1}, "draw 2"),
        ({"blocks": 99}, "draw 2"),
        ({"of": (5, 0)}, "is no pass"),
        ({"of": (0, 5)}, "is no pass"),
        ({"pattern": []}, "at least one"),
        ({"pattern": cascade(7)}, "offset"),
        ({"path": Path("/nowhere/at/all.png")}, "cannot be written"),
    ],
)
def test_what_cannot_be_drawn(given: dict[str, object], error: str, tmp_path: Path) -> None:
    words = {"pattern": cascade(1), "path": tmp_path / "a.png"} | given
    with pytest.raises(InputError, match=error):
        plot_dependencies(load_spec("self-forcing-1.3b"), **words)  # type: ignore[arg-type]
