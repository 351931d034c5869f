"""`Action`: one unit of work of one rank, with a text form that round-trips.

    denoise b3.s2           step 2 of block 3                   send kv b3.s2 to r1      what a pass made, to rank 1
    commit b3               the clean pass of block 3           recv latents b3.s3 from r0
    decode b3               latents of block 3 to pixels        stream kv b3.s2 to r1    layer by layer, as it is made
    decode b3.d1            part 1 of a decoder in parts        tap kv b3.s2 from r0     its other end
    encode b3               pixels of block 3 back to latents   free kv b3.c             the storage may be reused
    recache b3              the K/V of block 3's context anew
    text p0                 prompt 0 to embeddings
    tick 9 b3.s2 b4.s0      this rank's share of tick 9: a gang in which all blocks in flight read one another
    batch 9.0 b3.s2 b4.s0   share 0 of tick 9: passes that run as one batch
    slice 9.1 b3.s2 b4.s0   slice 1 of the model's layers on wave 9 of passes

A pass is called `b3.s2` (step 2) or `b3.c` (clean pass). What actions hand on: `kv`, the K/V a pass made of its own
block; `latents`, what a denoise step leaves behind: the next step's input, or after the last step the block's clean
latents; `context b3`, what `recache b3` made; `pixels b3` and `encoded b3`, what `decode b3` and `encode b3` made;
`features b3.d0`, what part 0 of the decoder hands to part 1; `hidden w9.l0`, what slice 0 hands to slice 1 in wave 9;
`text p0`, embeddings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Literal, NamedTuple

from planner.errors import InputError


class Kind(StrEnum):
    """What an action does."""

    DENOISE = "denoise"
    COMMIT = "commit"
    DECODE = "decode"
    ENCODE = "encode"
    RECACHE = "recache"
    TEXT = "text"
    TICK = "tick"
    BATCH = "batch"
    SLICE = "slice"
    SEND = "send"
    RECV = "recv"
    STREAM = "stream"
    TAP = "tap"
    FREE = "free"


LEAVING = frozenset({Kind.SEND, Kind.STREAM})
COMING = frozenset({Kind.RECV, Kind.TAP})
TRANSFERS = LEAVING | COMING
COMPUTE = frozenset(Kind) - TRANSFERS - {Kind.FREE}
# What only the first rank of a group does.
LEADERS_WORK = frozenset({Kind.DECODE, Kind.ENCODE, Kind.TEXT})
OF_PASSES = frozenset({Kind.TICK, Kind.BATCH, Kind.SLICE})
# Compute beside the passes.
SIDE_WORK = frozenset({Kind.DECODE, Kind.ENCODE, Kind.TEXT, Kind.RECACHE})

Carried = Literal["kv", "latents", "context", "pixels", "encoded", "features", "hidden", "text"]
Pass = tuple[int, int | None]  # block, and step or None for the clean pass


class Payload(NamedTuple):
    """What an action made that others read.

    `block` is the prompt's number for `text` and the wave's for `hidden`. `step` is None for a clean pass and where
    there is only one of the kind; for `features` it is the decoder's part and for `hidden` the slice that made it.
    """

    carries: Carried
    block: int
    step: int | None = None

    def __str__(self) -> str:
        form = _PAYLOADS[self.carries]
        return f"{self.carries} {form(self.block, self.step)}"


class Action(NamedTuple):
    """One unit of work. Compute actions carry nothing; transfers and frees name their payload.

    `block` is the tick's number for `tick` and `batch`, the wave's for `slice` and the prompt's for `text`. `step` is
    the decoder's part for `decode`, the share for `batch` and the slice for `slice`. `batch`: the passes of a `tick`,
    `batch` or `slice`, oldest block first.
    """

    kind: Kind
    block: int
    step: int | None = None
    carries: Carried | None = None
    peer: int | None = None
    batch: tuple[Pass, ...] = ()

    @property
    def is_compute(self) -> bool:
        return self.carries is None

    @property
    def is_whole(self) -> bool:
        """Whether it has the fields of its kind and no others."""
        stepped = self.kind in (Kind.DENOISE, Kind.BATCH, Kind.SLICE)
        plain = self.kind not in TRANSFERS | {Kind.DECODE, Kind.FREE} | OF_PASSES and not stepped
        if self.kind in TRANSFERS or self.kind is Kind.FREE:
            return self.carries is not None and (self.kind in TRANSFERS) == (self.peer is not None) and not self.batch
        if self.carries is not None or self.peer is not None or (self.batch and self.kind not in OF_PASSES):
            return False
        return not (stepped and self.step is None) and not ((plain or self.kind is Kind.TICK) and self.step is not None)

    @property
    def payload(self) -> Payload:
        """What a transfer moves or a free gives up."""
        assert self.carries is not None, f"{self} has no payload"
        return Payload(self.carries, self.block, self.step)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes that a compute action runs; none for one that runs no transformer, or re-caches."""
        if self.kind in OF_PASSES:
            return self.batch
        return ((self.block, self.step),) if self.kind in (Kind.DENOISE, Kind.COMMIT) else ()

    @property
    def gang(self) -> Action:
        """What the shares of one gang have in common: equal gangs on several ranks start and end together."""
        return self._replace(batch=()) if self.kind is Kind.TICK else self

    def __str__(self) -> str:
        if self.carries is not None:
            way = " to" if self.kind in LEAVING else " from"
            return f"{self.kind} {self.payload}" + ("" if self.peer is None else f"{way} r{self.peer}")
        if self.kind is Kind.DENOISE:
            return f"denoise {pass_text(self.block, self.step)}"
        if self.kind is Kind.TEXT:
            return f"text p{self.block}"
        if self.kind in OF_PASSES:
            part = "" if self.step is None else f".{self.step}"
            return " ".join([f"{self.kind} {self.block}{part}", *(pass_text(*item) for item in self.batch)])
        return f"{self.kind} b{self.block}" + ("" if self.step is None else f".d{self.step}")

    @classmethod
    def parse(cls, text: str) -> Action:
        """The action a text form stands for. Raises InputError showing the forms."""
        match = _FORM.fullmatch(text)
        action = None if match is None else _from_groups(match.groupdict())
        # The forms overlap a little ('text b0'); what does not come out as it went in is none of them.
        if action is None or str(action) != text or not action.is_whole:
            raise InputError(f"action {text!r}: not like 'denoise b3.s2', 'commit b3' or 'send kv b3.s2 to r1'")
        return action


