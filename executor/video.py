"""Writes what a clip shows: an mp4, and a contact sheet as png. Frames are [F, H, W, 3] uint8."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor

FPS = 16
SCALE = 4  # the toy's 64 pixels would be a stamp on a screen


def write_mp4(frames_FHWC: Tensor, path: Path, *, scale: int = 1) -> None:
    """An H.264 video at 16 frames per second, each pixel `scale` pixels wide; the file appears when it is whole."""
    enlarged = frames_FHWC.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    partial = path.with_name(f".{path.name}.part.mp4")
    try:
        iio.imwrite(partial, enlarged.numpy(), plugin="pyav", codec="libx264", fps=FPS)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_contact_sheet(clips: list[tuple[str, Tensor]], path: Path, *, columns: int = 12, scale: int = 2) -> None:
    """One row of evenly spaced frames per clip, titled."""
    from PIL import Image, ImageDraw

    title = 14
    rows = []
    for _, frames in clips:
        picked = frames[torch.linspace(0, len(frames) - 1, columns).round().long()]
        strip = torch.cat(list(picked.repeat_interleave(scale, 1).repeat_interleave(scale, 2)), dim=1).numpy()
        rows.append(np.concatenate([np.full((title, strip.shape[1], 3), 255, np.uint8), strip]))
    image = Image.fromarray(np.concatenate(rows))
    draw = ImageDraw.Draw(image)
    for index, (name, _) in enumerate(clips):
        draw.text((4, index * rows[0].shape[0] + 1), name, fill=(0, 0, 0))
    image.save(path)
