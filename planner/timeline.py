"""Timelines as a picture: lanes of ranks over time, several timelines above one another.

What one action does of several passes lies in layers above one another, oldest block on top. Arrows are streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from planner.action import OF_PASSES, Action, Kind, Pass, TimedAction
from planner.errors import InputError

# Okabe and Ito's colours, told apart by most colour-blind readers; blocks take turns.
BLOCK_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
CLEAN_HATCH, DECODE_COLOR, SIDE_COLOR, IDLE_COLOR = "////", "#BBBBBB", "#DDCC77", "#EEEEEE"
BLACK_ON = {BLOCK_COLORS[1], BLOCK_COLORS[4], DECODE_COLOR, SIDE_COLOR, IDLE_COLOR}
HEIGHT = 0.8  # of a lane's bars
# What each format would write of the time and the software: left out, so that the same rows give the same bytes.
_UNDATED = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
LABELLED = 60  # names and arrows are legible up to this many actions in a lane


def plot_timelines(
    timelines: Mapping[str, Sequence[Sequence[TimedAction]]], path: Path, *, until_us: int | None = None
) -> None:
    """Writes a png (or what the path's suffix says) with one panel per named timeline, all on one time scale.

    `until_us` cuts the time scale, to show the beginning of a long clip. Raises InputError if there is nothing to
    draw or the file cannot be written.
    """
    if not any(timelines.values()):
        raise InputError("timelines: there is nothing to draw")
    end_us = until_us or max((row.end_us for ranks in timelines.values() for rows in ranks for row in rows), default=1)
    heights = [len(ranks) for ranks in timelines.values()]
    figure = Figure(figsize=(12, 1.2 + 0.5 * sum(heights) + 0.5 * len(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, ranks) in zip(panels, timelines.items(), strict=True):
        _panel(axes, name, ranks, end_us)
    panels[-1].set_xlabel("milliseconds")
    handles = [
        Patch(facecolor=BLOCK_COLORS[0], label="denoise (a colour per block)"),
        Patch(facecolor=BLOCK_COLORS[0], hatch=CLEAN_HATCH, edgecolor="white", label="clean pass"),
        Patch(facecolor=DECODE_COLOR, label="decode"),
        Patch(facecolor=SIDE_COLOR, label="encode, recache, text"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    try:
        with mpl.rc_context({"svg.hashsalt": "blockcascade"}):
            figure.savefig(path, dpi=150, metadata=_UNDATED.get(path.suffix))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from error


def _panel(axes: Axes, name: str, ranks: Sequence[Sequence[TimedAction]], end_us: int) -> None:
    axes.set_title(name, loc="left", fontsize=9)
    axes.set_xlim(0, end_us / 1000)
    axes.set_yticks(range(len(ranks)), [f"rank {rank}" for rank in range(len(ranks))], fontsize=8)
    axes.set_ylim(len(ranks) - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    for lane, rows in enumerate(ranks):
        shown = [row for row in rows if row.action.kind is not Kind.FREE and row.start_us < end_us]
        labelled = sum(row.action.is_compute for row in shown) <= LABELLED
        for row in shown:
            if row.action.is_compute:
                _bars(axes, lane, row, labelled=labelled)
            elif row.action.kind is Kind.STREAM and labelled:
                _arrow(axes, lane, row)


def _bars(axes: Axes, lane: int, row: TimedAction, *, labelled: bool) -> None:
    """A bar for the action, or one for each of its passes."""
    action, start, end = row
    parts = [_part(action)] if action.kind not in OF_PASSES else [_pass_part(item) for item in action.batch]
    parts = parts or [("", IDLE_COLOR, None)]
    height = HEIGHT / len(parts)
    for place, (label, color, hatch) in enumerate(parts):
        middle = lane - HEIGHT / 2 + (place + 0.5) * height
        left, width = start / 1000, (end - start) / 1000
        axes.barh(middle, width, left=left, height=height, color=color, hatch=hatch, edgecolor="white")
        if labelled and label:
            ink = "black" if color in BLACK_ON else "white"
            where = left + width / 2, middle
            axes.text(*where, label, ha="center", va="center", fontsize=5, color=ink, clip_on=True)


def _arrow(axes: Axes, lane: int, row: TimedAction) -> None:
    """From where and when the first layer leaves to where and when the last is there."""
    assert row.action.peer is not None
    style = {"arrowstyle": "->", "linewidth": 0.5, "color": "black", "shrinkA": 0, "shrinkB": 0}
    arrives, leaves = (row.end_us / 1000, row.action.peer), (row.start_us / 1000, lane)
    axes.annotate("", arrives, leaves, arrowprops=style)


def _part(action: Action) -> tuple[str, str, str | None]:
    """Label, colour and hatch of an action that runs no batch."""
    if action.kind is Kind.DECODE:
        return f"{action.block}" + ("" if action.step is None else f".d{action.step}"), DECODE_COLOR, None
    if action.passes:
        return _pass_part(action.passes[0])
    return f"{str(action.kind)[0]}{action.block}", SIDE_COLOR, None


def _pass_part(item: Pass) -> tuple[str, str, str | None]:
    block, step = item
    color = BLOCK_COLORS[block % len(BLOCK_COLORS)]
    return (f"{block}.c", color, CLEAN_HATCH) if step is None else (f"{block}.{step}", color, None)
