"""Draws the toy's clips: the truth its models are trained on and scored against.

Shape suffixes: F pixel frames, C colour channels, H, W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.toy.grammar import COLORS, RADIUS, SIDE, Scene

BACKGROUND = (22, 24, 32)


def render(scene: Scene, frames: int, start: int = 0) -> Tensor:
    """Pixel frames start .. start+frames-1 of the scene's clip, [C, F, H, W] float32 in -1..1."""
    centers_F2 = torch.tensor([scene.center(f) for f in range(start, start + frames)], dtype=torch.float32)
    mask_FHW = shape_mask(scene.shape, centers_F2)
    paint_C = torch.tensor(COLORS[scene.color], dtype=torch.float32)
    back_C = torch.tensor(BACKGROUND, dtype=torch.float32)
    video_CFHW = back_C[:, None, None, None] + mask_FHW * (paint_C - back_C)[:, None, None, None]
    return video_CFHW / 127.5 - 1


def shape_mask(shape: str, centers_F2: Tensor) -> Tensor:
    """Coverage 0..1 of each pixel by the shape centred at (x, y) pixels, [F, H, W], edges one pixel soft."""
    axis = torch.arange(SIDE, dtype=torch.float32) + 0.5
    x_FHW = (axis[None, :] - centers_F2[:, 0:1])[:, None, :].expand(-1, SIDE, -1)
    y_FHW = (axis[None, :] - centers_F2[:, 1:2])[:, :, None].expand(-1, -1, SIDE)
    return (0.5 - _distance(shape, x_FHW, y_FHW)).clamp(0, 1)


def _distance(shape: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance in pixels from the shape's edge, negative inside."""
    if shape == "circle":
        return torch.hypot(x, y) - RADIUS
    if shape == "square":
        return torch.maximum(x.abs(), y.abs()) - RADIUS
    if shape == "triangle":
        # Apex up, base along the bottom edge of the extent.
        slope = 5**-0.5
        return torch.maximum(y - RADIUS, (2 * x.abs() - y - RADIUS) * slope)
    bar = RADIUS / 3
    upright = torch.maximum(x.abs() - bar, y.abs() - RADIUS)
    level = torch.maximum(y.abs() - bar, x.abs() - RADIUS)
    return torch.minimum(upright, level)
