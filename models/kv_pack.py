"""K/V in half the bytes for its way between ranks: 8-bit floats (e4m3), a scale for each layer, head, and K or V.

Lossy, so executions with it equal the reference within a measured error only; those that send K/V in full equal it bit
for bit. A number keeps 4 significant bits: it comes back within 1/16 of itself, or, where it is less than 1/28672 of
the largest of its head, within 1/458752 of that. Format: arXiv 2209.05433.

It pays where the link is slower than the packing. One CPU core packs 0.2 GB of float32 a second and unpacks twice that,
which is slower than shared memory by far; on a GPU it has not been timed.

Shape suffixes: L layers, N tokens, H heads, E head dim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from models.errors import ModelError

PACKED = torch.float8_e4m3fn
LARGEST = 448.0  # of the format
SCALE_BYTES = 4
AXES = "[.., 2, N, H, E]"


def packed_bytes(shape: Sequence[int]) -> int:
    """Bytes of K/V [.., 2, N, H, E] when packed: one a number, four a scale."""
    *outer, _, heads, _ = shape
    return math.prod(shape) + SCALE_BYTES * math.prod(outer) * heads


def pack(kv: Tensor) -> Tensor:
    """K/V [L, 2, N, H, E] or [2, N, H, E] as `packed_bytes` bytes: scales [L, 2, H] in float32, then the numbers.

    Any strides; computed on its device, which nothing here waits for. A number that is not finite comes back as NaN
    and leaves the others as they are. Raises ModelError for another shape or for integers.
    """
    if kv.dim() not in (4, 5) or kv.shape[-4] != 2 or not kv.is_floating_point():
        raise ModelError(f"K/V to pack must be floats {AXES}, not {kv.dtype} {list(kv.shape)}")
    packed = torch.empty(packed_bytes(kv.shape), dtype=torch.uint8, device=kv.device)
    for part_2NHE, scale_2H, numbers_2NHE in _by_layer(kv, packed):
        wide_2NHE = part_2NHE.float()
        finite_2NHE = wide_2NHE.isfinite()
        most_2H = torch.where(finite_2NHE, wide_2NHE, 0).abs().amax((1, 3))
        # Heads of zeros, or of numbers so small that a scale could not be told from zero, become zeros.
        scale_2H.copy_((most_2H / LARGEST).clamp_min(torch.finfo(torch.float32).tiny))
        # Infinity has no place in the format, and releases of torch differ in what they make of it; NaN has one.
        numbers_2NHE.copy_(torch.where(finite_2NHE, wide_2NHE / scale_2H[:, None, :, None], torch.nan))
    return packed


def unpack_into(packed: Tensor, kv: Tensor) -> None:
    """Writes K/V to where it belongs: `kv` [.., 2, N, H, E] of any strides and float type, such as a slot.

    Raises ModelError if the bytes are not those of such K/V.
    """
    wanted = packed_bytes(kv.shape) if kv.dim() in (4, 5) else None
    if packed.dtype != torch.uint8 or packed.shape != (wanted,) or not packed.is_contiguous():
        raise ModelError(
            f"packed K/V {list(kv.shape)} is {wanted} bytes, not {packed.dtype} {list(packed.shape)}; "
            "both ranks must hold the same layers and heads"
        )
    for part_2NHE, scale_2H, numbers_2NHE in _by_layer(kv, packed):
        part_2NHE.copy_(numbers_2NHE.float() * scale_2H[:, None, :, None])


def _by_layer(kv: Tensor, packed: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each layer's K/V with its scales and its numbers among the bytes: all at once would take twice the K/V more."""
    kv_L2NHE = kv if kv.dim() == 5 else kv[None]
    layers, two, _, heads, _ = kv_L2NHE.shape
    split = layers * two * heads * SCALE_BYTES
    scales_L2H = packed[:split].view(torch.float32).view(layers, two, heads)
    numbers_L2NHE = packed[split:].view(PACKED).view(kv_L2NHE.shape)
    return zip(kv_L2NHE, scales_L2H, numbers_L2NHE, strict=True)
