"""Rows of which none is beaten in everything that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from planner.errors import InputError
from planner.sweeping.row import Row
from planner.unbeaten import unbeaten

SHORT = {
    "fps": "steady_fps",
    "money": "money_per_minute",
    "first-frame": "first_frame_us",
    "control": "control_us",
    "period": "period_us",
    "memory": "peak_memory_bytes",
    "devices": "devices",
    "sessions-as-placed": "sessions_as_placed",
}
LARGER = frozenset({"steady_fps", "sessions_as_placed"})  # is better


def columns(objectives: Sequence[str]) -> tuple[str, ...]:
    """The columns of objectives by their short names or their own. Raises InputError for less than two, unknown ones or
    one named twice.
    """
    found = tuple(SHORT.get(name, name) for name in objectives)
    if len(found) < 2 or len(set(found)) < len(found) or not set(found) <= set(SHORT.values()):
        raise InputError(f"pareto: name two or more different ones of {', '.join(SHORT)}, not {', '.join(objectives)}")
    return found


def front(rows: Sequence[Row], objectives: Sequence[str]) -> tuple[Row, ...]:
    """The rows that none beats in all objectives; of equals the first. Best first by the objectives in their order."""
    names = columns(objectives)
    kept = [row for row in rows if row.is_ok] or [row for row in rows if row.is_possible]
    kept.sort(key=lambda row: row.point)
    return tuple(kept[place] for place in unbeaten([_values(row, names) for row in kept]))


def _values(row: Row, names: Sequence[str]) -> tuple[float, ...]:
    """Smaller is better."""
    return tuple(-row.figure(name) if name in LARGER else row.figure(name) for name in names)
