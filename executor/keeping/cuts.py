"""Cuts: the moments of a clip at which it can be gone on from, and what must be there for that.

A cut parts the passes in two, whatever ranks run them: those before a tick (in a ring of slices: a wave) and those from
it on. What is made before and read after is the cut's state; a block is decoded before the cut if its last denoise step
lies before it. Passes read only what earlier ticks or their own have made, so nothing after a cut is needed before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from planner.action import OF_PASSES, Action, Kind, Payload
from planner.flow import Flow

NEVER = 10**18  # after every tick


class Cut(NamedTuple):
    """Just before the first pass of a block; a block beyond the clip's last stands for its end.

    `ring`: how many units the ring has in whose waves the cut is meant; 0 where ticks are meant.
    """

    block: int
    ring: int = 0

    def __str__(self) -> str:
        return f"block {self.block}" + (f" in a ring of {self.ring}" if self.ring else "")


START = Cut(0)


class Before:
    """What lies before a cut."""

    def __init__(self, flow: Flow, cut: Cut) -> None:
        self._flow, self._ring = flow, cut.ring
        self._limit = NEVER if cut.block >= flow.blocks else self.at(cut.block, 0)

    def at(self, block: int, stage: int) -> int:
        """When a pass runs, in ticks or in the cut's waves."""
        return block + stage * self._ring if self._ring else self._flow.tick(block, stage)

    def ran(self, block: int, stage: int) -> bool:
        """Whether the pass lies before the cut."""
        return self.at(block, stage) < self._limit

    def finished(self, block: int) -> bool:
        """Whether the block's clean latents, and all that is decoded from them, lie before the cut."""
        return self.ran(block, self._flow.spec.block_steps(block) - 1)

    def made(self, payload: Payload) -> bool:
        """Whether the payload was made before the cut. Text is made anew each time."""
        carries, block, step = payload
        if carries in ("kv", "latents"):
            return self.ran(block, self._flow.stage((block, step)))
        if carries == "context":
            return self.ran(block, 0)
        if carries == "hidden":
            return all(self.ran(b, self._flow.stage((b, s))) for b, s in self._flow.wave(block))
        return carries != "text" and self.finished(block)

    def rest(self, action: Action) -> Action | None:
        """What of a compute action is left to do; None if nothing is."""
        if action.kind is Kind.SLICE:
            # Another ring's waves are cut across: a slice is left with some of its passes.
            left = tuple(item for item in action.batch if not self.ran(item[0], self._flow.stage(item)))
            return action._replace(batch=left) if left else None
        return None if self._done(action) else action

    def _done(self, action: Action) -> bool:
        kind, block = action.kind, action.block
        if kind in OF_PASSES:
            return block < self._limit
        if kind in (Kind.DECODE, Kind.ENCODE):
            return self.finished(block)
        if kind is Kind.RECACHE:
            return self.ran(block, 0)
        return kind is not Kind.TEXT and self.ran(block, self._flow.stage((block, action.step)))


class Cuts:
    """The cuts of a clip, one every so many blocks."""

    def __init__(self, flow: Flow, every: int) -> None:
        self._flow = flow
        self._ring = flow.layout.denoising if flow.placement.passes == "ring" else 0
        self.blocks = range(every, flow.blocks, every)
        self._states: dict[Cut, frozenset[Payload]] = {}

    @property
    def end(self) -> Cut:
        """The clip's end."""
        return Cut(self._flow.blocks, self._ring)

    def cut(self, block: int, ring: int | None = None) -> Cut:
        """The cut before a block, in the waves of the ring that there is if no other is named."""
        return Cut(block, self._ring if ring is None else ring)

    def before(self, cut: Cut) -> Before:
        return Before(self._flow, cut)

    def finished(self, cut: Cut) -> int:
        """How many blocks are finished before the cut."""
        return _count(self._flow.blocks, self.before(cut).finished)

    def state(self, cut: Cut) -> frozenset[Payload]:
        """The payloads made before the cut and read after it, on whatever ranks; text is none of them."""
        if cut not in self._states:
            self._states = {cut: state(self._flow, cut), **dict(list(self._states.items())[:3])}
        return self._states[cut]

    def after_payload(self, payload: Payload) -> Cut | None:
        """The first cut after a payload is made, if any."""
        return self._first(lambda before: before.made(payload))

    def after_block(self, block: int) -> Cut | None:
        """The first cut after a block is finished, if any."""
        return self._first(lambda before: before.finished(block))

    def saves(self, payload: Payload) -> bool:
        """Whether a cut needs the payload. A later cut needs none that the first cut after its making does not."""
        cut = None if payload.carries == "text" else self.after_payload(payload)
        return cut is not None and payload in self.state(cut)

    def saves_codec(self, block: int) -> bool:
        """Whether a cut needs what the streaming decoder and encoder keep once they are through with the block."""
        cut = self.after_block(block)
        return cut is not None and self.finished(cut) == block + 1

    def _first(self, passed: Callable[[Before], bool]) -> Cut | None:
        place = bisect_right(self.blocks, False, key=lambda block: passed(self.before(self.cut(block))))
        return self.cut(self.blocks[place]) if place < len(self.blocks) else None


def state(flow: Flow, cut: Cut) -> frozenset[Payload]:
    """The payloads that lie on the cut."""
    if cut.block >= flow.blocks:
        return frozenset()
    before = Before(flow, cut)
    needed = (payload for action in _readers(flow, before, cut) for payload in flow.needs(action))
    return frozenset(payload for payload in needed if before.made(payload))


def _readers(flow: Flow, before: Before, cut: Cut) -> Iterator[Action]:
    """Actions that are left to do and may read what was made before: each pass as one that runs alone."""
    first = _count(cut.block, lambda block: before.ran(block, flow.stages(block)[-1]))
    # Passes of the blocks after it read nothing of what was made that the cut's own block does not.
    for block in sorted({*range(first, cut.block + 1), *(later for later in flow.recached if later >= first)}):
        for action in _of_block(flow, block):
            if before.rest(action) is not None:
                yield action


def _of_block(flow: Flow, block: int) -> Iterator[Action]:
    if (flow.recomputes and block) or block in flow.recached:
        yield Action(Kind.RECACHE, block)
    for stage in flow.stages(block):
        step = flow.as_pass(block, stage)[1]
        yield Action(Kind.COMMIT if step is None else Kind.DENOISE, block, step)
    if flow.decodes:
        yield Action(Kind.DECODE, block)
    if flow.recomputes and block < flow.blocks - 1:
        yield Action(Kind.ENCODE, block)


def _count(most: int, holds: Callable[[int], bool]) -> int:
    """How many of the first blocks something holds for; where it does not, it holds for none after."""
    return bisect_right(range(most), False, key=lambda block: not holds(block))
