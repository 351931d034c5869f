"""`Action`: one unit of work of one rank, with a text form that round-trips.

    denoise b3.s2         step 2 of block 3                  send kv b3.s2 to r1      what a pass made, to rank 1
    commit b3             the clean pass of block 3          recv latents b3.s3 from r0
    decode b3             latents of block 3 to pixels       free kv b3.c             the storage may be reused

A pass is called `b3.s2` (step 2) or `b3.c` (clean pass). `kv` is the K/V a pass made of its own block; `latents` is
what a denoise step leaves behind: the next step's input, or after the last step the block's clean latents.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from planner.errors import InputError


class Kind(StrEnum):
    """What an action does."""

    DENOISE = "denoise"
    COMMIT = "commit"
    DECODE = "decode"
    SEND = "send"
    RECV = "recv"
    FREE = "free"


COMPUTE = frozenset({Kind.DENOISE, Kind.COMMIT, Kind.DECODE})

Carried = Literal["kv", "latents"]


class Payload(NamedTuple):
    """What a pass made that others read; `step` is None for the clean pass."""

    carries: Carried
    block: int
    step: int | None

    def __str__(self) -> str:
        return f"{self.carries} b{self.block}.{'c' if self.step is None else f's{self.step}'}"


class Action(NamedTuple):
    """One unit of work. Compute actions carry nothing; transfers and frees name their payload's pass."""

    kind: Kind
    block: int
    step: int | None = None
    carries: Carried | None = None
    peer: int | None = None

    @property
    def is_compute(self) -> bool:
        return self.kind in COMPUTE

    @property
    def payload(self) -> Payload:
        """What a transfer moves or a free gives up."""
        assert self.carries is not None, f"{self} has no payload"
        return Payload(self.carries, self.block, self.step)

    def __str__(self) -> str:
        if self.kind is Kind.DENOISE:
            return f"denoise b{self.block}.s{self.step}"
        if self.carries is None:
            return f"{self.kind} b{self.block}"
        peer = {Kind.SEND: f" to r{self.peer}", Kind.RECV: f" from r{self.peer}"}.get(self.kind, "")
        return f"{self.kind} {self.payload}{peer}"

    @classmethod
    def parse(cls, text: str) -> Action:
        """The action a text form stands for. Raises InputError showing the forms."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise InputError(f"action {text!r}: not like 'denoise b3.s2', 'commit b3' or 'send kv b3.s2 to r1'")
        found = match.groupdict()
        if found["denoise"] is not None:
            return cls(Kind.DENOISE, int(found["denoise"]), int(found["denoise_step"]))
        if found["whole"] is not None:
            return cls(Kind(found["whole"]), int(found["whole_block"]))
        kind, peer = found["give"] or found["take"] or "free", found["to"] or found["from"]
        step = None if found["clean"] else int(found["step"])
        carries: Any = found["carries"]
        return cls(Kind(kind), int(found["block"]), step, carries, None if peer is None else int(peer))


# One number has one spelling, so equal texts and equal actions are the same thing.
_N = r"(?:0|[1-9]\d{0,8})"
_PASS = rf"(?P<carries>kv|latents) b(?P<block>{_N})\.(?:s(?P<step>{_N})|(?P<clean>c))"
_FORM = re.compile(
    rf"denoise b(?P<denoise>{_N})\.s(?P<denoise_step>{_N})"
    rf"|(?P<whole>commit|decode) b(?P<whole_block>{_N})"
    rf"|(?:(?P<give>send)|(?P<take>recv)|free) {_PASS}"
    rf"(?:(?(give) to r(?P<to>{_N})|(?(take) from r(?P<from>{_N})|)))",
    re.ASCII,
)


class TimedAction(NamedTuple):
    """An action and when it runs, integer microseconds from the start of the clip."""

    action: Action
    start_us: int
    end_us: int
