"""What values show of themselves in a notebook: small tables, and an inline timeline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from planner.action import TimedAction
from planner.pictures.markup import folded, paragraph
from planner.pictures.scene import scene
from planner.pictures.svg import timelines_svg

MOST = 20  # rows of a table
LONG = 40  # letters of a cell that may be broken into lines
SHORT = 12  # and of a number's title that may not
# Notebooks set cells to the right and break names at hyphens.
LEFT, RIGHT, WHOLE = "text-align:left", "text-align:right", "white-space:nowrap"
# What keeps long titles and sentences from being broken into many lines.
TITLE, SENTENCE = "min-width:5em", "min-width:18em"
# A number with its sign, unit and interval, or none.
_NUMBER = re.compile(r"[-+]?\d[\d,.]*( ?[A-Za-z%/]{1,6})?( \[.*\])?|-?")


class Table(NamedTuple):
    """Rows of text under their columns; `title` is what it is called where it is folded behind its name."""

    columns: Sequence[str]
    rows: Iterable[Sequence[str]]
    title: str = ""


def listing(title: str, first: Table, *folds: Table, notes: Sequence[str] = (), most: int = MOST) -> str:
    """An HTML fragment: a title, notes, a table, and others folded behind their titles, of each the first `most` rows
    and how many more there are. All text is escaped; tables without rows are left out.
    """
    parts = [f"<strong>{escape(title)}</strong>", *(paragraph(note) for note in notes), _shown(first, most)]
    parts += [folded(each.title, shown) for each in folds if (shown := _shown(each, most))]
    return f"<div>{''.join(parts)}</div>"


def _shown(given: Table, most: int) -> str:
    rows = list(given.rows)
    if not rows:
        return ""
    more = len(rows) - most
    return _table(given.columns, rows[:most]) + (paragraph(f"+ {more:,} more") if more > 0 else "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers to the right, text to the left; only columns of sentences are broken into lines."""
    styles = [_style([row[at] for row in rows]) for at in range(len(columns))]
    head = _row("th", columns, list(map(_title_style, columns, styles)))
    body = "".join(_row("td", row, styles) for row in rows)
    return f'<div style="overflow-x:auto"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _style(cells: Sequence[str]) -> str:
    side = RIGHT if all(map(_NUMBER.fullmatch, cells)) and any(cells) else LEFT
    return f"{side};{SENTENCE if max(map(len, cells)) > LONG else WHOLE}"


def _title_style(title: str, style: str) -> str:
    """A number's title may be longer than the number, and have lines."""
    return f"{RIGHT};{TITLE}" if RIGHT in style and len(title) > SHORT else style


def _row(kind: str, cells: Sequence[str], styles: Sequence[str]) -> str:
    inside = (f'<{kind} style="{style}">{escape(cell)}</{kind}>' for cell, style in zip(cells, styles, strict=True))
    return f"<tr>{''.join(inside)}</tr>"


def summary(
    title: str, facts: Iterable[tuple[str, str]], timelines: Mapping[str, Sequence[Sequence[TimedAction]]] | None = None
) -> str:
    """An HTML fragment: a title, facts by name, and the timelines as SVG. All text is escaped; below 200 KB."""
    rows = "".join(
        f'<tr><th style="{LEFT};{WHOLE}">{escape(name)}</th><td style="{LEFT}">{escape(value)}</td></tr>'
        for name, value in facts
    )
    scenes = [scene(name, ranks) for name, ranks in (timelines or {}).items()]
    drawn = f'<div style="overflow-x:auto">{timelines_svg(scenes)}</div>' if any(s.bars for s in scenes) else ""
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table>{drawn}</div>"
