"""Which noise level a pass reads of each earlier block: the only place that knows dependencies.

With offset o, pass k of block i reads block j < i at level min(k + (i - j)(o - 1), last): the level whose pass has
finished when block i trails its predecessor by o passes. An offset of all passes is the sequential pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field

from models.spec import ModelSpec
from planner.errors import InputError
from planner.value import Value


class Pattern(Value):
    """A dependency pattern; text forms `sequential` and `cascade:OFFSET`."""

    name: Literal["sequential", "cascade"]
    offset: int = Field(ge=1, description="passes by which a block trails its predecessor")
    exchange: Literal["after"] = "after"

    @classmethod
    def sequential(cls, spec: ModelSpec) -> Self:
        """One block after the other: the offset is every pass of a block."""
        return cls(name="sequential", offset=spec.passes)

    @classmethod
    def parse(cls, text: str, spec: ModelSpec) -> Self:
        """The pattern a text form names for a model. Raises InputError with the forms there are."""
        if text == "sequential":
            return cls.sequential(spec)
        match = re.fullmatch(r"cascade:(0|[1-9][0-9]{0,3})", text)
        if match is None:
            raise InputError(f"pattern: {text!r} is neither 'sequential' nor 'cascade:OFFSET'")
        offset = int(match[1])
        if not 1 <= offset <= spec.passes:
            raise InputError(f"pattern: offset must be 1..{spec.passes} for {spec.name}, not {offset}")
        return cls(name="cascade", offset=offset)

    def __str__(self) -> str:
        return self.name if self.name == "sequential" else f"cascade:{self.offset}"


def all_patterns(spec: ModelSpec) -> tuple[Pattern, ...]:
    """Every pattern a model can be planned with: sequential, then cascades from the longest offset to 1."""
    cascades = (Pattern(name="cascade", offset=offset) for offset in range(spec.passes - 1, 0, -1))
    return (Pattern.sequential(spec), *cascades)


def level_read(pattern: Pattern, spec: ModelSpec, stage: int, distance: int) -> int:
    """Level at which pass `stage` reads the block `distance` before it; the last level is the cleanest."""
    return min(stage + distance * (pattern.offset - 1), spec.passes - 1)


def reads(pattern: Pattern, spec: ModelSpec, block: int, stage: int) -> Iterator[tuple[int, int]]:
    """(block, level) of every K/V version that pass `stage` of `block` reads, oldest block first."""
    for earlier in spec.context_blocks(block):
        yield earlier, level_read(pattern, spec, stage, block - earlier)
