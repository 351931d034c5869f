"""Timelines as a picture: lanes of ranks over time, several timelines above one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from planner.action import Action, Kind, TimedAction
from planner.errors import InputError

# Okabe and Ito's colours, told apart by most colour-blind readers; blocks take turns.
BLOCK_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
CLEAN_HATCH, DECODE_COLOR = "////", "#BBBBBB"
# What each format would write of the time and the software: left out, so that the same rows give the same bytes.
_UNDATED = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
LABELLED = 60  # blocks' names are legible up to this many actions in a lane


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
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
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
        shown = [row for row in rows if row.action.is_compute and row.start_us < end_us]
        for row in shown:
            _bar(axes, lane, row, labelled=len(shown) <= LABELLED)


def _bar(axes: Axes, lane: int, row: TimedAction, *, labelled: bool) -> None:
    action, start, end = row
    decode = action.kind is Kind.DECODE
    color = DECODE_COLOR if decode else BLOCK_COLORS[action.block % len(BLOCK_COLORS)]
    hatch = CLEAN_HATCH if action.kind is Kind.COMMIT else None
    axes.barh(lane, (end - start) / 1000, left=start / 1000, height=0.8, color=color, hatch=hatch, edgecolor="white")
    if labelled:
        ink = "black" if decode or action.block % len(BLOCK_COLORS) in (1, 4) else "white"
        middle = (start + end) / 2000
        axes.text(middle, lane, _label(action), ha="center", va="center", fontsize=5, color=ink, clip_on=True)


def _label(action: Action) -> str:
    return {Kind.DENOISE: f"{action.block}.{action.step}", Kind.COMMIT: f"{action.block}.c"}.get(
        action.kind, f"{action.block}"
    )
