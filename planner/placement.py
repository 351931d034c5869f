"""Which ranks may run an action."""

from __future__ import annotations

from typing import Literal, Self

from planner.action import Action, Kind
from planner.errors import InputError
from planner.value import Value


class Placement(Value):
    """Where passes and decodes go; text forms like `free`, `block` or `step+decoder`.

    passes: `free` (any rank), `block` (all passes of a block on one rank), `step` (all blocks' passes of a step on
    one rank). decoder: `shared` (decoded on a rank that denoises too) or `apart` (the last rank only decodes).
    """

    passes: Literal["free", "block", "step"] = "free"
    decoder: Literal["shared", "apart"] = "shared"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The placement of a text form. Raises InputError with the forms there are."""
        passes, plus, decoder = text.partition("+")
        if passes not in ("free", "block", "step") or (plus and decoder != "decoder"):
            raise InputError(f"placement: {text!r} is not free, block or step, with or without '+decoder'")
        return cls.model_validate({"passes": passes, "decoder": "apart" if plus else "shared"})

    def __str__(self) -> str:
        return self.passes + ("+decoder" if self.decoder == "apart" else "")

    def candidates(self, action: Action, ranks: int, steps: int) -> range:
        """The ranks that may run the action. Raises InputError if a decoder apart leaves none to denoise."""
        denoising = ranks - (self.decoder == "apart")
        if denoising < 1:
            raise InputError(f"placement: {self} needs at least 2 ranks, not {ranks}")
        if action.kind is Kind.DECODE:
            return range(denoising, ranks) if self.decoder == "apart" else range(ranks)
        if self.passes == "free":
            return range(denoising)
        stage = steps if action.step is None else action.step
        chosen = (action.block if self.passes == "block" else stage) % denoising
        return range(chosen, chosen + 1)


def all_placements(ranks: int, *, decode: bool) -> tuple[Placement, ...]:
    """Every placement that makes sense on that many ranks."""
    if ranks == 1:
        return (Placement(),)
    passes: tuple[Literal["free", "block", "step"], ...] = ("free", "block", "step")
    shared = tuple(Placement(passes=p) for p in passes)
    return shared + tuple(Placement(passes=p, decoder="apart") for p in passes) if decode else shared
