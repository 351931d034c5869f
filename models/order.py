"""`Order`: the passes of a clip, in the order they run, and which K/V each reads, from the patterns' definition.

A version of a block's K/V is named by the pass that makes it, (block, stage). Stages are the block's denoise steps,
then its clean pass; the pass that makes its K/V anew before block r has stage `block_steps + r`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple, Self

from models.errors import ModelError
from models.kv_cache import Version
from models.spec import ModelSpec

Pass = tuple[int, int]  # (block, stage)
Live = Literal["causal", "joint"]
Turn = tuple[Pass, ...]  # passes that run in lock-step, layer by layer


class Order(NamedTuple):
    """What fixes the passes of a clip; `generate` says what each field means."""

    spec: ModelSpec
    blocks: int
    offset: int
    live: Live | None = None
    recomputes: bool = False
    recached: tuple[int, ...] = ()

    @classmethod
    def checked(
        cls,
        spec: ModelSpec,
        blocks: int,
        offset: int | None,
        live: Live | None,
        recached: Sequence[int],
        *,
        codec: bool,
    ) -> Self:
        """The order asked for. Raises ModelError where a field is out of range or two do not go together."""
        offset = spec.passes if offset is None else offset
        if not 1 <= offset <= spec.passes:
            raise ModelError(f"offset must be 1..{spec.passes} for {spec.name}, not {offset}")
        if blocks < 1:
            raise ModelError(f"blocks must be at least 1, not {blocks}")
        if live not in (None, "causal", "joint"):
            raise ModelError(f"live must be None, 'causal' or 'joint', not {live!r}")
        if (codec or recached) and (offset != spec.passes or live is not None):
            what = "codec" if codec else "recached"
            raise ModelError(f"{what}: only sequential clips make K/V anew; leave offset and live out, or {what}")
        if codec and recached:
            raise ModelError("recached: with a codec the context is made anew before every block; leave recached out")
        if any(not 1 <= block < blocks for block in recached):
            raise ModelError(f"recached: {list(recached)} must be blocks of 1..{blocks - 1}: they follow a context")
        anew = range(1, blocks) if codec else sorted(set(recached))
        return cls(spec, blocks, offset, live, codec, tuple(anew))

    def stages(self, block: int) -> range:
        """The stages a block goes through; no clean pass where nothing would read it."""
        clean = self.spec.clean_pass and not self.recomputes and block < self.blocks - 1
        return range(self.spec.block_steps(block) + clean)

    def tick(self, block: int, stage: int) -> int:
        """When a pass runs, in passes from the clip's first; K/V is made anew in the tick of the block it is for."""
        remade = self.remade_for(block, stage)
        if remade:
            return self.tick(remade, 0)
        # A first block of more steps begins so much earlier.
        return block * self.offset + stage + (self.spec.block_steps(0) - self.spec.steps if block else 0)

    def remade_for(self, block: int, stage: int) -> int:
        """The block before which a pass makes K/V anew; 0 if it is an ordinary pass."""
        return max(0, stage - self.spec.block_steps(block))

    def turns(self) -> list[Turn]:
        """Every pass, tick by tick and oldest block first: each by itself, or the tick's together if joint."""
        passes = sorted(self._passes(), key=lambda item: (self.tick(*item), item))
        if self.live != "joint":
            return [(item,) for item in passes]
        return [tuple(items) for _, items in groupby(passes, key=lambda item: self.tick(*item))]

    def reads(self, block: int, stage: int) -> tuple[Version, ...]:
        """The versions a pass attends to, its own among them, in the order of the keys."""
        newer = dict(self._newer(block, stage))
        found = {**dict(self._older(block, stage)), block: stage, **newer}
        return tuple((other, found[other]) for other in self.spec.key_order(block, tuple(newer)) if other in found)

    # -- pieces ----------------------------------------------------------------------------------

    def _passes(self) -> Iterator[Pass]:
        for block in range(self.blocks):
            yield from ((block, stage) for stage in self.stages(block))
        for later in self.recached:
            yield from ((block, self.spec.block_steps(block) + later) for block in self.spec.context_blocks(later))

    def _older(self, block: int, stage: int) -> Iterator[Version]:
        spec, level = self.spec, self._level(block, stage)
        lag = self.offset - (self.live is None)
        begun = [later for later in self.recached if later <= block]
        anew = self.remade_for(block, stage) or max(begun, default=0)
        for older in spec.context_blocks(block):
            if older >= anew:
                yield older, spec.stage_at(older, min(level + (block - older) * lag, spec.passes - 1))
            elif older in spec.context_blocks(anew):
                yield older, spec.block_steps(older) + anew

    def _newer(self, block: int, stage: int) -> Iterator[Version]:
        if self.live == "joint":
            most = self._level(block, stage) // self.offset
            for newer in range(block + 1, min(self.blocks, block + most + 1)):
                yield newer, self._level(block, stage) - (newer - block) * self.offset

    def _level(self, block: int, stage: int) -> int:
        """The noise level of a pass; a first block of more steps begins below 0."""
        return stage + self.spec.steps - self.spec.block_steps(block)


def last_readers(order: Order, turns: Sequence[Turn]) -> dict[Version, int]:
    """For each version, the index of the last turn that reads it: its own, at least."""
    return {version: index for index, turn in enumerate(turns) for item in turn for version in order.reads(*item)}


def most_alive(turns: Sequence[Turn], last_reader: dict[Version, int]) -> int:
    """How many versions live at once at most."""
    alive: set[Version] = set()
    most = 0
    for index, turn in enumerate(turns):
        alive.update(turn)
        most = max(most, len(alive))
        alive = {version for version in alive if last_reader[version] > index}
    return most
