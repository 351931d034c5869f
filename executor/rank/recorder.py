"""Records when actions ran: one clock for all ranks, microseconds from the clip's start.

On CUDA actions are timed by events on the stream, on the CPU by the monotonic clock.
"""

from __future__ import annotations

import time
from typing import Protocol

import torch

from executor.rank.device_clock import DeviceClock
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


class Recorder:
    """Spans of one rank's actions, in the order they began.

    `start_ns` is the clip's start on this rank's own monotonic clock. On CUDA all times are the stream's: it is the
    stream that waits for a transfer, and what is posted begins no sooner than the stream gets there.
    """

    def __init__(self, device: torch.device, start_ns: int) -> None:
        self._start_ns = start_ns
        self._clock = DeviceClock(start_ns) if device.type == "cuda" else None
        self._spans: list[tuple[Action, Mark, Mark]] = []

    def mark(self) -> Mark:
        """Now; on a CUDA device, when the stream gets here."""
        return HostMark(self._start_ns) if self._clock is None else self._clock.mark()

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
        if self._clock is not None:
            self._clock.read()
        rows = []
        for action, start, end in self._spans:
            begin = max(0, start.us())
            rows.append(TimedAction(action, begin, max(begin, end.us())))
        return tuple(rows)
