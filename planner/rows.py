"""Rows of timed actions per rank: what a plan foretells and a trace records, and the figures read off them.

In JSON a row is `["denoise b3.s2", 120, 250]`; in text a line `r0 120 250 denoise b3.s2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from planner.action import Action, Kind, TimedAction
from planner.errors import InputError

MAX_TIME_US = 10**15
_LINE = re.compile(r"r(0|[1-9]\d{0,3}) (0|[1-9]\d{0,15}) (0|[1-9]\d{0,15}) (.+)", re.ASCII)


def _validate(value: Any) -> TimedAction:
    if isinstance(value, TimedAction):
        action, start, end = value
    else:
        try:
            text, start, end = value
            action = Action.parse(text)
        except (TypeError, ValueError, InputError) as error:
            raise ValueError(f"a row is [action, start_us, end_us]: {error}") from error
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= MAX_TIME_US:
        raise ValueError(f"times of {action} must be whole microseconds, 0 <= start <= end, not {start!r}, {end!r}")
    return TimedAction(action, start, end)


Row = Annotated[
    TimedAction,
    GetPydanticSchema(
        lambda _type, _handler: core_schema.no_info_plain_validator_function(
            _validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda row: [str(row.action), row.start_us, row.end_us]
            ),
        )
    ),
]

Rows = tuple[tuple[Row, ...], ...]


def rows_to_text(ranks: Sequence[Sequence[TimedAction]]) -> str:
    """One line per action, rank by rank, in program order."""
    return "".join(f"r{rank} {t.start_us} {t.end_us} {t.action}\n" for rank, rows in enumerate(ranks) for t in rows)


def rows_from_text(lines: Iterator[tuple[int, str]], ranks: int) -> Rows:
    """The inverse of `rows_to_text` over (line number, line). Raises InputError naming the line."""
    programs: list[list[TimedAction]] = [[] for _ in range(ranks)]
    for number, line in lines:
        match = _LINE.fullmatch(line)
        if match is None or int(match[1]) >= ranks:
            raise InputError(f"line {number}: {line!r} is not 'rRANK START END ACTION' with a rank below {ranks}")
        try:
            programs[int(match[1])].append(_validate((match[4], int(match[2]), int(match[3]))))
        except ValueError as error:
            raise InputError(f"line {number}: {error}") from error
    return tuple(tuple(rows) for rows in programs)


def makespan_us(ranks: Sequence[Sequence[TimedAction]]) -> int:
    """End of the last action, counted from the clip's start."""
    return max((row.end_us for rows in ranks for row in rows), default=0)


def finished_us(ranks: Sequence[Sequence[TimedAction]], last_step: int) -> list[int]:
    """When each block is finished: decoded, or where nothing is decoded, through its last denoise step.

    `last_step` is that of all blocks but the first, which may have steps of its own.
    """
    decoded: dict[int, int] = {}
    denoised: dict[int, tuple[int, int]] = {}  # the last step so far, and when the last rank is through it
    for rows in ranks:
        for action, _start, end in rows:
            if action.kind is Kind.DECODE:
                decoded[action.block] = max(end, decoded.get(action.block, 0))
            for block, step in action.passes:
                if step is not None and (step == last_step or block == 0):
                    denoised[block] = max((step, end), denoised.get(block, (0, 0)))
    return [decoded[block] for block in sorted(decoded)] or [denoised[block][1] for block in sorted(denoised)]


def lengths_us(ranks: Sequence[Sequence[TimedAction]], last_step: int) -> tuple[int, int]:
    """The makespan, and the time from the first finished block to the last."""
    finished = finished_us(ranks, last_step)
    return makespan_us(ranks), finished[-1] - finished[0]


def begun_us(ranks: Sequence[Sequence[TimedAction]]) -> list[int]:
    """When each block's first pass starts."""
    begun: dict[int, int] = {}
    for rows in ranks:
        for action, start, _end in rows:
            for block, _ in action.passes:
                begun[block] = min(start, begun.get(block, start))
    return [begun[block] for block in sorted(begun)]


def busy_us(rows: Sequence[TimedAction]) -> int:
    """Time a rank spends in compute actions."""
    return sum(row.end_us - row.start_us for row in rows if row.action.is_compute)
