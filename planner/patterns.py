"""Which noise level a pass reads of each earlier block: the only place that knows dependencies between passes.

Pass k of block i runs in tick i x offset + k when blocks run back to back. Exchange `after`: it reads block j < i at
level min(k + (i - j)(offset - 1), last), of passes that have finished a tick before or earlier. Exchange `live`: at
level min(k + (i - j) offset, last); below the last level that pass runs in the same tick and is read layer by layer.
Direction `joint`: blocks in flight read newer ones too, in the same tick. An offset of all passes is sequential.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from models.spec import ModelSpec
from planner.errors import InputError
from planner.value import Value

FORMS = (
    "'sequential', 'sequential-recompute', 'same-level', 'layers', 'cascade:OFFSET', 'cascade:OFFSET:live-causal' "
    "or 'cascade:OFFSET:live-joint'"
)

Name = Literal["sequential", "sequential-recompute", "cascade", "layers"]


class Pattern(Value):
    """A dependency pattern; text forms as in FORMS (`same-level` is cascade:1 with exchange after)."""

    name: Name
    offset: int = Field(ge=1, description="passes by which a block trails its predecessor")
    exchange: Literal["after", "live"] = "after"
    direction: Literal["causal", "joint"] = "causal"

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.direction == "joint" and self.exchange != "live":
            raise ValueError("direction: blocks in flight read one another live, so joint needs exchange 'live'")
        if self.exchange == "live" and self.name != "cascade":
            raise ValueError(f"exchange: {self.name} has no live exchange; name a cascade")
        if self.name == "layers" and self.offset != 1:
            raise ValueError(f"offset: a ring of layers has offset 1, not {self.offset}")
        return self

    @classmethod
    def sequential(cls, spec: ModelSpec) -> Self:
        """One block after the other: the offset is every pass of a block."""
        return cls(name="sequential", offset=spec.passes)

    @classmethod
    def parse(cls, text: str, spec: ModelSpec) -> Self:
        """The pattern a text form names for a model. Raises InputError with the forms there are."""
        if text in ("sequential", "sequential-recompute"):
            return cls(name=text, offset=spec.passes)  # type: ignore[arg-type]  # one of the names, see above
        if text in ("same-level", "layers"):
            return cls(name="layers" if text == "layers" else "cascade", offset=1)
        match = re.fullmatch(r"cascade:(0|[1-9][0-9]{0,3})(?::(live)-(causal|joint))?", text)
        if match is None:
            raise InputError(f"pattern: {text!r} is none of {FORMS}")
        offset = int(match[1])
        if not 1 <= offset <= spec.passes:
            raise InputError(f"pattern: offset must be 1..{spec.passes} for {spec.name}, not {offset}")
        exchange, direction = match[2] or "after", match[3] or "causal"
        return cls.model_validate({"name": "cascade", "offset": offset, "exchange": exchange, "direction": direction})

    def __str__(self) -> str:
        if self.name != "cascade":
            return self.name
        return f"cascade:{self.offset}" + ("" if self.exchange == "after" else f":live-{self.direction}")

    @property
    def is_joint(self) -> bool:
        """Whether all blocks in flight run as a gang, layer by layer."""
        return self.direction == "joint"

    @property
    def is_live(self) -> bool:
        """Whether passes read one another layer by layer while they run, older to newer."""
        return self.exchange == "live" and not self.is_joint

    def tick(self, block: int, stage: int) -> int:
        """When a pass runs if blocks run back to back, counted in passes."""
        return block * self.offset + stage


def require_offset(pattern: Pattern, spec: ModelSpec) -> None:
    """Raises InputError unless the model has as many passes as the pattern's offset asks for."""
    most = 1 if pattern.name == "layers" else spec.passes
    least = spec.passes if "sequential" in pattern.name else 1
    if not least <= pattern.offset <= most:
        allowed = str(most) if least == most else f"{least}..{most}"
        raise InputError(f"pattern: the offset of {pattern.name} is {allowed} for {spec.name}, not {pattern.offset}")


def all_patterns(spec: ModelSpec) -> tuple[Pattern, ...]:
    """Every pattern a model can be planned with: those that read the cleanest context first."""
    cascades = [
        Pattern.model_validate({"name": "cascade", "offset": offset, "exchange": exchange, "direction": direction})
        for exchange, direction in (("after", "causal"), ("live", "causal"), ("live", "joint"))
        for offset in range(spec.passes - 1, 0, -1)
    ]
    others = (Pattern(name="sequential-recompute", offset=spec.passes), Pattern(name="layers", offset=1))
    return (Pattern.sequential(spec), *cascades, *others)


def tolerates(spec: ModelSpec, pattern: Pattern) -> bool:
    """Whether the checkpoint is known to bear the pattern: it names it, or one that reads the very same context."""
    return any(name in spec.tolerates for name in _names(spec, pattern))


def _names(spec: ModelSpec, pattern: Pattern) -> tuple[str, ...]:
    if pattern.name != "cascade":
        return (pattern.name, "same-level") if pattern.name == "layers" else (pattern.name,)
    if pattern.offset == spec.passes:
        return ("sequential", "cascade")
    if pattern.exchange == "live":
        return (f"cascade-live-{pattern.direction}",)
    return ("cascade", "same-level") if pattern.offset == 1 else ("cascade",)


def level_read(pattern: Pattern, spec: ModelSpec, stage: int, distance: int) -> int:
    """Level at which pass `stage` reads the block `distance` before it; the last level is the cleanest."""
    lag = pattern.offset if pattern.exchange == "live" else pattern.offset - 1
    return min(stage + distance * lag, spec.passes - 1)


def runs_beside(pattern: Pattern, spec: ModelSpec, stage: int, distance: int) -> bool:
    """Whether the version of the block `distance` before is made in the very tick that reads it."""
    return pattern.exchange == "live" and stage + distance * pattern.offset < spec.passes


def reads(pattern: Pattern, spec: ModelSpec, block: int, stage: int) -> Iterator[tuple[int, int]]:
    """(block, level) of every earlier K/V version that pass `stage` of `block` reads, oldest block first."""
    for earlier in spec.context_blocks(block):
        yield earlier, level_read(pattern, spec, stage, block - earlier)


def newer_read(pattern: Pattern, block: int, stage: int, blocks: int) -> Iterator[tuple[int, int]]:
    """(block, level) of the newer blocks in flight that a pass reads: none unless the pattern is joint."""
    if pattern.is_joint:
        for later in range(block + 1, min(blocks, block + stage // pattern.offset + 1)):
            yield later, stage - (later - block) * pattern.offset
