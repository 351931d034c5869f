"""Tables as wide as there is room for, and plain where nobody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest

from executor.table import print_table

COLUMNS = ("device", "memory GB", "source")
ROWS = [("h100", "80", "a data sheet of many words that may be wrapped"), ("cpu-core", "-", "measured")]
BOX = set("┌│├┼┤└┘")


def shown(
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    width: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    """The lines on a terminal of a width; on a pipe if there is none."""
    if width is not None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 24)))
    print_table(columns, rows)
    told = capsys.readouterr()
    assert told.err == ""
    assert "\x1b" not in told.out
    return told.out.splitlines()


def test_by_hand_on_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(COLUMNS, ROWS, None, monkeypatch, capsys) == [
        "device    memory GB  source",
        "h100             80  a data sheet of many words that may be wrapped",
        "cpu-core          -  measured",
    ]


def test_a_row_stays_a_line_on_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (_, row) = shown(("a", "b"), [("x", "word " * 400 + "end")], None, monkeypatch, capsys)
    assert row.endswith("end")


def test_a_wide_terminal_has_boxes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(COLUMNS, ROWS, 80, monkeypatch, capsys)
    assert lines[0].startswith("┌")
    assert len(lines) == len(ROWS) + 4
    assert len({len(line) for line in lines}) == 1


def test_words_are_wrapped_before_anything_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(COLUMNS, ROWS, 40, monkeypatch, capsys)
    assert not BOX & set("".join(lines))
    assert max(map(len, lines)) <= 40
    assert " ".join(line[21:].strip() for line in lines[1:4]) == ROWS[0][2]
    assert lines[4].split() == ["cpu-core", "-", "measured"]


def test_each_row_is_a_list_where_a_table_has_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(COLUMNS, ROWS, 24, monkeypatch, capsys)
    assert lines[0].split() == ["device", "h100"]
    assert lines[1].split() == ["memory", "GB", "80"]
    assert " ".join(line[11:].strip() for line in lines[2:6]) == ROWS[0][2]
    assert max(map(len, lines)) <= 24
    assert ["device", "cpu-core"] in [line.split() for line in lines]


@pytest.mark.parametrize("width", [None, 30, 80])
def test_brackets_are_no_markup(
    width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert any("[red]x[/red]" in line for line in shown(("a",), [("[red]x[/red]",)], width, monkeypatch, capsys))


def test_no_rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(COLUMNS, [], None, monkeypatch, capsys) == ["device  memory GB  source"]


def test_the_box_goes_where_it_would_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cells of 5 and 3: a box takes 5 + 3 + 2 x 3 + 1 = 15."""
    rows = [("abcde", "fgh")]
    assert shown(("a", "b"), rows, 15, monkeypatch, capsys)[0] == "┌" + "─" * 7 + "┬" + "─" * 5 + "┐"
    assert shown(("a", "b"), rows, 14, monkeypatch, capsys) == ["a      b", "abcde  fgh"]


def test_names_and_numbers_stay_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a name of several words that goes on", "12 of 34 567", "a cell of words " * 4)]
    (line, *_) = shown(("name", "number", "words"), rows, 75, monkeypatch, capsys)[1:]
    assert line.startswith("a name of several words that goes on  12 of 34 567  a cell of words")


def test_an_empty_cell_is_not_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "", "word " * 20)]
    assert not any(
        line.startswith("empty") for line in shown(("name", "empty", "words"), rows, 15, monkeypatch, capsys)
    )