def _from_groups(found: dict[str, str | None]) -> Action:
    def number(name: str) -> int | None:
        text = found[name]
        return None if text is None else int(text)

    if found["transfer"] is not None:
        carries, block, step = _payload(str(found["payload"]))
        return Action(Kind(found["transfer"]), block, step, carries, number("peer"))
    if found["gather"] is not None:
        batch = _passes(found["batch"] or "")
        return Action(Kind(found["gather"]), number("number") or 0, number("part"), batch=batch)
    if found["denoise"] is not None:
        return Action(Kind.DENOISE, int(found["denoise"]), number("denoise_step"))
    return Action(Kind(str(found["whole"])), number("of") or 0, number("stage"))


def pass_text(block: int, step: int | None) -> str:
    """`b3.s2`, or `b3.c` for the clean pass."""
    return f"b{block}.c" if step is None else f"b{block}.s{step}"


def _passes(text: str) -> tuple[Pass, ...]:
    parts = (item[1:].split(".") for item in text.split())
    return tuple((int(block), None if step == "c" else int(step[1:])) for block, step in parts)


_PAYLOADS: dict[str, Callable[[int, int | None], str]] = {
    "kv": pass_text,
    "latents": pass_text,
    "context": lambda block, _: f"b{block}",
    "pixels": lambda block, _: f"b{block}",
    "encoded": lambda block, _: f"b{block}",
    "features": lambda block, part: f"b{block}.d{part}",
    "hidden": lambda wave, part: f"w{wave}.l{part}",
    "text": lambda prompt, _: f"p{prompt}",
}


def _payload(text: str) -> Payload:
    carries, _, place = text.partition(" ")
    number, _, part = place[1:].partition(".")
    step = None if part in ("", "c") else int(part[1:])
    return Payload(carries, int(number), step)  # type: ignore[arg-type]  # the pattern lets no other word through


# One number has one spelling, so equal texts and equal actions are the same thing.
_N = r"(?:0|[1-9]\d{0,8})"
_PASS = rf"b{_N}\.(?:s{_N}|c)"
_PAYLOAD = (
    rf"(?:kv|latents) {_PASS}|(?:context|pixels|encoded) b{_N}|features b{_N}\.d{_N}|hidden w{_N}\.l{_N}|text p{_N}"
)
_FORM = re.compile(
    rf"denoise b(?P<denoise>{_N})\.s(?P<denoise_step>{_N})"
    rf"|(?P<whole>commit|encode|recache|decode|text) [bp](?P<of>{_N})(?:\.d(?P<stage>{_N}))?"
    rf"|(?P<gather>tick|batch|slice) (?P<number>{_N})(?:\.(?P<part>{_N}))?(?P<batch>(?: {_PASS})*)"
    rf"|(?P<transfer>send|recv|stream|tap|free) (?P<payload>{_PAYLOAD})(?: (?:to|from) r(?P<peer>{_N}))?",
    re.ASCII,
)


class TimedAction(NamedTuple):
    """An action and when it runs, integer microseconds from the start of the clip."""

    action: Action
    start_us: int
    end_us: int
