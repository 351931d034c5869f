"""Ulysses: ranks that share a pass hold a part of its tokens for the products, and a part of the heads for attention.

Source of the method: DeepSpeed-Ulysses, arXiv 2309.14509.

Shape suffixes: P ranks of the group, B passes, N tokens of a block, n = N / P, H heads, g = H / P, E head dim, X
numbers of an output patch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Group(NamedTuple):
    """This rank's place in its group.

    `swap` takes a tensor [P, ..] whose part p goes to rank p of the group, and returns the parts that came, by rank.
    """

    rank: int
    size: int
    swap: Callable[[Tensor], Tensor]

    def part(self, x: Tensor, dim: int) -> Tensor:
        """This rank's part of a dimension."""
        return x.chunk(self.size, dim)[self.rank]

    def to_heads(self, query_BnHE: Tensor, key_BnHE: Tensor, value_BnHE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a part of the tokens with all heads: all tokens with a part of the heads, [B, N, g, E] each."""
        three = torch.stack((query_BnHE, key_BnHE, value_BnHE))
        parts_P3BngE = torch.stack(three.chunk(self.size, dim=3))
        query, key, value = self.swap(parts_P3BngE).permute(1, 2, 0, 3, 4, 5).flatten(2, 3)
        return query, key, value

    def to_tokens(self, mixed_BNgE: Tensor) -> Tensor:
        """Of all tokens with a part of the heads: a part of the tokens with all heads, [B, n, H, E]."""
        parts_PBngE = torch.stack(mixed_BNgE.chunk(self.size, dim=1))
        return self.swap(parts_PBngE).permute(1, 2, 0, 3, 4).flatten(2, 3)

    def gathered(self, patches_BnX: Tensor) -> Tensor:
        """All ranks' parts of the tokens, [B, N, X]."""
        return self.swap(patches_BnX.expand(self.size, *patches_BnX.shape).contiguous()).transpose(0, 1).flatten(1, 2)
