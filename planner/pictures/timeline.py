"""Timelines for print: lanes of ranks over time, several timelines above one another on one time scale.

What one action does of several passes lies in layers above one another, oldest block on top. Arrows are transfers,
dashed where they stream layer by layer; what the whole length hangs on is framed, with a line from frame to frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.action import TimedAction
from planner.errors import InputError
from planner.pictures.scene import Arrow, Bar, Scene, scene
from planner.pictures.style import CRITICAL_COLOR, IDLE_COLOR, LEGEND, parts_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from planner.plan import Plan
    from planner.trace import Trace

HATCH = "////"
HEIGHT = 0.8  # of a lane's bars
LABELLED = 60  # names and arrows are legible up to this many actions in a lane
LETTER = 0.0040  # of the picture's width, roughly, of a label's letter
ARROWS = 120  # and so many transfers in a timeline


def plot_timeline(
    plan: Plan, trace: Trace | None = None, *, path: Path | str | None = None, until_us: int | None = None
) -> Figure:
    """A matplotlib figure of a plan and, below it on the same time scale, of a run of it.

    With a path it is written too: png, svg or pdf by the suffix. A plan with a kernel is shown as it stands, one kernel
    long. `until_us` cuts the time scale. Raises MismatchError for a trace of another plan, InputError if the file
    cannot be written.
    """
    timelines: dict[str, Sequence[Sequence[TimedAction]]] = {"planned": plan.ranks}
    if trace is not None:
        trace.require(plan)
        timelines[trace.kind] = trace.ranks
    return plot_timelines(timelines, path, until_us=until_us, unmarked=("measured",))


def plot_timelines(
    timelines: Mapping[str, Sequence[Sequence[TimedAction]]],
    path: Path | str | None = None,
    *,
    until_us: int | None = None,
    unmarked: Collection[str] = (),
) -> Figure:
    """A matplotlib figure with one panel per named timeline, all on one time scale.

    With a path it is written too: png, svg or pdf by the suffix. `until_us` cuts the time scale, to show the beginning
    of a long clip. `unmarked`: whose critical path is not drawn, such as measured runs': there a transfer ends when it
    is noticed, so rows alone do not tell what was waited for (the report with a problem does). Raises
    InputError if there is nothing to draw or the file cannot be written.
    """
    from planner.pictures.picture import Picture

    scenes = [scene(name, ranks, chain=() if name in unmarked else None) for name, ranks in timelines.items()]
    if not any(one.bars for one in scenes):
        raise InputError("timelines: there is nothing to draw")
    end_us = until_us or max((one.end_us for one in scenes), default=0) or 1
    heights = [one.ranks for one in scenes]
    picture = Picture(12, 1.2 + 0.5 * sum(heights) + 0.5 * len(heights))
    panels = picture.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, one in zip(panels, scenes, strict=True):
        _panel(axes, one, end_us)
    panels[-1].set_xlabel("milliseconds")
    picture.legend(handles=_legend(), loc="outside lower center", ncols=7, frameon=False, fontsize=8)
    return picture.written(path)


def _panel(axes: Axes, one: Scene, end_us: int) -> None:
    axes.set_title(one.title, loc="left", fontsize=9)
    axes.set_xlim(0, end_us / 1000)
    axes.set_yticks(range(one.ranks), [f"rank {rank}" for rank in range(one.ranks)], fontsize=8)
    axes.set_ylim(one.ranks - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    shown = [bar for bar in one.bars if bar.start_us < end_us]
    arrows = [arrow for arrow in one.arrows if arrow.start_us < end_us]
    per_lane = [sum(bar.rank == rank for bar in shown) for rank in range(one.ranks)]
    for rank in range(one.ranks):
        width = min(one.end_us, end_us) / 1000
        axes.barh(rank, width, height=HEIGHT, color=IDLE_COLOR, zorder=0.5)
    for bar in shown:
        _bars(axes, bar, end_us, labelled=per_lane[bar.rank] <= LABELLED)
    if max(per_lane, default=0) <= LABELLED and len(arrows) <= ARROWS:
        for arrow in arrows:
            _arrow(axes, arrow)
    _chain(axes, one, end_us, framed=max(per_lane, default=0) <= LABELLED)


def _bars(axes: Axes, bar: Bar, end_us: int, *, labelled: bool) -> None:
    """A bar for the action, or one for each of its passes."""
    parts = parts_of(bar.action)
    height = HEIGHT / len(parts)
    left, width = bar.start_us / 1000, (bar.end_us - bar.start_us) / 1000
    for place, part in enumerate(parts):
        middle = bar.rank - HEIGHT / 2 + (place + 0.5) * height
        look: dict[str, Any] = {"color": part.fill, "hatch": HATCH if part.hatched else None, "edgecolor": "white"}
        axes.barh(middle, width, left=left, height=height, linewidth=0.5, **look)
        if labelled and part.label and width * 1000 / end_us >= LETTER * len(part.label):
            rim = {"facecolor": part.fill, "edgecolor": "none", "pad": 0.4} if part.hatched else None
            where = left + width / 2, middle
            text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6, "color": part.ink, "bbox": rim}
            axes.text(*where, part.label, clip_on=True, **text)


def _arrow(axes: Axes, arrow: Arrow) -> None:
    """From where and when it leaves, or its first layer does, to where and when all of it is there."""
    leaves, arrives = _ends(arrow)
    style = {"arrowstyle": "->", "linewidth": 0.5, "color": "black", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 5}
    axes.annotate("", arrives, leaves, arrowprops=style | {"linestyle": "--" if arrow.streams else "-"})


def _chain(axes: Axes, one: Scene, end_us: int, *, framed: bool) -> None:
    """The critical chain: frames round its actions where there is room, and a line along all of them."""
    from matplotlib.patches import Rectangle

    points: list[tuple[float, float]] = []
    for item in one.chain:
        if item.start_us >= end_us:
            break
        points += _ends(item)
        if framed and isinstance(item, Bar):
            corner, width = (item.start_us / 1000, item.rank - HEIGHT / 2), (item.end_us - item.start_us) / 1000
            axes.add_patch(Rectangle(corner, width, HEIGHT, fill=False, edgecolor=CRITICAL_COLOR, linewidth=1.4))
    axes.plot([x for x, _ in points], [y for _, y in points], color=CRITICAL_COLOR, linewidth=1.2, zorder=2.5)


def _ends(item: Bar | Arrow) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves and arrives, between the lanes' edges; of a bar its upper corners."""
    start, end = item.start_us / 1000, item.end_us / 1000
    if isinstance(item, Bar):
        return (start, item.rank - HEIGHT / 2), (end, item.rank - HEIGHT / 2)
    down = 1 if item.target > item.source else -1
    return (start, item.source + down * HEIGHT / 2), (end, item.target - down * HEIGHT / 2)


def _legend() -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = [
        Patch(facecolor=part.fill, hatch=HATCH if part.hatched else None, edgecolor="white", label=label)
        for label, part in LEGEND
    ]
    idle = Patch(facecolor=IDLE_COLOR, label="idle")
    chain = Line2D([], [], color=CRITICAL_COLOR, linewidth=1.6, label="critical path")
    arrows = Line2D([], [], color="black", linewidth=0.7, marker=">", markersize=3, label="transfer (dashed: streamed)")
    return [*bars, idle, chain, arrows]
