"""What comes out of a pipe are the frames, as bytes or as a y4m that others read; a reader that goes is an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from torch import Tensor

from executor.errors import OutputError
from executor.output.raw_video import RawWriter, y4m_header


def clip(frames: int, height: int = 4, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)


def read_all(file: int) -> bytes:
    with os.fdopen(file, "rb") as stream:
        return stream.read()


def test_a_pipe_carries_the_frames_bytes() -> None:
    blocks = [clip(3, 300, 200, seed) for seed in range(2)]  # more than a pipe holds
    reader, writer = os.pipe()
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(read_all(reader)))
    thread.start()
    with RawWriter(writer) as out:
        for index, block in enumerate(blocks):
            out.write(index, block.to("cpu"))
    os.close(writer)
    thread.join(30)
    assert found == [b"".join(block.numpy().tobytes() for block in blocks)]


@pytest.mark.parametrize("stall_s", [None, 60.0])
def test_a_file_holds_the_same_whether_or_not_its_reader_is_watched(tmp_path: Path, stall_s: float | None) -> None:
    part = clip(5, 40, 60)[:, :, ::2]  # not contiguous
    with RawWriter(tmp_path / "raw", stall_s=stall_s) as out:
        out.write(0, part[:2])
        out.write(1, part[2:])
    assert (tmp_path / "raw").read_bytes() == part.numpy().tobytes()


def test_a_y4m_stream_by_hand(tmp_path: Path) -> None:
    """Grey has no colour: 128 in both chroma planes; white is 235, black 16 (BT.601, limited range)."""
    frame = torch.tensor([[0, 255, 255]], dtype=torch.uint8)[..., None].repeat(1, 1, 1, 3).view(1, 1, 3, 3)
    with RawWriter(tmp_path / "clip.y4m", kind="y4m", fps=24000 / 1001) as out:
        out.write(0, frame)
        out.write(1, frame)
    one = b"FRAME\n" + bytes([16, 235, 235] + [128] * 6)
    assert (tmp_path / "clip.y4m").read_bytes() == b"YUV4MPEG2 W3 H1 F24000:1001 Ip A1:1 C444\n" + 2 * one


def test_a_y4m_stream_reads_back(tmp_path: Path) -> None:
    smooth = torch.arange(0, 240, dtype=torch.uint8).view(1, 1, 240, 1).repeat(4, 30, 1, 3)
    smooth[..., 0] = 200
    with RawWriter(tmp_path / "clip.y4m", kind="y4m", fps=16) as out:
        out.write(0, smooth)
    with av.open(str(tmp_path / "clip.y4m")) as file:
        assert file.streams.video[0].average_rate == Fraction(16)
    read = iio.imread(tmp_path / "clip.y4m", plugin="pyav")
    assert read.shape == (4, 30, 240, 3)
    assert np.abs(read.astype(int) - smooth.numpy().astype(int)).max() <= 4


@pytest.mark.parametrize("kind", ["rgb24", "y4m"])
@pytest.mark.parametrize("stall_s", [None, 60.0])
def test_a_reader_that_goes_is_an_error_that_says_when(kind: Any, stall_s: float | None) -> None:
    reader, writer = os.pipe()
    out = RawWriter(writer, kind=kind, stall_s=stall_s)
    out.write(0, clip(2))
    os.close(reader)
    with pytest.raises(OutputError, match=f"descriptor {writer}: its reader closed it after 2 whole frames"):
        out.write(1, clip(1))
    os.close(writer)


def test_a_reader_that_stands_still_is_an_error() -> None:
    reader, writer = os.pipe()
    with pytest.raises(OutputError, match=r"its reader took nothing for 0\.05 s after"):
        RawWriter(writer, stall_s=0.05).write(0, clip(3, 300, 300))
    os.close(reader)
    os.close(writer)


def test_a_named_pipe_is_not_waited_for_without_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match=r"nobody opened this pipe for reading within 0\.05 s"):
        RawWriter(pipe, stall_s=0.05)


@pytest.mark.parametrize("stall_s", [None, 60.0])
def test_a_named_pipe_carries_more_than_it_holds(tmp_path: Path, stall_s: float | None) -> None:
    pipe, frames, found = tmp_path / "pipe", clip(3, 300, 300), list[bytes]()
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    thread.start()
    with RawWriter(pipe, stall_s=stall_s) as out:
        out.write(0, frames)
    thread.join(30)
    assert found == [frames.numpy().tobytes()]


def test_another_process_reads_along() -> None:
    """Block by block: the second is written only after the reader has said what it got of the first."""
    code = "import sys\nfor _ in range(2): print(sum(sys.stdin.buffer.read(72)), flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        out = RawWriter(process.stdin.fileno())
        for block in range(2):
            out.write(block, clip(1, seed=block))
            assert int(process.stdout.readline()) == int(clip(1, seed=block).sum())


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="one of rgb24, y4m, not 'gif'"):
        RawWriter(tmp_path / "x", kind="gif")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="cannot be opened for writing"):
        RawWriter(tmp_path / "nowhere" / "x")
    reader, gone = os.pipe()
    os.close(gone)
    with pytest.raises(OutputError, match=f"descriptor {gone}: is not open"):
        RawWriter(gone)
    os.close(reader)
    with pytest.raises(OutputError, match="cannot be written after 0 whole frames"):
        RawWriter(os.open(os.devnull, os.O_RDONLY)).write(0, clip(1))
    out = RawWriter(tmp_path / "x")
    out.write(0, clip(1))
    for other in (clip(1, 4, 8), torch.zeros(1, 4, 6, 4, dtype=torch.uint8)):
        with pytest.raises(OutputError, match="must stay HxWx3"):
            out.write(1, other)


def test_a_descriptor_is_left_open_and_a_path_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    RawWriter(writer).close()
    os.write(writer, b"x")
    out = RawWriter(tmp_path / "x")
    out.close()
    out.close()
    with pytest.raises(OutputError, match="cannot be written"):
        out.write(0, clip(1))
    os.close(reader)
    os.close(writer)


def test_rates_are_exact() -> None:
    assert b"F16:1 " in y4m_header(2, 2, Fraction(16))
