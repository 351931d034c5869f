"""Reads a trace of sessions: CSV with a header, or a JSON object a line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.serving.demand import MOST_SESSIONS, Arrivals, Visit

COLUMNS = ("arrival_s", "seconds", "fps", "prompts")


def read_arrivals(path: str) -> Arrivals:
    """The sessions of a file with the columns or keys arrival_s, seconds and optionally fps and prompts.

    Raises InputError naming the file, the line, the field and the fix.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{path}: cannot be read ({reason}); name a CSV or JSON lines file of sessions") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    rows = _json_rows(lines, path) if lines and lines[0][1].lstrip().startswith("{") else _csv_rows(lines, path)
    if not rows:
        raise InputError(f"{path}: holds no session; give lines of {','.join(COLUMNS[:2])} below a header")
    if len(rows) > MOST_SESSIONS:
        raise InputError(f"{path}: holds {len(rows)} sessions, at most {MOST_SESSIONS} are played; cut it")
    visits = tuple(Visit.from_data(data, f"{path}, line {number}") for number, data in rows)
    return Arrivals(kind="trace", sessions=len(visits), visits=visits)


def _json_rows(lines: list[tuple[int, str]], path: str) -> list[tuple[int, Any]]:
    rows = []
    for number, line in lines:
        try:
            rows.append((number, json.loads(line)))
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not valid JSON ({error}); write one object a line") from error
    return rows


def _csv_rows(lines: list[tuple[int, str]], path: str) -> list[tuple[int, Any]]:
    if not lines:
        return []
    header = [name.strip() for name in next(csv.reader([lines[0][1]]))]
    lacking = [name for name in COLUMNS[:2] if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if lacking or unknown:
        told = f"lacks {', '.join(lacking)}" if lacking else f"has the unknown {', '.join(unknown)}"
        raise InputError(f"{path}: the header {told}; its columns are {', '.join(COLUMNS)} (the last two optional)")
    rows = []
    for number, line in lines[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        if len(cells) != len(header):
            raise InputError(f"{path}, line {number}: has {len(cells)} values, the header names {len(header)}")
        rows.append((number, {name: cell for name, cell in zip(header, cells, strict=True) if cell}))
    return rows
