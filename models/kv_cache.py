"""Fixed K/V slots: one buffer, one slot for each version of a block's K/V that is alive.

A version is a block at a noise level. Slots are never overwritten while alive, so what a pass reads cannot depend on
timing. The only mutable thing in `models`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.errors import ModelError
from models.spec import ModelSpec

Version = tuple[int, int]  # (block, level)


class KVSlots:
    """`capacity` slots of [layers, 2, tokens, heads, head_dim], taken and given back by version."""

    def __init__(self, spec: ModelSpec, capacity: int, dtype: torch.dtype, device: torch.device | str) -> None:
        shape = (capacity, spec.layers, 2, spec.tokens_per_block, spec.heads, spec.head_dim)
        self._buffer = torch.zeros(shape, dtype=dtype, device=device)
        self._idle = list(range(capacity - 1, -1, -1))
        self._slot_of: dict[Version, int] = {}

    def take(self, block: int, level: int) -> Tensor:
        """A slot for a new version. Raises ModelError if the version is alive already or no slot is idle."""
        if (block, level) in self._slot_of:
            raise ModelError(f"K/V of block {block} at level {level} is alive already")
        if not self._idle:
            alive = ", ".join(f"b{b}.{m}" for b, m in sorted(self._slot_of))
            raise ModelError(f"all {len(self._buffer)} K/V slots are taken ({alive}); none for b{block}.{level}")
        slot = self._slot_of[block, level] = self._idle.pop()
        return self._buffer[slot]

    def get(self, block: int, level: int) -> Tensor:
        """A living version's slot. Raises ModelError if it was never taken or is given back."""
        if (block, level) not in self._slot_of:
            raise ModelError(f"K/V of block {block} at level {level} is not here")
        return self._buffer[self._slot_of[block, level]]

    def give_back(self, block: int, level: int) -> None:
        """Ends a version's life. Raises ModelError if it is not alive."""
        self.get(block, level)
        self._idle.append(self._slot_of.pop((block, level)))

    @property
    def alive(self) -> frozenset[Version]:
        return frozenset(self._slot_of)
