"""Writes what a clip shows: an mp4, whole or as its blocks finish, and a contact sheet as png.

Frames are [F, H, W, 3] uint8.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import imageio.v3 as iio
import numpy as np
import torch
from imageio.plugins.pyav import PyAVPlugin
from torch import Tensor

from executor.errors import OutputError

FPS = 16
SCALE = 4  # the toy's 64 pixels would be a stamp on a screen


class Mp4Writer:
    """An H.264 video that grows block by block; a context, and its `write` is a frame sink.

    The file appears when the context ends well, whole and on disk; if it ends with an error there is none. `fps` are
    pixel frames a second (the spec's frame_rate); each pixel is made `scale` pixels wide.
    """

    def __init__(self, path: Path, *, fps: float = FPS, scale: int = 1) -> None:
        self._path, self._fps, self._scale = path, fps, scale
        self._partial: Path | None = None
        self._file: PyAVPlugin | None = None
        self._size: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def write(self, block: int, frames_FHWC: Tensor) -> None:  # noqa: ARG002
        """Appends the next block's frames.

        Raises OutputError if they are no pictures of the size begun with, or the file cannot be written.
        """
        if self._file is None:
            self._begin(tuple(frames_FHWC.shape[1:]))
        assert self._file is not None
        if tuple(frames_FHWC.shape[1:]) != self._size:
            raise OutputError(f"{self._path}: frames of {list(frames_FHWC.shape[1:])} after {list(self._size)}")
        with self._told():
            for frame_HWC in enlarged(frames_FHWC, self._scale).cpu().numpy():
                self._file.write_frame(frame_HWC)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._partial is None:
            return
        try:
            with self._told():
                if self._file is not None:
                    self._file.close()
                if kind is None:
                    _sync(self._partial)
                    self._partial.replace(self._path)
        except OutputError:
            if kind is None:  # else the first error is the one to tell
                raise
        finally:
            self._partial.unlink(missing_ok=True)

    def _begin(self, size: tuple[int, ...]) -> None:
        height, width, channels = size
        if channels != 3 or height * self._scale % 2 or width * self._scale % 2:
            raise OutputError(
                f"{self._path}: frames of {width * self._scale}x{height * self._scale} with {channels} channels; "
                "an mp4 takes 3 channels, even width and height"
            )
        with self._told():
            # A new file under a name that nobody knows: what lies in the folder may be a link, or another's.
            descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", suffix=".mp4", dir=self._path.parent)
            os.close(descriptor)
            self._partial = Path(name)
            self._partial.chmod(0o644)
            file = iio.imopen(self._partial, "w", plugin="pyav")
            assert isinstance(file, PyAVPlugin)
            self._file, self._size = file, size
            file.init_video_stream("libx264", fps=self._fps, pixel_format="yuv420p")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Within: what the disk or the encoder refuses is an OutputError."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            cause = getattr(error, "strerror", None) or error
            raise OutputError(f"{self._path}: cannot be written ({cause}); make room, or name another place") from error


def _sync(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())


def write_mp4(frames_FHWC: Tensor, path: Path, *, fps: float = FPS, scale: int = 1) -> None:
    """An H.264 video, each pixel `scale` pixels wide; the file appears when it is whole."""
    with Mp4Writer(path, fps=fps, scale=scale) as writer:
        writer.write(0, frames_FHWC)


def enlarged(frames_FHWC: Tensor, scale: int) -> Tensor:
    """Each pixel `scale` pixels wide and high."""
    return frames_FHWC.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def write_contact_sheet(clips: list[tuple[str, Tensor]], path: Path, *, columns: int = 12, scale: int = 2) -> None:
    """One row of evenly spaced frames per clip, titled."""
    from PIL import Image, ImageDraw

    title = 14
    rows = []
    for _, frames in clips:
        picked = frames[torch.linspace(0, len(frames) - 1, columns).round().long()]
        strip = torch.cat(list(enlarged(picked, scale)), dim=1).numpy()
        rows.append(np.concatenate([np.full((title, strip.shape[1], 3), 255, np.uint8), strip]))
    image = Image.fromarray(np.concatenate(rows))
    draw = ImageDraw.Draw(image)
    for index, (name, _) in enumerate(clips):
        draw.text((4, index * rows[0].shape[0] + 1), name, fill=(0, 0, 0))
    image.save(path)
