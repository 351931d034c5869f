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
    """The turn of each pair of a head's dims, as cosine and sine; broadcast against [.., N, H, P, 2]."""

    turn_N1P2: Tensor

    @property
    def cos_N1P(self) -> Tensor:  # noqa: N802 - the shape
        return self.turn_N1P2[..., 0]

    @property
    def sin_N1P(self) -> Tensor:  # noqa: N802 - the shape
        return self.turn_N1P2[..., 1]


def rotation(head_dim: int, start: int, frames: int, height: int, width: int) -> Rotation:
    """The rotation of every token of `frames` latent frames from frame `start`; height, width in patches."""
    across = 2 * (head_dim // 6)
    time = _turns(head_dim - 2 * across, range(start, start + frames))
    rows, columns = _turns(across, range(height)), _turns(across, range(width))
    grid = (frames, height, width)
    turn = torch.cat(
        [
            time[:, None, None].expand(*grid, -1, -1),
            rows[None, :, None].expand(*grid, -1, -1),
            columns[None, None, :].expand(*grid, -1, -1),
        ],
        dim=-2,
    )
    return Rotation(turn.flatten(0, 2)[:, None])


def time_shift(head_dim: int, frames: int) -> Rotation:
    """The rotation that moves already rotated keys by `frames` latent frames (negative: into the past)."""
    across = 2 * (head_dim // 6)
    return Rotation(torch.cat([_turns(head_dim - 2 * across, [frames]), _turns(2 * across, [0])], dim=-2)[:, None])


def rotate(x_NHD: Tensor, by: Rotation) -> Tensor:
    """Each pair (x[2p], x[2p+1]) turned by its angle, in float32; same shape and dtype as the input."""
    pairs_NHP2 = x_NHD.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        # Compiled, these are one kernel, and complex numbers none.
        even, odd = pairs_NHP2.unbind(-1)
        turned = torch.stack((even * by.cos_N1P - odd * by.sin_N1P, even * by.sin_N1P + odd * by.cos_N1P), dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs_NHP2) * torch.view_as_complex(by.turn_N1P2))
    return turned.flatten(-2).type_as(x_NHD)


def _turns(dims: int, positions: range | list[int]) -> Tensor:
    """Cosines and sines [positions, dims / 2, 2] in float32, of angles in float64."""
    frequencies = THETA ** (-torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    angles = torch.tensor(list(positions), dtype=torch.float64)[:, None] * frequencies
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()
