"""A table in print: boxed on a terminal that has the room, else as plain as it must be to stay readable."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Literal

import click

UNBROKEN = 10_000  # columns: no table is as wide
WELL, BARELY = 20, 8  # columns that a cell of words needs to wrap
GAP = 2  # blanks between columns without a box

Rows = Sequence[tuple[str, ...]]


def print_table(columns: tuple[str, ...], rows: Rows, *, err: bool = False, apart: bool = False) -> None:
    """Prints rows under their columns. Piped: a line a row, whatever its length, without boxes or colours.

    On a terminal too narrow for a line a row, cells of words are wrapped; if that is not enough, each row is a list.
    `apart`: an empty line before it.
    """
    if apart:
        click.echo(err=err)
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        click.echo(_rendered(columns, rows, boxed=False, width=UNBROKEN), err=err)
        return
    width = shutil.get_terminal_size().columns
    if sum(_widths(columns, rows)) + 3 * len(columns) + 1 <= width:
        _print(columns, rows, boxed=True, width=width, err=err)
    elif _least(columns, rows) <= width:
        _print(columns, rows, boxed=False, width=width, err=err)
    else:
        for row in rows:
            listed = [item for item in zip(columns[1:], row[1:], strict=True) if item[1]]
            _print((columns[0], row[0]), listed, boxed=False, width=width, err=err)
            click.echo(err=err)


def _widths(columns: tuple[str, ...], rows: Rows) -> list[int]:
    return [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]


def _least(columns: tuple[str, ...], rows: Rows) -> int:
    """How wide a terminal must be for a table whose words are wrapped."""
    return sum(_narrowest(columns, rows, at, WELL) for at in range(len(columns))) + GAP * (len(columns) - 1)


def _fitted(columns: tuple[str, ...], rows: Rows, width: int) -> list[int]:
    """Widths that fill a terminal at most: the widest columns give way, as far as they can."""
    found = _widths(columns, rows)
    least = [_narrowest(columns, rows, at, BARELY) for at in range(len(columns))]
    while sum(found) + GAP * (len(columns) - 1) > width:
        at = max(range(len(columns)), key=lambda at: (found[at] > least[at], found[at]))
        if found[at] <= least[at]:
            break
        found[at] -= 1
    return found


def _narrowest(columns: tuple[str, ...], rows: Rows, at: int, words: int) -> int:
    """Names come first and stay whole, and so do numbers; words and headings wrap."""
    cell = max((len(row[at]) for row in rows), default=0)
    word = max((len(word) for word in columns[at].split()), default=0)
    return max(word, cell if at == 0 or _are_numbers(rows, at) else min(cell, words))


def _are_numbers(rows: Rows, at: int) -> bool:
    cells = [row[at] for row in rows if row[at]]
    return bool(cells) and all(cell == "-" or cell.lstrip("+-")[:1].isdigit() for cell in cells)


def _print(columns: tuple[str, ...], rows: Rows, *, boxed: bool, width: int, err: bool) -> None:
    click.echo(_rendered(columns, rows, boxed=boxed, width=width), err=err)


def _rendered(columns: tuple[str, ...], rows: Rows, *, boxed: bool, width: int) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SQUARE if boxed else None, pad_edge=boxed, padding=(0, 1) if boxed else (0, GAP, 0, 0))
    widths = _widths(columns, rows) if boxed else _fitted(columns, rows, width)
    for at, column in enumerate(columns):
        side: Literal["left", "right"] = "right" if _are_numbers(rows, at) else "left"
        table.add_column(Text(column), justify=side, width=widths[at], overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    # Colourless: what is bold on a terminal would be noise in a log, and a table says enough without.
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
