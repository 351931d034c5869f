"""Where names of points go: beside their points, never over one another if they can be left out.

Names that must be told may move away, with a line back to their point; others are left out where there is no room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

# How far a name may be from its point, in points of print, and where it is tried at each distance, best first.
REACHES = (5.5, 11.0, 18.0, 27.0, 38.0)
SIDES = (
    *((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)),
    *((1, 0.5), (-1, 0.5), (1, -0.5), (-1, -0.5)),
)
NEAR = 2  # so many of the distances are for names that can be left out
# What is bad about a place, in the same measure as one step further away.
OVER_NAME, OVER_MARK, OVER_LINE = 1000, 6, 1


class Box(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )

    def moved_into(self, other: Box) -> Box:
        """As far as it fits; else it begins where the other begins."""
        left = max(other.left, min(self.left, other.right - (self.right - self.left)))
        bottom = max(other.bottom, min(self.bottom, other.top - (self.top - self.bottom)))
        return Box(left, bottom, left + self.right - self.left, bottom + self.top - self.bottom)


class Name(NamedTuple):
    """What is to be written of a point at x, y; `must`: whatever it lies on."""

    x: float
    y: float
    width: float
    height: float
    must: bool


class Place(NamedTuple):
    """Where a name goes; `far`: a line leads back to its point."""

    box: Box
    far: bool


def places(names: Sequence[Name], inside: Box, marks: Sequence[Box], lines: Sequence[Box]) -> list[Place | None]:
    """A place for each name, the first names first, or None where there is no room; all in points of print."""
    taken: list[Box] = []
    found: list[Place | None] = []
    for name in names:
        best: tuple[float, Place] | None = None
        for step, box in _candidates(name, inside):
            over = sum(box.overlaps(other) for other in taken), sum(box.overlaps(other) for other in marks)
            if any(over) and not name.must:
                continue
            cost = step + OVER_NAME * over[0] + OVER_MARK * over[1] + OVER_LINE * sum(map(box.overlaps, lines))
            if best is None or cost < best[0]:
                best = cost, Place(box, step > 0)
        found.append(best and best[1])
        taken += [best[1].box] if best else []
    return found


def _candidates(name: Name, inside: Box) -> Iterator[tuple[int, Box]]:
    """Nearest first; those that would leave the picture are moved into it if the name must be told."""
    reaches = list(enumerate(REACHES))[: None if name.must else NEAR]
    for (step, reach), (right, up) in product(reaches, SIDES):
        # On a diagonal the corner is as far away as elsewhere the side.
        by = reach * (0.71 if abs(right * up) == 1 else 1.0)
        left = name.x + right * by + name.width * (right - 1) / 2
        # Half up or down, the name's middle is at half the distance.
        bottom = name.y + up * by + name.height * ((up if abs(up) == 1 else 0) - 1) / 2
        box = Box(left, bottom, left + name.width, bottom + name.height)
        if box.within(inside):
            yield step, box
        elif name.must:
            yield step, box.moved_into(inside)
