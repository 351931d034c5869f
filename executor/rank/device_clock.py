"""When a CUDA stream gets somewhere, on the host's clock, without holding up either.

Events are used again, so a stream of a million actions needs no more than are under way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch

# Marks that are left alone before the first is looked at: by then it is over, or the host is far ahead.
WAITING = 512
# The time between two events is a float32 of milliseconds: beyond this it would lose microseconds.
REBASE_MS = 4000.0
# Of a shorter run the clocks' drift apart is less than the error in comparing them.
DRIFTS_US = 1_000_000.0


class Event(Protocol):
    """A `torch.cuda.Event` that keeps its time."""

    def record(self) -> None: ...

    def query(self) -> bool: ...

    def elapsed_time(self, later: Any, /) -> float: ...  # another of its own kind


class StreamMark:
    """A moment on the stream; `us` once the clock has been read."""

    def __init__(self, clock: DeviceClock, event: Event) -> None:
        self._clock, self.event = clock, event
        self.device_us = 0.0  # since the clock was made

    def us(self) -> int:
        return self._clock.us(self.device_us)


class DeviceClock:
    """Marks of one stream, the current one of the current device. `start_ns`: where the host counts from."""

    def __init__(
        self,
        start_ns: int,
        *,
        event: Callable[[], Event] = lambda: torch.cuda.Event(enable_timing=True),
        synchronize: Callable[[], None] = torch.cuda.synchronize,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._start_ns, self._event, self._synchronize, self._now_ns = start_ns, event, synchronize, now_ns
        self._idle: list[Event] = []
        self._waiting: deque[StreamMark] = deque()
        self._host_us, self._origin = self._both()
        self._origin_us, self._rate = 0.0, 1.0

    def mark(self) -> StreamMark:
        """When the stream gets here."""
        event = self._idle.pop() if self._idle else self._event()
        event.record()
        mark = StreamMark(self, event)
        self._waiting.append(mark)
        while len(self._waiting) > WAITING and self._waiting[0].event.query():
            self._settle(self._waiting.popleft())
        return mark

    def read(self) -> None:
        """Waits until the stream has got to all marks; then they can be asked. The clocks are compared once more."""
        host_us, event = self._both()
        end = StreamMark(self, event)
        for mark in (*self._waiting, end):
            self._settle(mark)
        self._waiting.clear()
        if end.device_us > DRIFTS_US:
            self._rate = (host_us - self._host_us) / end.device_us

    def us(self, device_us: float) -> int:
        return round(self._host_us + device_us * self._rate)

    def _both(self) -> tuple[float, Event]:
        """The same moment on both clocks: of an idle stream."""
        event = self._event()
        self._synchronize()
        host_us = (self._now_ns() - self._start_ns) / 1000
        event.record()
        self._synchronize()
        return host_us, event

    def _settle(self, mark: StreamMark) -> None:
        elapsed_ms = self._origin.elapsed_time(mark.event)
        mark.device_us = self._origin_us + elapsed_ms * 1000
        idle = mark.event
        if elapsed_ms > REBASE_MS:
            idle, self._origin, self._origin_us = self._origin, mark.event, mark.device_us
        self._idle.append(idle)
