"""Records when actions ran: one clock for all ranks, microseconds from the clip's start.

On CUDA an action's kernels are timed by events on the stream, on the CPU by the monotonic clock.
"""

from __future__ import annotations

import time
from typing import Protocol

import torch

from planner.action import Action, TimedAction


class Mark(Protocol):
    """A moment that is known at the latest once the run is over."""

    def us(self) -> int:
        """Microseconds from the clip's start."""


class HostMark:
    """A moment on this machine's monotonic clock."""

    def __init__(self, start_ns: int) -> None:
        self._us = (time.monotonic_ns() - start_ns) // 1000

    def us(self) -> int:
        return self._us


class StreamMark:
    """A moment on a CUDA stream, placed on the host's clock by the event that began the recording."""

    def __init__(self, origin: torch.cuda.Event, origin_us: int) -> None:
        self._origin = origin
        self._origin_us = origin_us
        self._event = torch.cuda.Event(enable_timing=True)
        self._event.record()

    def us(self) -> int:
        self._event.synchronize()
        elapsed_ms: float = self._origin.elapsed_time(self._event)
        return self._origin_us + round(elapsed_ms * 1000)


class Recorder:
    """Spans of one rank's actions, in the order they began.

    `start_ns` is the clip's start on this rank's own monotonic clock.
    """

    def __init__(self, device: torch.device, start_ns: int) -> None:
        self._start_ns = start_ns
        self._origin: torch.cuda.Event | None = None
        self._spans: list[tuple[Action, Mark, Mark]] = []
        if device.type == "cuda":
            self._origin = torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            self._origin.record()
            self._origin_us = HostMark(start_ns).us()

    def mark(self, *, compute: bool = False) -> Mark:
        """Now; for compute on a CUDA device, when the stream gets here."""
        if compute and self._origin is not None:
            return StreamMark(self._origin, self._origin_us)
        return HostMark(self._start_ns)

    def span(self, action: Action, start: Mark, end: Mark) -> int:
        """Records an action; the index under which `close` can move its end."""
        self._spans.append((action, start, end))
        return len(self._spans) - 1

    def close(self, index: int, end: Mark) -> None:
        """Moves the end of a span: a transfer is over when it is waited for, not when it is posted."""
        action, start, _ = self._spans[index]
        self._spans[index] = (action, start, end)

    def rows(self) -> tuple[TimedAction, ...]:
        """Every span; a clock's last microsecond never makes one end before it begins."""
        rows = []
        for action, start, end in self._spans:
            begin = max(0, start.us())
            rows.append(TimedAction(action, begin, max(begin, end.us())))
        return tuple(rows)
