"""Positions are diffusers' as far as its table goes, and go on beyond it.

Claims: each token's angles equal `WanRotaryPosEmbed`'s; moving already rotated keys equals rotating them at the moved
place; scores depend on how far two frames lie apart, not on where they lie, at any distance from the start.
"""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.rotary import Rotation, rotate, rotation, time_shift

# 128 splits into 44, 42 and 42 dims of time, height and width (Wan); 14 into 6, 4 and 4; 48 into equal thirds (toy).
HEAD_DIMS = (128, 14, 48)
GRID = (2, 3)

starts = st.integers(0, 5000)
head_dims = st.sampled_from(HEAD_DIMS)


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("start", [0, 1, 300, 1021])
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
def test_angles_are_those_of_diffusers_table(head_dim: int, start: int) -> None:
    """Its forward always begins at frame 0, so the later frames are the last tokens of a longer clip."""
    frames, tokens = 3, 3 * GRID[0] * GRID[1]
    cos, sin = WanRotaryPosEmbed(head_dim, (1, 1, 1), 1024)(torch.empty(1, 1, start + frames, *GRID))
    ours = rotation(head_dim, start, frames, *GRID)
    assert ours.cos_N1P.shape == (tokens, 1, head_dim // 2)
    torch.testing.assert_close(ours.cos_N1P, cos[0, -tokens:, :, 0::2])
    torch.testing.assert_close(ours.sin_N1P, sin[0, -tokens:, :, 1::2])


def test_a_pair_is_turned_by_its_angle() -> None:
    quarter = Rotation(torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]]))  # 90 degrees, and none
    assert rotate(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), quarter).tolist() == [[[-2.0, 1.0, 3.0, 4.0]]]


def test_angles_by_hand() -> None:
    """Head dim 14: time pairs turn by f, f / 10000^(1/3), f / 10000^(2/3); rows and columns by y, y / 100."""
    turn = rotation(14, 7, 2, *GRID)
    angles = torch.atan2(turn.sin_N1P, turn.cos_N1P)[-1, 0].tolist()  # the last token: frame 8, row 1, column 2
    time = [8 - 2 * math.pi, 8 * 10000 ** (-1 / 3), 8 * 10000 ** (-2 / 3)]
    assert angles == pytest.approx([*time, 1, 0.01, 2, 0.02], abs=1e-5)


@given(head_dims, starts, st.integers(-2000, 2000))
def test_moved_keys_are_keys_rotated_at_the_moved_place(head_dim: int, start: int, shift: int) -> None:
    keys = _numbers(2 * GRID[0] * GRID[1], 2, head_dim)
    moved = rotate(rotate(keys, rotation(head_dim, start, 2, *GRID)), time_shift(head_dim, shift))
    torch.testing.assert_close(moved, rotate(keys, rotation(head_dim, start + shift, 2, *GRID)), atol=2e-5, rtol=0)


@given(head_dims, starts, st.integers(0, 200))
def test_scores_depend_on_the_distance_of_frames_only(head_dim: int, start: int, apart: int) -> None:
    """Far beyond diffusers' 1024 frames too."""

    def scores(first: int) -> Tensor:
        queries = rotate(_numbers(6, 1, head_dim), rotation(head_dim, first + apart, 1, *GRID))
        keys = rotate(_numbers(6, 1, head_dim, seed=1), rotation(head_dim, first, 1, *GRID))
        return queries[:, 0] @ keys[:, 0].T

    torch.testing.assert_close(scores(start), scores(0), atol=1e-4, rtol=0)


@given(head_dims, starts)
def test_distance_changes_scores(head_dim: int, start: int) -> None:
    """Else the property above would hold of no rotation at all."""
    keys = rotate(_numbers(6, 1, head_dim), rotation(head_dim, start, 1, *GRID))
    later = rotate(_numbers(6, 1, head_dim), rotation(head_dim, start + 1, 1, *GRID))
    assert (keys - later).abs().max() > 0.1
    torch.testing.assert_close(keys.norm(dim=-1), later.norm(dim=-1))


def test_keeps_half_precision_and_computes_in_full() -> None:
    keys = _numbers(6, 2, 14)
    turn = rotation(14, 900, 1, *GRID)
    rounded = rotate(keys.bfloat16(), turn)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, rotate(keys.bfloat16().float(), turn).bfloat16())
