"""Rows of timed actions: JSON and text forms, and the figures read off them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from planner.action import Action, TimedAction
from planner.errors import InputError
from planner.rows import (
    MAX_TIME_US,
    Rows,
    begun_us,
    busy_us,
    finished_us,
    makespan_us,
    rows_from_text,
    rows_to_text,
)
from tests.planner.test_action import actions

adapter: TypeAdapter[Rows] = TypeAdapter(Rows)

times = st.tuples(st.integers(0, MAX_TIME_US), st.integers(0, MAX_TIME_US)).map(sorted)
timed = st.builds(lambda action, at: TimedAction(action, *at), actions, times)
rows_of_ranks = st.lists(st.lists(timed, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple)

TEXT = """\
r0 0 100 denoise b0.s0
r0 100 106 send latents b0.s0 to r1
r0 106 106 free latents b0.s0
r2 100 106 recv latents b0.s0 from r0
r2 106 146 decode b0
r2 146 206 decode b1
"""


def from_text(text: str, ranks: int) -> Rows:
    return rows_from_text(iter(enumerate(text.splitlines(), start=1)), ranks)


def test_text_by_hand() -> None:
    rows = from_text(TEXT, 3)
    assert [len(program) for program in rows] == [3, 0, 3]
    assert rows[0][1] == TimedAction(Action.parse("send latents b0.s0 to r1"), 100, 106)
    assert rows[2][2] == TimedAction(Action.parse("decode b1"), 146, 206)
    assert rows_to_text(rows) == TEXT


def test_json_by_hand() -> None:
    rows = from_text(TEXT, 3)
    assert adapter.dump_python(rows, mode="json")[0][:2] == [
        ["denoise b0.s0", 0, 100],
        ["send latents b0.s0 to r1", 100, 106],
    ]


@given(rows_of_ranks)
def test_text_and_json_round_trip(rows: Rows) -> None:
    assert from_text(rows_to_text(rows), len(rows)) == rows
    assert adapter.validate_json(adapter.dump_json(rows)) == rows
    assert adapter.validate_python(rows) == rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["denoise b0.s0", -1, 5], "0 <= start <= end, not -1, 5"),
        (["denoise b0.s0", 6, 5], "0 <= start <= end, not 6, 5"),
        (["denoise b0.s0", 0, MAX_TIME_US + 1], "whole microseconds"),
        (["denoise b0.s0", 0, 1.0], "not 0, 1.0"),
        (["denoise b0.s0", 0.0, 1], "not 0.0, 1"),
        (["denoise b0.s0", 0, True], "not 0, True"),
        (["denoise b0.s0", "0", 1], "not '0', 1"),
        (["denoise b0.s0", 0, float("nan")], "not 0, nan"),
        (["denoise b0.s0", 0, float("inf")], "not 0, inf"),
        (["denoise b0.s0", 0, None], "not 0, None"),
        (["denoise b00.s0", 0, 1], "a row is .* 'denoise b00.s0'"),
        ([None, 0, 1], "a row is"),
        (["denoise b0.s0", 0], "a row is"),
        (["denoise b0.s0", 0, 1, 2], "a row is"),
        ({"action": "denoise b0.s0"}, "a row is"),
        (7, "a row is"),
        (TimedAction(Action.parse("decode b0"), 2, 1), "times of decode b0"),
    ],
)
def test_wrong_rows_are_refused(row: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        adapter.validate_python([[row]])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "r0 0 1",
        "r2 0 1 denoise b0.s0",
        "r0 -1 0 denoise b0.s0",
        "r0 0 1.5 denoise b0.s0",
        "r0 0 nan denoise b0.s0",
        "rx 0 1 denoise b0.s0",
        "r-1 0 1 denoise b0.s0",
        "0 0 1 denoise b0.s0",
        "r00 0 1 denoise b0.s0",
        "r0 00 1 denoise b0.s0",
        "r0 0 1_0 denoise b0.s0",
        "r0 +0 1 denoise b0.s0",
        "r0 0 ١ denoise b0.s0",
    ],
)
def test_wrong_lines_are_named(line: str) -> None:
    with pytest.raises(InputError, match=r"^line 2: ") as refused:
        from_text(f"r1 0 1 decode b0\n{line}\nr1 1 2 decode b1", 2)
    assert repr(line) in str(refused.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("r0 1 0 denoise b0.s0", "0 <= start <= end, not 1, 0"),
        (f"r0 0 {MAX_TIME_US + 1} denoise b0.s0", "whole microseconds"),
        ("r0 0 1 denoise", "'denoise'"),
        ("r0 0 1 denoise b0.s0 ", "'denoise b0.s0 '"),
        ("r0 0 1  denoise b0.s0", "' denoise b0.s0'"),
    ],
)
def test_lines_with_a_wrong_action_or_time_say_which(line: str, message: str) -> None:
    with pytest.raises(InputError, match=r"^line 1: ") as refused:
        from_text(line, 2)
    assert message in str(refused.value)


def test_figures_by_hand() -> None:
    rows = from_text(TEXT, 3)
    assert makespan_us(rows) == 206
    assert makespan_us([[], []]) == 0
    assert makespan_us(from_text("r0 0 9 decode b0\nr0 2 5 decode b1", 1)) == 9
    # Transfers and frees are not work.
    assert [busy_us(program) for program in rows] == [100, 0, 100]


def test_a_block_is_finished_when_decoded() -> None:
    rows = from_text("r0 0 9 denoise b0.s1\nr0 9 10 denoise b1.s1\nr1 30 40 decode b1\nr1 10 20 decode b0", 2)
    assert finished_us(rows, last_step=1) == [20, 40]


def test_a_block_that_is_not_decoded_is_finished_after_its_last_step() -> None:
    text = """\
r0 0 5 denoise b0.s0
r0 5 9 denoise b0.s1
r0 9 29 send kv b0.s1 to r1
r0 9 30 commit b0
r1 9 12 denoise b1.s0
r1 12 14 denoise b1.s1
r1 9 29 recv kv b0.s1 from r0
"""
    assert finished_us(from_text(text, 2), last_step=1) == [9, 14]
    assert finished_us([[]], last_step=1) == []


def test_a_block_in_parts_is_finished_with_the_last_part() -> None:
    text = """\
r0 0 5 denoise b0.s0
r1 5 9 decode b0.d0
r1 9 13 decode b1.d0
r2 9 12 decode b0.d1
r2 13 20 decode b1.d1
"""
    assert finished_us(from_text(text, 3), last_step=0) == [12, 20]


def test_a_block_is_finished_with_the_last_rank_of_its_last_step() -> None:
    """In a ring that is the last slice, in a group any."""
    text = """\
r0 0 5 slice 0.0 b0.s0
r0 5 9 slice 1.0 b0.s1 b1.s0
r0 12 15 slice 2.0 b1.s1
r1 5 7 slice 0.1 b0.s0
r1 9 12 slice 1.1 b0.s1 b1.s0
r1 15 19 slice 2.1 b1.s1
"""
    assert finished_us(from_text(text, 2), last_step=1) == [12, 19]
    assert begun_us(from_text(text, 2)) == [0, 5]


def test_a_first_block_may_take_more_steps() -> None:
    text = "r0 0 5 denoise b0.s1\nr0 5 9 denoise b0.s2\nr0 9 12 commit b0\nr0 12 15 denoise b1.s1"
    assert finished_us(from_text(text, 1), last_step=1) == [9, 15]


def test_passes_in_ticks_and_batches_count() -> None:
    text = """\
r0 0 5 tick 0 b0.s0
r0 5 9 tick 1 b0.c
r1 0 5 tick 0
r1 5 9 tick 1 b1.s0
"""
    rows = from_text(text, 2)
    assert finished_us(rows, last_step=0) == [5, 9]
    assert begun_us(rows) == [0, 5]
    batches = from_text("r0 0 5 batch 0.0 b0.s0\nr0 7 9 batch 1.0 b0.c b1.s0\nr0 9 12 decode b0", 1)
    assert finished_us(batches, last_step=0) == [12]
    assert begun_us(batches) == [0, 7]
    assert begun_us([[]]) == []
    # A rank is busy with its share of a tick however few passes it has.
    assert [busy_us(program) for program in rows] == [9, 9]
