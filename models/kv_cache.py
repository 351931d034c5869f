"""Fixed K/V slots: one buffer, one slot for each version of a block's K/V that is alive.

A version is a block at a noise level. Slots are never overwritten while alive, so what a pass reads cannot depend on
timing. Within a layer slots lie side by side, and a version takes its block's place in the window's ring where that is
idle: a window then is one piece of memory, however far it has slid. The only mutable thing in `models`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.errors import ModelError
from models.spec import ModelSpec

Version = tuple[int, int]  # (block, level)


class KVSlots:
    """`capacity` slots, taken and given back by version; a slot is a view [layers, 2, tokens, heads, head_dim].

    `layers`, `heads`: how many are held here, all if not said.
    """

    def __init__(
        self,
        spec: ModelSpec,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device | str,
        *,
        layers: int | None = None,
        heads: int | None = None,
    ) -> None:
        self._spec = spec
        tokens = max(spec.tokens_of(0), spec.tokens_of(1))
        shape = (layers or spec.layers, 2, capacity, tokens, heads or spec.heads, spec.head_dim)
        self._buffer = torch.zeros(shape, dtype=dtype, device=device)
        self._idle = set(range(capacity))
        self._slot_of: dict[Version, int] = {}

    def take(self, block: int, level: int) -> Tensor:
        """A slot for a new version. Raises ModelError if the version is alive already or no slot is idle."""
        if (block, level) in self._slot_of:
            raise ModelError(f"K/V of block {block} at level {level} is alive already")
        if not self._idle:
            alive = ", ".join(f"b{b}.{m}" for b, m in sorted(self._slot_of))
            raise ModelError(f"all {len(self._slot_of)} K/V slots are taken ({alive}); none for b{block}.{level}")
        place = self._spec.ring_place(block)
        # Elsewhere means last: the first places are those that some block prefers.
        slot = place if place in self._idle else max(self._idle)
        self._idle.remove(slot)
        self._slot_of[block, level] = slot
        return self._view(block, slot)

    def get(self, block: int, level: int) -> Tensor:
        """A living version's slot. Raises ModelError if it was never taken or is given back."""
        if (block, level) not in self._slot_of:
            raise ModelError(f"K/V of block {block} at level {level} is not here")
        return self._view(block, self._slot_of[block, level])

    def give_back(self, block: int, level: int) -> None:
        """Ends a version's life. Raises ModelError if it is not alive."""
        self.get(block, level)
        self._idle.add(self._slot_of.pop((block, level)))

    @property
    def idle(self) -> int:
        """How many slots are idle."""
        return len(self._idle)

    @property
    def alive(self) -> frozenset[Version]:
        return frozenset(self._slot_of)

    def _view(self, block: int, slot: int) -> Tensor:
        # A block of fewer tokens lies at its slot's end, so that the next slot's begin right after.
        return self._buffer[:, :, slot, -self._spec.tokens_of(block) :]
