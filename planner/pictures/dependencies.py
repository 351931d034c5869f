"""The figure that defines a pattern: blocks over ticks as a staircase, and the context that passes read.

A row is a block, a column a tick, a cell a pass: its denoise step, or c for the clean pass. How far each row is
indented below the one above it is the offset. Arrows lead to one pass from the K/V it reads of every other block;
solid where that is finished, dashed where it is made in the very same tick and read layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from models.spec import ModelSpec
from planner.errors import InputError
from planner.patterns import Pattern, newer_read, reads, require_offset, runs_beside
from planner.pictures.style import CRITICAL_COLOR, Part, part_of_pass

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF, FRINGE = 0.4, 0.46  # of a cell: half its height, and half its width
MOST_BLOCKS = 24


class Cell(NamedTuple):
    """A pass of the staircase; `level` is how clean its K/V is, counted from 0."""

    block: int
    level: int
    tick: int


class Read(NamedTuple):
    """A pass that another reads; `beside`: in the same tick, layer by layer."""

    cell: Cell
    beside: bool


def plot_dependencies(
    model: ModelSpec,
    pattern: Pattern | Sequence[Pattern],
    path: Path | str | None = None,
    *,
    blocks: int = 5,
    of: tuple[int, int] | None = None,
) -> Figure:
    """A matplotlib figure with a panel for each pattern; written too with a path: png, svg or pdf by the suffix.

    `of`: the (block, level) whose context is drawn, by default the first pass of the last block. Raises InputError if
    a pattern does not fit the model, there is no such pass, or the file cannot be written.
    """
    from planner.pictures.picture import Picture

    patterns = (pattern,) if isinstance(pattern, Pattern) else tuple(pattern)
    focus = _checked(model, patterns, blocks, of)
    ticks = max(one.tick(blocks - 1, model.passes - 1) for one in patterns) + 1
    picture = Picture(max(6.0, 1.6 + 0.42 * ticks), len(patterns) * (0.46 * blocks + 0.7) + 0.5)
    panels = picture.subplots(len(patterns), 1, squeeze=False, sharex=True)[:, 0]
    for axes, one in zip(panels, patterns, strict=True):
        _panel(axes, model, one, blocks, focus)
        axes.set_xlim(-0.8, ticks - 0.2)
        axes.set_xticks(range(ticks))
    panels[-1].set_xlabel("tick: passes of one block's length, back to back", fontsize=9)
    picture.legend(
        handles=_legend(), loc="outside lower center", ncols=5 if ticks > 18 else 3, frameon=False, fontsize=8
    )
    return picture.written(path)


def staircase(model: ModelSpec, pattern: Pattern, blocks: int) -> tuple[Cell, ...]:
    """Every pass of so many blocks with its tick, if blocks run back to back."""
    return tuple(
        Cell(block, level, pattern.tick(block, level)) for block in range(blocks) for level in range(model.passes)
    )


def context(model: ModelSpec, pattern: Pattern, blocks: int, of: tuple[int, int]) -> tuple[Read, ...]:
    """What one pass reads of the other blocks, oldest first; newer ones too if the pattern is joint."""
    block, level = of
    return tuple(_context(model, pattern, blocks, block, level))


def _context(model: ModelSpec, pattern: Pattern, blocks: int, block: int, level: int) -> Iterator[Read]:
    for other, read in reads(pattern, model, block, level):
        yield Read(Cell(other, read, pattern.tick(other, read)), runs_beside(pattern, model, level, block - other))
    for other, read in newer_read(pattern, block, level, blocks):
        yield Read(Cell(other, read, pattern.tick(other, read)), beside=True)


def _checked(model: ModelSpec, patterns: Sequence[Pattern], blocks: int, of: tuple[int, int] | None) -> tuple[int, int]:
    if not patterns:
        raise InputError("pattern: name at least one to draw")
    if not 2 <= blocks <= MOST_BLOCKS:
        raise InputError(f"blocks: draw 2..{MOST_BLOCKS}, not {blocks}")
    for pattern in patterns:
        require_offset(pattern, model)
    block, level = of or (blocks - 1, 0)
    if not (0 <= block < blocks and 0 <= level < model.passes):
        raise InputError(f"of: ({block}, {level}) is no pass; blocks are 0..{blocks - 1}, levels 0..{model.passes - 1}")
    return block, level


def _panel(axes: Axes, model: ModelSpec, pattern: Pattern, blocks: int, focus: tuple[int, int]) -> None:
    found = context(model, pattern, blocks, focus)
    read = {item.cell[:2] for item in found}
    for cell in staircase(model, pattern, blocks):
        _cell(axes, model, cell, plain=cell[:2] not in read and cell[:2] != focus, focus=cell[:2] == focus)
    target = Cell(*focus, pattern.tick(*focus))
    for number, item in enumerate(found):
        _arrow(axes, item, target, place=2 * (number + 0.5) / len(found) - 1)
    _offset(axes, pattern)
    flying = -(-model.passes // pattern.offset)
    plural = "passes" if pattern.offset > 1 else "pass"
    axes.set_title(
        f"{pattern}: each block trails by {pattern.offset} {plural}; at most {flying} in flight", loc="left", fontsize=9
    )
    axes.set_yticks(range(blocks), [f"block {block}" for block in range(blocks)], fontsize=8)
    axes.set_ylim(blocks - 0.3, -0.7)
    axes.set_aspect("equal", adjustable="box", anchor="W")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, labelsize=8)


def _cell(axes: Axes, model: ModelSpec, cell: Cell, *, plain: bool, focus: bool) -> None:
    from matplotlib.patches import Rectangle

    part = _part(model, cell)
    corner = cell.tick - FRINGE, cell.block - HALF
    look: dict[str, Any] = {
        "facecolor": part.fill,
        "hatch": "////" if part.hatched else None,
        "edgecolor": "white",
        "linewidth": 0,
    }
    # What the focused pass does not read stays pale.
    axes.add_patch(Rectangle(corner, 2 * FRINGE, 2 * HALF, alpha=0.28 if plain else 1.0, **look))
    if focus:
        frame: dict[str, Any] = {"fill": False, "edgecolor": CRITICAL_COLOR, "linewidth": 2.2, "zorder": 4}
        axes.add_patch(Rectangle(corner, 2 * FRINGE, 2 * HALF, **frame))
    rim = {"facecolor": part.fill, "edgecolor": "none", "pad": 0.6} if part.hatched and not plain else None
    ink = "#000000" if plain else part.ink
    label = part.label.partition(".")[2]
    text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": ink, "bbox": rim, "zorder": 5}
    axes.text(cell.tick, cell.block, label, fontweight="bold" if focus else "normal", **text)


def _part(model: ModelSpec, cell: Cell) -> Part:
    return part_of_pass((cell.block, None if cell.level >= model.steps else cell.level))


def _arrow(axes: Axes, item: Read, target: Cell, *, place: float) -> None:
    """From the read cell's right edge into the reader; `place`, -1 to 1, spreads the heads over the reader's edge."""
    cell = item.cell
    start = cell.tick + FRINGE, cell.block
    style: dict[str, Any] = {"arrowstyle": "-|>", "linewidth": 1.0, "color": "#222222", "shrinkA": 0, "shrinkB": 0}
    if item.beside:
        bend = 0.5 if cell.block > target.block else -0.5
        end: tuple[float, float] = target.tick + FRINGE, target.block + HALF * 0.6 * place
        style |= {"linestyle": (0, (3, 1.5)), "connectionstyle": f"arc3,rad={bend}"}
    else:
        end = target.tick - FRINGE * 0.6 * place, target.block - HALF
        style |= {"connectionstyle": "angle3,angleA=0,angleB=90"}
    axes.annotate("", end, start, arrowprops=style | {"mutation_scale": 8}, zorder=3)


def _offset(axes: Axes, pattern: Pattern) -> None:
    """The offset as a dimension line between the first passes of blocks 0 and 1."""
    style: dict[str, Any] = {
        "arrowstyle": "<->",
        "linewidth": 1.0,
        "color": CRITICAL_COLOR,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 8,
    }
    y = 1.0
    axes.annotate("", (pattern.offset - FRINGE, y), (-FRINGE, y), arrowprops=style)
    text: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7.5, "color": CRITICAL_COLOR}
    axes.text((pattern.offset - 2 * FRINGE) / 2, y + 0.12, f"offset {pattern.offset}", **text)


def _legend() -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    clean = part_of_pass((0, None))
    return [
        Patch(facecolor=clean.fill, label="denoise step, a colour per block"),
        Patch(facecolor=clean.fill, hatch="////", edgecolor="white", label="clean pass (c)"),
        Patch(facecolor="none", edgecolor=CRITICAL_COLOR, linewidth=2, label="the pass that reads"),
        Line2D([], [], color="#222222", marker=">", markersize=4, label="K/V read, finished before"),
        Line2D(
            [],
            [],
            color="#222222",
            marker=">",
            markersize=4,
            linestyle=(0, (3, 1.5)),
            linewidth=1,
            label="read live, layer by layer",
        ),
    ]
