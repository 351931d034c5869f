"""Rotary position embedding of Wan, for any start frame.

Wan's table splits a head's dims into time, height and width and ends at 1,024 frames; computed from the position
instead, a stream may run for ever. Source: `WanRotaryPosEmbed` of diffusers, whose table this equals (tested).

Shape suffixes: N tokens of a block, H heads, D head dim, P = D/2 rotated pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

THETA = 10000.0


class Rotation(NamedTuple):
    """Cosines and sines by which each pair of a head's dims is turned; broadcast against [.., N, H, P]."""

    cos_N1P: Tensor
    sin_N1P: Tensor


def rotation(head_dim: int, start: int, frames: int, height: int, width: int) -> Rotation:
    """The rotation of every token of `frames` latent frames from frame `start`; height, width in patches."""
    across = 2 * (head_dim // 6)
    time = _angles(head_dim - 2 * across, range(start, start + frames))
    rows, columns = _angles(across, range(height)), _angles(across, range(width))
    grid = (frames, height, width)
    angles = torch.cat(
        [
            time[:, None, None].expand(*grid, -1),
            rows[None, :, None].expand(*grid, -1),
            columns[None, None, :].expand(*grid, -1),
        ],
        dim=-1,
    ).flatten(0, 2)
    return Rotation(angles.cos().float()[:, None], angles.sin().float()[:, None])


def time_shift(head_dim: int, frames: int) -> Rotation:
    """The rotation that moves already rotated keys by `frames` latent frames (negative: into the past)."""
    across = 2 * (head_dim // 6)
    angles = torch.cat([_angles(head_dim - 2 * across, [frames]), torch.zeros(1, across, dtype=torch.float64)], dim=-1)
    return Rotation(angles.cos().float()[:, None], angles.sin().float()[:, None])


def rotate(x_NHD: Tensor, by: Rotation) -> Tensor:
    """Each pair (x[2p], x[2p+1]) turned by its angle, in float32; same shape and dtype as the input."""
    even, odd = x_NHD.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * by.cos_N1P - odd * by.sin_N1P, even * by.sin_N1P + odd * by.cos_N1P), dim=-1)
    return turned.flatten(-2).type_as(x_NHD)


def _angles(dims: int, positions: range | list[int]) -> Tensor:
    frequencies = THETA ** (-torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    return torch.tensor(list(positions), dtype=torch.float64)[:, None] * frequencies
