"""HTML from values: every text is escaped here, and nowhere else is markup made of what a document says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, chosen: int = -1) -> str:
    """A table; its last `numbers` columns are set to the right, and row `chosen` is marked."""
    first = len(columns) - numbers
    marks = ["" if at < first else ' class="number"' for at in range(len(columns))]
    head = "".join(f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(columns, marks, strict=True))
    body = "".join(
        ('<tr class="chosen">' if at == chosen else "<tr>")
        + "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for at, row in enumerate(rows)
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def section(title: str, *parts: str) -> str:
    """A headed section; nothing if it has no parts."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def folded(title: str, part: str) -> str:
    """Markup behind a line to click on."""
    return f"<details><summary>{escape(title)}</summary>{part}</details>"


def beside(*parts: str) -> str:
    """Sections next to one another where there is room."""
    return f'<div class="beside">{"".join(parts)}</div>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def ms(us: float) -> str:
    """Milliseconds with a tenth, as tables have them."""
    return f"{us / 1000:,.1f}"


def percent(share: float) -> str:
    """A signed share; no sign where nothing changes."""
    text = f"{share:+.2%}"
    return "0.00%" if text in ("+0.00%", "-0.00%") else text
