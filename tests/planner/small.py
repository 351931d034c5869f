"""Small scheduling problems written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.instance import ANY, Instance, Schedule

Row = tuple[int, int, int]


def problem(
    durations: Sequence[int | tuple[int, ...]],
    reads: Mapping[int, Sequence[int | tuple[int, int]]] | None = None,
    *,
    units: int = 2,
    stays: Mapping[int, int] | None = None,
    payload_bytes: Sequence[int] | None = None,
    **rest: Any,
) -> Instance:
    """Tasks with one duration on all units, or one on each; who reads a task by number reads payload of that number."""
    size = len(durations)
    rows = [row if isinstance(row, tuple) else (row,) * units for row in durations]
    inputs = [
        tuple(read if isinstance(read, tuple) else (read, read) for read in (reads or {}).get(task, ()))
        for task in range(size)
    ]
    return Instance(
        units=len(rows[0]) if rows else units,
        durations=rows,
        inputs=inputs,
        payload_bytes=list(payload_bytes or [1] * size),
        blocks=rest.pop("blocks", [0] * size),
        stays=[(stays or {}).get(task, ANY) for task in range(size)],
        **rest,
    )


def rows(schedule: Schedule) -> list[list[Row]]:
    """(task, start, end) by unit, in order of time; a gang on its first unit alone."""
    tasks = enumerate(zip(schedule.units, schedule.starts_us, schedule.ends_us, strict=True))
    placed = sorted((start, task, end, unit) for task, (unit, start, end) in tasks)
    count = max(schedule.units, default=0) + 1
    return [[(task, start, end) for start, task, end, unit in placed if unit == wanted] for wanted in range(count)]


def ways(schedule: Schedule) -> list[tuple[int, int, int, int, int]]:
    """(payload, source, target, start, end) of every transfer, in order of time."""
    return sorted((tuple(way) for way in schedule.transfers), key=lambda way: (way[3], way))  # type: ignore[misc]
