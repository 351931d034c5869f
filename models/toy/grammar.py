"""The toy's closed grammar: the prompts it understands and the clip each one pins down.

A prompt names a colour, a shape, a start cell and a direction, so exactly one clip answers it;
a few-step sampler of an undistilled model would average over several answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import product

from pydantic import BaseModel, ConfigDict

from models.errors import PromptError

COLORS = {
    "red": (230, 57, 70),
    "green": (60, 190, 90),
    "blue": (66, 110, 235),
    "yellow": (250, 205, 60),
    "magenta": (215, 70, 210),
    "cyan": (70, 210, 220),
}
SHAPES = ("circle", "square", "triangle", "cross")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
VERTICAL = {"up": -1, "": 0, "down": 1}
HORIZONTAL = {"left": -1, "": 0, "right": 1}

SIDE = 64  # pixels, height and width
RADIUS = 12  # pixels, half the shape's extent
CELLS = (16, 32, 48)  # pixels, centre of each start cell along an axis
LOW, HIGH = RADIUS, SIDE - RADIUS  # the centre's range; both lie a whole number of 4-frame strides away

_PATTERN = re.compile(
    r"an? (?P<color>\w+) (?P<shape>\w+) at the (?P<row>\w+) (?P<column>\w+) moving (?P<direction>[\w ]+)"
)


class Scene(BaseModel):
    """What one prompt pins down; `vertical` and `horizontal` are words ('' = no motion along that axis)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    color: str
    shape: str
    row: str
    column: str
    vertical: str
    horizontal: str

    @property
    def prompt(self) -> str:
        """The sentence that `parse` reads back into this scene."""
        direction = " ".join(word for word in (self.vertical, self.horizontal) if word)
        return f"a {self.color} {self.shape} at the {self.row} {self.column} moving {direction}"

    @property
    def held_out(self) -> bool:
        """True for the eighth of all scenes that training never sees (by hash, so it never changes)."""
        return hashlib.sha256(self.prompt.encode()).digest()[0] < 32

    def center(self, frame: int) -> tuple[int, int]:
        """Centre (x, y) in pixels at a pixel frame: one pixel per frame and axis, mirrored at the walls."""
        x0, y0 = CELLS[COLUMNS.index(self.column)], CELLS[ROWS.index(self.row)]
        return (
            _bounce(x0 + HORIZONTAL[self.horizontal] * frame),
            _bounce(y0 + VERTICAL[self.vertical] * frame),
        )

    def tokens(self) -> tuple[int, ...]:
        """Six token ids, one per slot (colour, shape, row, column, vertical, horizontal), each below VOCABULARY."""
        return tuple(
            offset + list(words).index(word) for offset, words, word in zip(_OFFSETS, _SLOTS, self._words, strict=True)
        )

    @property
    def _words(self) -> tuple[str, ...]:
        return (self.color, self.shape, self.row, self.column, self.vertical, self.horizontal)


_SLOTS = (tuple(COLORS), SHAPES, ROWS, COLUMNS, tuple(VERTICAL), tuple(HORIZONTAL))
_OFFSETS = tuple(sum(len(slot) for slot in _SLOTS[:i]) for i in range(len(_SLOTS)))
VOCABULARY = sum(len(slot) for slot in _SLOTS)


def parse(prompt: str) -> Scene:
    """The scene a prompt pins down, e.g. 'a red circle at the top left moving down right'.

    Raises PromptError naming the word that is not in the grammar and the words that are.
    """
    match = _PATTERN.fullmatch(" ".join(prompt.lower().split()))
    if match is None:
        raise PromptError(
            f"prompt {prompt!r} does not read 'a COLOR SHAPE at the ROW COLUMN moving DIRECTION', "
            "e.g. 'a red circle at the top left moving down right'"
        )
    for slot, allowed in (("color", COLORS), ("shape", SHAPES), ("row", ROWS), ("column", COLUMNS)):
        if match[slot] not in allowed:
            raise PromptError(f"prompt {prompt!r}: {slot} {match[slot]!r} is not one of {', '.join(allowed)}")
    words = match["direction"].split()
    vertical = words.pop(0) if words and words[0] in ("up", "down") else ""
    horizontal = words.pop(0) if words and words[0] in ("left", "right") else ""
    if words:
        raise PromptError(f"prompt {prompt!r}: direction is [up|down] [left|right], not {match['direction']!r}")
    return Scene(
        color=match["color"],
        shape=match["shape"],
        row=match["row"],
        column=match["column"],
        vertical=vertical,
        horizontal=horizontal,
    )


def scenes() -> Iterator[Scene]:
    """Every scene of the grammar, in a fixed order."""
    for color, shape, row, column, vertical, horizontal in product(*_SLOTS):
        if vertical or horizontal:
            yield Scene(color=color, shape=shape, row=row, column=column, vertical=vertical, horizontal=horizontal)


def _bounce(position: int) -> int:
    span = HIGH - LOW
    phase = (position - LOW) % (2 * span)
    return LOW + (phase if phase <= span else 2 * span - phase)
