"""What is written can be read again and shows the clip."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from executor.video import FPS, write_contact_sheet, write_mp4


def clip(frames: int, level: int) -> torch.Tensor:
    return torch.full((frames, 16, 16, 3), level, dtype=torch.uint8)


def test_an_mp4_holds_every_frame(tmp_path: Path) -> None:
    video = torch.cat([clip(5, 200), clip(6, 40)])
    write_mp4(video, tmp_path / "clip.mp4", scale=2)
    read = iio.imread(tmp_path / "clip.mp4", plugin="pyav")
    assert read.shape == (11, 32, 32, 3)
    assert abs(int(read[0].mean()) - 200) < 8
    assert abs(int(read[-1].mean()) - 40) < 8
    assert iio.immeta(tmp_path / "clip.mp4", plugin="pyav")["fps"] == FPS
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r".+"):
        write_mp4(torch.zeros(2, 16, 16, 7, dtype=torch.uint8), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_contact_sheet_has_a_row_per_clip(tmp_path: Path) -> None:
    write_contact_sheet([("one", clip(9, 10)), ("two", clip(20, 250))], tmp_path / "sheet.png", columns=4, scale=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (14 + 32), 4 * 32, 3)
    assert (sheet[14:46] == 10).all()
    assert (sheet[60:] == 250).all()
