"""How long a call takes on a device: by the host's clock, or on CUDA by events on the stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch


class Timer(Protocol):
    """Times one call; work that was asked for before is over when it begins."""

    def us(self, call: Callable[[], object]) -> float:
        """Microseconds until all that the call asked for is done."""


class HostTimer:
    """For devices that are done when a call returns."""

    def us(self, call: Callable[[], object]) -> float:
        start_ns = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - start_ns) / 1000


class EventTimer:
    """For CUDA: on the device's own clock, from an idle stream on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def us(self, call: Callable[[], object]) -> float:
        with torch.cuda.device(self._device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            end.synchronize()
            elapsed_ms: float = start.elapsed_time(end)
            return elapsed_ms * 1000


def timer_of(device: torch.device) -> Timer:
    return EventTimer(device) if device.type == "cuda" else HostTimer()
