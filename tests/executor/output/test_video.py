"""What is written can be read again and shows the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from executor.errors import OutputError
from executor.output.video import FPS, Mp4Writer, write_contact_sheet, write_mp4


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


def test_an_mp4_grows_by_blocks_and_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"an older one")
    with Mp4Writer(path, fps=24) as writer:
        for block, level in enumerate([200, 120, 40]):
            writer.write(block, clip(4, level))
            assert path.read_bytes() == b"an older one"
    read = iio.imread(path, plugin="pyav")
    assert [round(float(frame.mean()) / 40) for frame in read] == [5] * 4 + [3] * 4 + [1] * 4
    assert iio.immeta(path, plugin="pyav")["fps"] == 24
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_blocks_make_the_same_file_as_the_whole_clip(tmp_path: Path) -> None:
    video = torch.randint(0, 256, (9, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_mp4(video, tmp_path / "whole.mp4")
    with Mp4Writer(tmp_path / "blocks.mp4") as writer:
        for block, part in enumerate(video.split([1, 4, 4])):
            writer.write(block, part)
    assert (tmp_path / "whole.mp4").read_bytes() == (tmp_path / "blocks.mp4").read_bytes()


@pytest.mark.parametrize(("shape", "scale"), [((2, 16, 16, 7), 1), ((2, 15, 16, 3), 1), ((2, 16, 5, 3), 3)], ids=str)
def test_a_failed_write_leaves_nothing(tmp_path: Path, shape: tuple[int, ...], scale: int) -> None:
    with pytest.raises(OutputError, match="an mp4 takes 3 channels, even width and height"):
        write_mp4(torch.zeros(shape, dtype=torch.uint8), tmp_path / "clip.mp4", scale=scale)
    assert list(tmp_path.iterdir()) == []


def test_an_error_half_way_leaves_nothing(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "clip.mp4")
    writer.write(0, clip(4, 100))
    with pytest.raises(KeyError), writer:
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "clip.mp4")
    writer.write(0, clip(1, 100))
    with (
        pytest.raises(OutputError, match=r"\[16, 8, 3\] after \[16, 16, 3\]"),
        writer,
    ):
        writer.write(1, clip(1, 100)[:, :, :8])
    assert list(tmp_path.iterdir()) == []


def test_no_frames_make_no_file(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "clip.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/clip\.mp4: cannot be written"):
        write_mp4(clip(1, 1), tmp_path / "nowhere" / "clip.mp4")


def test_the_file_is_on_disk_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    monkeypatch.setattr("executor.output.video.os.fsync", lambda _: there.append((tmp_path / "clip.mp4").exists()))
    write_mp4(clip(2, 50), tmp_path / "clip.mp4")
    assert there == [False]


def test_a_contact_sheet_has_a_row_per_clip(tmp_path: Path) -> None:
    write_contact_sheet([("one", clip(9, 10)), ("two", clip(20, 250))], tmp_path / "sheet.png", columns=4, scale=2)
    sheet: Any = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (14 + 32), 4 * 32, 3)
    assert (sheet[14:46] == 10).all()
    assert (sheet[60:] == 250).all()


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, mine = tmp_path / "run", tmp_path / "mine"
    folder.mkdir()
    mine.write_text("precious")
    for name in ("clip.mp4", ".clip.mp4.part.mp4"):
        (folder / name).symlink_to(mine)
    write_mp4(clip(2, 50), folder / "clip.mp4")
    assert mine.read_text() == "precious"
    assert not (folder / "clip.mp4").is_symlink()


def test_a_full_disk_is_an_error_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("executor.output.video.PyAVPlugin.write_frame", full)
    with pytest.raises(OutputError, match=r"clip\.mp4: cannot be written \(No space left on device\); make room"):
        write_mp4(clip(2, 50), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []
