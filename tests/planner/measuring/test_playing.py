"""The player by hand, and against one that is walked through block by block."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.measuring.playing import Times, attainment, play_marks_us, shown_us, stalls, starts_us

SELF_FORCING = load_spec("self-forcing-1.3b")  # 9 frames, then 12 a block, at 16 a second


def stopped(shown: Times, marks: Times) -> tuple[int, int]:
    count, lasted = stalls(shown, marks)
    return int(count), int(lasted)


def array(*values: int) -> Times:
    return np.array(values, np.int64)


def test_marks_by_hand() -> None:
    assert list(play_marks_us(SELF_FORCING, 3)) == [0, 562_500, 1_312_500, 2_062_500]


def test_marks_do_not_drift() -> None:
    spec = SELF_FORCING.model_copy(update={"frame_rate": 7.0})
    marks = play_marks_us(spec, 701)
    assert marks[-1] == round((9 + 12 * 700) / 7 * 1e6)
    assert set(np.diff(marks)[1:]) == {1_714_285, 1_714_286}


def test_a_late_block_stops_it_once() -> None:
    marks, finished = array(0, 10, 20, 30, 40), array(5, 14, 40, 42)
    shown = shown_us(finished, marks, 1)
    assert list(shown) == [5, 15, 40, 50]
    assert stopped(shown, marks) == (1, 15)
    # It never stops: due at 5, 15, 25, 35.
    assert attainment(finished, marks, 1, 4) == 0.5


def test_a_start_buffer_saves_it() -> None:
    marks, finished = array(0, 10, 20, 30), array(5, 20, 30)
    assert stopped(shown_us(finished, marks, 1), marks) == (1, 5)
    assert starts_us(finished, 2) == 20
    assert list(shown_us(finished, marks, 2)) == [20, 30, 40]
    assert stopped(shown_us(finished, marks, 2), marks) == (0, 0)
    assert attainment(finished, marks, 1, 3) == 1 / 3
    assert attainment(finished, marks, 2, 3) == 1


def test_a_buffer_larger_than_the_clip_waits_for_all_of_it() -> None:
    assert starts_us(array(5, 9, 7), 100) == 9


def test_what_never_comes_is_late() -> None:
    assert attainment(array(1, 2), array(0, 10, 20), 1, 8) == 0.25


def test_just_in_time_is_in_time() -> None:
    marks = array(0, 10, 20)
    assert attainment(array(5, 15), marks, 1, 2) == 1
    assert attainment(array(5, 16), marks, 1, 2) == 0.5
    assert stopped(shown_us(array(5, 15), marks, 1), marks) == (0, 0)


@given(
    st.lists(st.lists(st.integers(0, 100), min_size=4, max_size=4), min_size=1, max_size=5),
    st.lists(st.integers(1, 30), min_size=4, max_size=4),
    st.integers(1, 6),
)
def test_many_runs_at_once_as_one_by_one(runs: list[list[int]], lasts: list[int], start: int) -> None:
    marks = np.concatenate(([0], np.cumsum(lasts))).astype(np.int64)
    shown = shown_us(np.array(runs, np.int64), marks, start)
    counts, waited = stalls(shown, marks)
    shares = attainment(np.array(runs, np.int64), marks, start, 4)
    for at, finished in enumerate(runs):
        free, stops, lost, begins = max(finished[:start]), 0, 0, []
        for block, done in enumerate(finished):
            begins.append(max(free, done))
            stops += block > 0 and begins[-1] > free
            lost += begins[-1] - free if block else 0
            free = begins[-1] + lasts[block]
        in_time = sum(done <= max(finished[:start]) + int(marks[block]) for block, done in enumerate(finished))
        assert (shown[at].tolist(), int(counts[at]), int(waited[at])) == (begins, stops, lost)
        assert shares[at] == in_time / 4
