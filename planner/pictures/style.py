"""What actions look like, the same in every picture: colours, hatches and the few letters that fit into a bar.

The colours are Okabe and Ito's, told apart by most colour-blind readers. None of them carries a meaning alone: clean
passes are hatched too, and what has room has a label.
"""

from __future__ import annotations

from typing import NamedTuple

from planner.action import OF_PASSES, Action, Kind, Pass

BLOCK_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")  # blocks take turns
DECODE_COLOR, SIDE_COLOR, IDLE_COLOR = "#BBBBBB", "#DDCC77", "#EEEEEE"
CRITICAL_COLOR = "#D55E00"
PALETTE = (*BLOCK_COLORS, DECODE_COLOR, SIDE_COLOR, IDLE_COLOR)
WHITE_ON = frozenset({BLOCK_COLORS[0]})  # on all others black reads better


class Part(NamedTuple):
    """One layer of a bar: its label, which colour of PALETTE, and whether it is hatched (a clean pass)."""

    label: str
    color: int
    hatched: bool = False

    @property
    def fill(self) -> str:
        return PALETTE[self.color]

    @property
    def ink(self) -> str:
        return "#FFFFFF" if self.fill in WHITE_ON else "#000000"


def parts_of(action: Action) -> tuple[Part, ...]:
    """What a compute action's bar is made of: a layer for each pass that it runs, oldest block first."""
    if action.kind in OF_PASSES:
        return tuple(part_of_pass(item) for item in action.batch) or (Part("", PALETTE.index(IDLE_COLOR)),)
    if action.passes:
        return (part_of_pass(action.passes[0]),)
    if action.kind is Kind.DECODE:
        part = "" if action.step is None else f".d{action.step}"
        return (Part(f"{action.block}{part}", PALETTE.index(DECODE_COLOR)),)
    return (Part(f"{str(action.kind)[0]}{action.block}", PALETTE.index(SIDE_COLOR)),)


def part_of_pass(item: Pass) -> Part:
    """How a pass looks, wherever it runs."""
    block, step = item
    color = block % len(BLOCK_COLORS)
    return Part(f"{block}.c", color, hatched=True) if step is None else Part(f"{block}.{step}", color)


LEGEND = (
    ("denoise, a colour per block (block.step)", Part("0.0", 0)),
    ("clean pass", Part("0.c", 0, hatched=True)),
    ("decode", Part("0", PALETTE.index(DECODE_COLOR))),
    ("encode, recache, text", Part("e0", PALETTE.index(SIDE_COLOR))),
)
