"""K/V as it lies in its slot: each layer's K, and its V, is one piece of memory, but the whole is not.

What is large travels so, from slot to slot; of what is small, a copy costs less than a message for each piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

PIECE_BYTES = 1 << 18  # K or V of a layer that is at least this large travels by itself


def in_pieces(shape: Sequence[int], dtype: torch.dtype) -> bool:
    """Whether K/V [.., 2, N, H, E] travels in pieces: the same on both ends, however their slots lie."""
    return len(shape) >= 4 and math.prod(shape[-3:]) * dtype.itemsize >= PIECE_BYTES


def pieces_of(kv: Tensor) -> list[Tensor]:
    """Each layer's K and V [N, H, E] of K/V [2, N, H, E] or [layers, 2, N, H, E], in order; views."""
    return [part for layer in (kv if kv.dim() == 5 else [kv]) for part in layer]
