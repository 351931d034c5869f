"""Uncompressed frames into a file or pipe as they finish, for a player or encoder at the other end.

    blockcascade ... | ffplay -f rawvideo -pixel_format rgb24 -video_size 832x480 -framerate 16 -
    blockcascade ... | ffmpeg -f yuv4mpegpipe -i - out.mkv

`rgb24` is the frames' bytes and nothing else; `y4m` (YUV4MPEG2) says its own size and rate.
Shape suffixes: F pixel frames, H, W pixels.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, get_args

import av
from torch import Tensor

from executor.errors import OutputError

Kind: TypeAlias = Literal["rgb24", "y4m"]
STALL_S = 60.0
LOOK_AGAIN_S = 0.02  # for a named pipe's reader


class RawWriter:
    """Writes a stream's frames to a path or an open file descriptor; a context, and its `write` is a frame sink.

    A descriptor is written to as it is and not closed; a path is opened, a named pipe as soon as it has a reader. Where
    a reader takes nothing for `stall_s` (None: no limit) the stream ends with an error. `fps` goes into y4m's header.
    """

    def __init__(
        self, target: Path | int, *, kind: Kind = "rgb24", fps: float = 16, stall_s: float | None = STALL_S
    ) -> None:
        if kind not in get_args(Kind):
            raise OutputError(f"raw video is one of {', '.join(get_args(Kind))}, not {kind!r}")
        self._kind, self._rate = kind, Fraction(fps).limit_denominator(1001)
        self._name = f"descriptor {target}" if isinstance(target, int) else str(target)
        self._owned = not isinstance(target, int)
        self._file = target if isinstance(target, int) else _opened(target, stall_s)
        # A file is always ready, so there it need not be asked.
        self._stall_s = None if stat.S_ISREG(_mode(self._file)) else stall_s
        self._size: tuple[int, ...] = ()
        self._frames = 0

    def write(self, block: int, frames_FHWC: Tensor) -> None:  # noqa: ARG002
        """Writes the next block's frames, all of them. Raises OutputError if the reader has gone or stands still."""
        frames = frames_FHWC.contiguous().cpu().numpy()
        size = frames.shape[1:]
        if size[2] != 3 or size != (self._size or size):
            raise OutputError(f"{self._name}: frames of {list(size)} after {list(self._size)}; they must stay HxWx3")
        if self._kind == "y4m" and not self._size:
            self._put(y4m_header(size[1], size[0], self._rate))
        self._size = size
        for frame in frames:
            for piece in y4m_frame(frame) if self._kind == "y4m" else (frame.data.cast("B"),):
                self._put(piece)
            self._frames += 1

    def close(self) -> None:
        """Closes what was opened here."""
        if self._owned:
            self._owned = False
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest:
                # A pipe that is ready takes this much at once without blocking (POSIX), more it may not.
                rest = rest[os.write(self._file, rest[: select.PIPE_BUF] if self._ready() else rest) :]
        except BrokenPipeError as error:
            raise OutputError(f"{self._name}: its reader closed it after {self._frames} whole frames") from error
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written after {self._frames} whole frames ({error})") from error

    def _ready(self) -> bool:
        """Whether it was waited for the reader; raises OutputError if that took too long."""
        if self._stall_s is None:
            return False
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        if not poll.poll(self._stall_s * 1000):
            raise OutputError(
                f"{self._name}: its reader took nothing for {self._stall_s:g} s after {self._frames} whole frames"
            )
        return True


def y4m_header(width: int, height: int, rate: Fraction) -> bytes:
    """The line that begins a y4m stream: square pixels, progressive, full colour resolution."""
    line = f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A1:1 C444\n"
    return line.encode()


def y4m_frame(frame_HWC: Any) -> Iterator[bytes]:
    """One RGB frame (a numpy array, uint8) as y4m holds it: a line, then the planes Y, Cb and Cr."""
    yield b"FRAME\n"
    planes = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(format="yuv444p")
    yield planes.to_ndarray().tobytes()


def _mode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_mode
    except OSError as error:
        raise OutputError(f"descriptor {descriptor}: is not open ({error.strerror}); name one that is") from error


def _opened(path: Path, wait_s: float | None) -> int:
    """The path opened for writing; a named pipe once it has a reader, so that none is waited for without end."""
    deadline = None if wait_s is None else time.monotonic() + wait_s
    while True:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise OutputError(
                    f"{path}: cannot be opened for writing ({error.strerror}); name another place"
                ) from error
            if deadline is not None and time.monotonic() >= deadline:
                raise OutputError(f"{path}: nobody opened this pipe for reading within {wait_s:g} s") from error
            time.sleep(LOOK_AGAIN_S)
        else:
            os.set_blocking(file, True)
            return file
