"""What can be had for what: points of two figures, and the line along those that none beats in both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.errors import InputError
from planner.pictures.labels import Box, Name, Place, places
from planner.pictures.style import BLOCK_COLORS, CRITICAL_COLOR
from planner.unbeaten import unbeaten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from planner.pictures.picture import Picture

MARKERS = "osD^vPX*"
SIZE = 42  # of a marker, in square points
LETTERS = 7  # the size of names, in points
MORE_IS_BETTER = frozenset({"fps", "steady_fps", "streams", "sessions_as_placed", "utilization"})
# Names of figures as axes have them, and what one unit of the axis is.
LABELS: Mapping[str, tuple[str, float]] = {
    "devices": ("devices", 1),
    "fps": ("fps, whole clip", 1),
    "steady_fps": ("fps, steady", 1),
    "makespan_us": ("clip, ms", 1000),
    "period_us": ("time between blocks, ms", 1000),
    "first_frame_us": ("time to first frame, ms", 1000),
    "block_latency_us": ("block latency, ms", 1000),
    "control_us": ("control to output at worst, ms", 1000),
    "money": ("money a clip", 1),
    "money_per_minute": ("money a minute of video", 1),
}


class Spot(NamedTuple):
    """A point of the picture; `series` gives it its colour and marker."""

    x: float
    y: float
    label: str
    series: str


def plot_pareto(
    points: Iterable[Any],
    path: Path | str | None = None,
    *,
    x: str = "devices",
    y: str = "steady_fps",
    by: str | None = None,
    label: str | None = "pattern",
    baselines: Iterable[Any] = (),
) -> Figure:
    """A matplotlib figure of points, and of the line along those that none beats in both figures.

    With a path it is written too: png, svg or pdf by the suffix. `points`: of `pareto()`, rows of a sweep (mappings) or
    a table with `to_dict("records")`. `x`, `y`: figures, such as `devices`, `steady_fps`, `first_frame_us`,
    `money_per_minute`; rows where one is missing are left out. `by`: what colours and markers tell apart. `label`: what
    is written beside the points of the line, where there is room, and of the baselines. `baselines` are drawn hollow
    and never on the line. Raises InputError if nothing is left to draw or the file cannot be written.
    """
    from planner.pictures.picture import Picture

    spots = _spots(points, x, y, by, label)
    others = _spots(baselines, x, y, None, label)
    if not spots:
        raise InputError(f"points: none has both {x} and {y}; name figures that they have")
    picture = Picture(8, 5)
    axes = picture.add_subplot()
    best = front(spots, x, y)
    _line(axes, best, x, y)
    _series(axes, spots, named=by is not None)
    if others:
        at = [spot.x for spot in others], [spot.y for spot in others]
        look: dict[str, Any] = {"facecolors": "none", "edgecolors": "black", "marker": "s", "s": SIZE}
        axes.scatter(*at, linewidths=1.2, label="published", **look)
    _frame(axes, x, y)
    _legend(picture, axes)
    _labels(picture, axes, spots, best, others, x)
    return picture.written(path)


def front(spots: Sequence[Spot], x: str, y: str) -> tuple[Spot, ...]:
    """Those that none beats in both figures, by x; of equal ones the first."""
    of_x, of_y = (-1 if name in MORE_IS_BETTER else 1 for name in (x, y))
    best = unbeaten([(of_x * spot.x, of_y * spot.y) for spot in spots])
    return tuple(sorted((spots[place] for place in best), key=lambda one: one.x))


def _spots(points: Iterable[Any], x: str, y: str, by: str | None, label: str | None) -> list[Spot]:
    rows: Iterable[Any] = points.to_dict("records") if hasattr(points, "to_dict") else points
    found = []
    for row in rows:
        at = _number(_figure(row, x)), _number(_figure(row, y))
        if at[0] is not None and at[1] is not None:
            texts = ["" if name is None else str(_figure(row, name) or "") for name in (label, by)]
            found.append(Spot(at[0] / _axis(x)[1], at[1] / _axis(y)[1], *texts))
    return found


def _figure(row: Any, name: str) -> Any:
    """A figure of a row, be it a mapping, a value, or a value that holds its figures."""
    if isinstance(row, Mapping):
        return row.get(name)
    return getattr(row, name, getattr(getattr(row, "figures", None), name, None))


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return float(value) if usable else None


def _axis(name: str) -> tuple[str, float]:
    return LABELS.get(
        name, (name.removesuffix("_us").replace("_", " ") + (", ms" if name.endswith("_us") else ""), _unit(name))
    )


def _unit(name: str) -> float:
    return 1000.0 if name.endswith("_us") else 1.0


def _line(axes: Axes, best: Sequence[Spot], x: str, y: str) -> None:
    """Steps along the front: between two points one has the worse of each."""
    told = f"none beats these in {_axis(x)[0].split(',')[0]} and {_axis(y)[0].split(',')[0]}"
    corners = _corners(best, x)
    at = [corner[0] for corner in corners], [corner[1] for corner in corners]
    axes.plot(*at, color=CRITICAL_COLOR, linewidth=1.3, label=told, zorder=1)


def _corners(best: Sequence[Spot], x: str) -> list[tuple[float, float]]:
    """The points of the front, and between two of them the corner of the step."""
    corners = [(best[0].x, best[0].y)]
    for before, spot in pairwise(best):
        # What x buys is had until the next point: to the right if less x is better, to the left if more is.
        corners += [(before.x, spot.y) if x in MORE_IS_BETTER else (spot.x, before.y), (spot.x, spot.y)]
    return corners


def _series(axes: Axes, spots: Sequence[Spot], *, named: bool) -> None:
    for number, series in enumerate(dict.fromkeys(spot.series for spot in spots)):
        mine = [spot for spot in spots if spot.series == series]
        color, marker = BLOCK_COLORS[number % len(BLOCK_COLORS)], MARKERS[number % len(MARKERS)]
        at = [spot.x for spot in mine], [spot.y for spot in mine]
        look: dict[str, Any] = {"color": color, "marker": marker, "s": SIZE, "edgecolors": "black", "linewidths": 0.5}
        axes.scatter(at[0], at[1], label=series if named else None, zorder=2, **look)


def _frame(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(_axis(x)[0])
    axes.set_ylabel(_axis(y)[0])
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.08, 0.12)
    # Room below the lowest point, but none below 0 where nothing is.
    if axes.dataLim.x0 >= 0:
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    if axes.dataLim.y0 >= 0:
        axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))


def _legend(picture: Picture, axes: Axes) -> None:
    """Below, where it covers nothing, in as many columns as there is room for."""
    handles, names = axes.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "outside lower center", "frameon": False, "fontsize": 8}
    for columns in range(len(names), 0, -1):
        legend = picture.legend(handles, names, ncols=columns, **where)
        if columns == 1 or legend.get_window_extent().width <= picture.bbox.width:
            return
        legend.remove()


def _labels(
    picture: Picture, axes: Axes, spots: Sequence[Spot], best: Sequence[Spot], others: Sequence[Spot], x: str
) -> None:
    """Names of points, where there is room for them."""
    picture.draw_without_rendering()  # only then is it known where points are
    pixels = picture.dpi / 72

    def at(x: float, y: float) -> tuple[float, float]:
        left, bottom = axes.transData.transform((x, y))
        return float(left) / pixels, float(bottom) / pixels

    wanted = _wanted(best, others)
    names = [Name(*at(*spot[:2]), *_size(axes, spot.label, pixels), must) for spot, must in wanted]
    marks = [_box(at(*spot[:2]), at(*spot[:2]), SIZE**0.5 / 2) for spot in (*spots, *others)]
    lines = [_box(at(*one), at(*other), 0.7) for one, other in pairwise(_corners(best, x))]
    inside = Box(*(float(edge) / pixels for edge in axes.get_window_extent().extents))
    found = places(names, inside, marks, lines)
    for (spot, _), name, place in zip(wanted, names, found, strict=True):
        if place is not None:
            _write(axes, spot, name, place)


def _wanted(best: Sequence[Spot], others: Sequence[Spot]) -> list[tuple[Spot, bool]]:
    """Whose names are wanted, and if they must be told: the baselines', which nothing else tells; then the line's."""
    # The same name is not written twice in a row.
    told = [spot for before, spot in pairwise((None, *best)) if spot and (before is None or before.label != spot.label)]
    ends_first = (*told[:1], *told[:0:-1][:1], *told[1:-1])
    wanted = [*((spot, True) for spot in others), *((spot, False) for spot in ends_first)]
    return [(spot, must) for spot, must in wanted if spot.label]


def _write(axes: Axes, spot: Spot, name: Name, place: Place) -> None:
    offset = place.box.left - name.x, place.box.bottom - name.y
    back = {"arrowstyle": "-", "linewidth": 0.5, "color": "#666666", "shrinkA": 0, "shrinkB": 3}
    text: dict[str, Any] = {"fontsize": LETTERS, "textcoords": "offset points", "va": "bottom", "zorder": 3}
    axes.annotate(spot.label, spot[:2], offset, arrowprops=back if place.far else None, **text)


def _size(axes: Axes, text: str, pixels: float) -> tuple[float, float]:
    drawn = axes.text(0, 0, text, fontsize=LETTERS)
    extent = drawn.get_window_extent()
    drawn.remove()
    return float(extent.width) / pixels, float(extent.height) / pixels


def _box(one: tuple[float, float], other: tuple[float, float], rim: float) -> Box:
    (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return Box(left - rim, bottom - rim, right + rim, top + rim)
