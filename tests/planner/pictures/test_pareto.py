"""Pareto pictures: which points are on the line, whatever form they come in, and what is written in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from planner.errors import InputError
from planner.metrics import Metrics
from planner.pareto import Point
from planner.pictures.pareto import MORE_IS_BETTER, Spot, front, plot_pareto

ROWS: list[dict[str, Any]] = [
    {"devices": 1, "steady_fps": 10.0, "first_frame_us": 5000, "pattern": "sequential", "device": "h100"},
    {"devices": 2, "steady_fps": 8.0, "first_frame_us": 4000, "pattern": "worse", "device": "a100"},
    {"devices": 2, "steady_fps": 18.0, "first_frame_us": 9000, "pattern": "cascade:1", "device": "h100"},
    {"devices": 3, "steady_fps": None, "first_frame_us": None, "pattern": "impossible", "device": "h100"},
]


def spots(*points: tuple[float, float]) -> list[Spot]:
    return [Spot(x, y, "", "") for x, y in points]


def test_the_line_is_of_those_that_none_beats() -> None:
    found = front(spots((1, 10), (2, 8), (2, 18), (3, 18)), "devices", "steady_fps")
    assert [(spot.x, spot.y) for spot in found] == [(1, 10), (2, 18)]
    found = front(spots((1, 10), (2, 8), (2, 18), (3, 18)), "money", "first_frame_us")
    assert [(spot.x, spot.y) for spot in found] == [(1, 10), (2, 8)]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1), st.sampled_from(["steady_fps", "money"]))
def test_a_point_is_on_it_or_beaten(points: list[tuple[int, int]], y: str) -> None:
    sign = -1 if y in MORE_IS_BETTER else 1
    best = front(spots(*points), "devices", y)
    kept = {(spot.x, spot.y) for spot in best}
    for point in points:
        beaten = any(o != point and o[0] <= point[0] and sign * o[1] <= sign * point[1] for o in points)
        assert (point in kept) != beaten
    assert len(kept) == len(best)


def words(path: Path) -> list[str]:
    return re.findall(r"<!-- (.*?) -->", path.read_text())


def test_what_is_written_in_it(tmp_path: Path) -> None:
    path = tmp_path / "pareto.svg"
    plot_pareto(ROWS, path, by="device", baselines=[{"devices": 2, "steady_fps": 12.0, "pattern": "their system"}])
    assert {"sequential", "cascade:1", "their system", "published", "h100", "a100", "devices", "fps, steady"} <= set(
        words(path)
    )
    assert not {"worse", "impossible"} & set(words(path))
    first = path.read_bytes()
    plot_pareto(ROWS, path, by="device", baselines=[{"devices": 2, "steady_fps": 12.0, "pattern": "their system"}])
    assert path.read_bytes() == first


def test_times_are_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "pareto.svg"
    plot_pareto(ROWS, path, y="first_frame_us")
    assert "time to first frame, ms" in words(path)
    assert "4" in {word.removesuffix(".0") for word in words(path)}
    assert "4000" not in words(path)


class Frame:
    """A table as a sweep gives it."""

    def to_dict(self, form: str) -> list[dict[str, object]]:
        assert form == "records"
        return [dict(row) for row in ROWS]


def test_points_rows_and_tables_are_taken(tmp_path: Path) -> None:
    figures = Metrics.model_validate(dict.fromkeys(Metrics.model_fields, 1))
    forms: list[tuple[Any, str]] = [
        ([Point("cascade:2", "free", figures)], "cascade:2"),
        (Frame(), "sequential"),
        (ROWS, "sequential"),
    ]
    for given_points, label in forms:
        path = tmp_path / "pareto.svg"
        plot_pareto(given_points, path)
        assert label in words(path)


def test_nothing_to_draw(tmp_path: Path) -> None:
    nowhere: list[Any] = [[], ROWS[3:], [{"devices": float("nan"), "steady_fps": 1.0}]]
    for points in nowhere:
        with pytest.raises(InputError, match="none has both devices and steady_fps"):
            plot_pareto(points, tmp_path / "a.png")


def dense(count: int) -> list[dict[str, Any]]:
    """Points of a front so close that their names cannot all be told."""
    return [{"devices": 10 + at / 10, "steady_fps": 10 + at, "pattern": f"{at} x h100"} for at in range(count)]


def boxes(texts: Sequence[Any]) -> list[Bbox]:
    return [text.get_window_extent() for text in texts]


def test_names_of_a_dense_front_do_not_overlap() -> None:
    others = [{"devices": 10 + at / 50, "steady_fps": 10.0, "pattern": f"system {at}, 4 x h100"} for at in range(3)]
    figure = plot_pareto(dense(60), baselines=others)
    (axes,) = figure.axes
    told = [text.get_text() for text in axes.texts]
    assert {"0 x h100", "59 x h100", *(row["pattern"] for row in others)} <= set(told)
    assert 10 < len(told) < 63
    figure.draw_without_rendering()
    # Without the lines that lead from names to their points.
    names = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(one.padded(-0.5).overlaps(other.padded(-0.5)) for one, other in combinations(names, 2))
    frame = axes.get_window_extent().padded(1)
    assert all(frame.contains(*corner) for box in names for corner in box.corners())


def test_the_legend_is_below() -> None:
    rows = [row | {"series": f"a pattern of a long name, {at % 8}"} for at, row in enumerate(dense(16))]
    figure = plot_pareto(rows, by="series")
    figure.draw_without_rendering()
    (legend,) = boxes(figure.legends)
    assert legend.y1 <= boxes(figure.axes[0].get_xticklabels())[0].y0
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1


def test_no_axis_begins_below_zero_where_nothing_is() -> None:
    (axes,) = plot_pareto([{"devices": 0.01 + at, "steady_fps": 0.01 + at} for at in range(9)]).axes
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0
    (axes,) = plot_pareto(dense(9)).axes
    assert axes.get_ylim()[0] > 1
