"""Names of points: beside them, inside the picture, not over one another, and the baselines' whatever happens."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from planner.pictures.labels import REACHES, Box, Name, places

INSIDE = Box(0, 0, 400, 300)
AT = st.tuples(st.integers(0, 400), st.integers(0, 300))


def name(x: float, y: float, *, must: bool = False, width: float = 50) -> Name:
    return Name(x, y, width, 8, must)


def mark(x: float, y: float) -> Box:
    return Box(x - 3, y - 3, x + 3, y + 3)


def test_alone_a_name_is_above_to_the_right() -> None:
    (place,) = places([name(100, 100)], INSIDE, [mark(100, 100)], [])
    assert place is not None
    assert not place.far
    by = REACHES[0] * 0.71
    assert place.box == Box(100 + by, 100 + by, 150 + by, 108 + by)


def test_at_the_edge_it_turns_to_the_other_side() -> None:
    (place,) = places([name(390, 295)], INSIDE, [mark(390, 295)], [])
    assert place is not None
    assert place.box.right < 390
    assert place.box.top < 295


def test_beside_a_line_rather_than_over_it() -> None:
    (place,) = places([name(100, 100)], INSIDE, [], [Box(100, 99, 200, 200)])
    assert place is not None
    assert place.box.right < 100


def test_without_room_a_name_is_left_out_or_moved_away() -> None:
    crowd = [mark(x, y) for x in range(70, 131, 5) for y in range(85, 116, 5)]
    assert places([name(100, 100)], INSIDE, crowd, []) == [None]
    (place,) = places([name(100, 100, must=True)], INSIDE, crowd, [])
    assert place is not None
    assert place.far


def test_a_name_too_wide_is_told_if_it_must() -> None:
    assert places([name(100, 100, width=500)], INSIDE, [], []) == [None]
    (place,) = places([name(100, 100, width=500, must=True)], INSIDE, [], [])
    assert place is not None
    assert place.box.left == 0


@given(st.lists(AT, max_size=25), st.lists(AT, max_size=4))
def test_names_lie_on_nothing(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    names = [*(name(*at, must=True) for at in others), *(name(*at) for at in points)]
    marks = [mark(*at) for at in (*others, *points)]
    found = places(names, INSIDE, marks, [])
    assert found == places(names, INSIDE, marks, [])
    assert None not in found[: len(others)]
    boxes = [place.box for place in found if place is not None]
    assert all(box.within(INSIDE) for box in boxes)
    for place in found[len(others) :]:
        assert place is None or not any(place.box.overlaps(other) for other in marks)
    for one, other in combinations(found, 2):
        if one is not None and other is not None and found.index(other) >= len(others):
            assert one is other or not one.box.overlaps(other.box)
