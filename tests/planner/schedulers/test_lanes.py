"""Lanes: gaps by hand, and against looking at every moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planner.schedulers.lanes import Booking, Lanes

bookings = st.tuples(
    st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True).map(tuple), st.integers(0, 20), st.integers(1, 5)
)


def test_by_hand() -> None:
    lanes = Lanes()
    assert lanes.earliest((0,), 4, 3) == 4
    lanes.book(((0,), 4, 7))
    lanes.book(((0, 1), 10, 12))
    assert lanes.earliest((0,), 0, 4) == 0
    assert lanes.earliest((0,), 1, 4) == 12
    assert lanes.earliest((0,), 5, 3) == 7
    assert lanes.earliest((1,), 5, 5) == 5
    assert lanes.earliest((2,), 5, 9) == 5
    # Lane 1 has a gap until 10, lane 0 from 7 on: 3 fit, 4 do not.
    assert lanes.earliest((0, 1), 0, 3, also=[((1,), 0, 5)]) == 7
    assert lanes.earliest((1, 0), 0, 4, also=[((1,), 0, 5)]) == 12
    assert lanes.earliest((0, 1), 0, 3, also=[((2,), 0, 9)]) == 0


@given(st.lists(bookings, max_size=6), bookings)
def test_it_is_the_first_moment_that_is_free(wanted: list[tuple[tuple[int, ...], int, int]], last: Booking) -> None:
    lanes = Lanes()
    booked: list[Booking] = []
    for held, from_us, length in [*wanted, last]:
        start = lanes.earliest(held, from_us, length)
        assert (
            start
            == lanes.earliest(held, from_us, length, also=booked)
            == next(moment for moment in range(from_us, 99) if is_free(booked, (held, moment, moment + length)))
        )
        assert start == Lanes().earliest(held, from_us, length, also=booked)
        booked.append((held, start, start + length))
        lanes.book(booked[-1])


def is_free(booked: list[Booking], wanted: Booking) -> bool:
    return not any(set(held) & set(wanted[0]) and start < wanted[2] and wanted[1] < end for held, start, end in booked)
