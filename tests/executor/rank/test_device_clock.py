"""The device's clock, told by events that a script moves: on the host's clock, whatever the drift, with few events."""

from __future__ import annotations

import pytest

from executor.rank.device_clock import WAITING, DeviceClock, Event

FAST = 1.00002  # 20 microseconds in a second


class Device:
    """A device whose clock runs faster than the host's, and that is `behind` the host by some microseconds."""

    def __init__(self) -> None:
        self.host_us = self.behind_us = 0.0
        self.events: list[Stamp] = []

    def event(self) -> Event:
        self.events.append(Stamp(self))
        return self.events[-1]

    def synchronize(self) -> None:
        self.host_us += self.behind_us
        self.behind_us = 0

    def clock(self) -> DeviceClock:
        return DeviceClock(
            0, event=self.event, synchronize=self.synchronize, now_ns=lambda: round(1_000_000 + self.host_us * 1000)
        )


class Stamp:
    def __init__(self, device: Device) -> None:
        self.device, self.at_us = device, 0.0

    def record(self) -> None:
        self.at_us = self.device.host_us + self.device.behind_us

    def query(self) -> bool:
        return self.at_us <= self.device.host_us

    def elapsed_time(self, later: Event, /) -> float:
        assert isinstance(later, Stamp)
        assert later.query()
        elapsed_ms = (later.at_us - self.at_us) * FAST / 1000
        digits = 24 - int(elapsed_ms).bit_length()  # a float32
        return float(round(elapsed_ms * 2**digits) / 2**digits)


@pytest.mark.parametrize(("count", "apart_us"), [(1, 5.0), (3000, 700.0), (4000, 1_000_000.0)])
def test_marks_are_on_the_hosts_clock_however_long_it_takes(count: int, apart_us: float) -> None:
    device = Device()
    clock = device.clock()
    marks, wanted = [], []
    for _ in range(count):
        device.host_us += apart_us
        marks.append(clock.mark())
        wanted.append(1000 + device.host_us)
    clock.read()
    assert max(abs(mark.us() - at) for mark, at in zip(marks, wanted, strict=True)) <= 0.1 * count**0.5 + 1
    assert len(device.events) <= WAITING + 4


def test_a_host_that_is_ahead_waits_for_nothing() -> None:
    device = Device()
    clock = device.clock()
    device.behind_us = 90_000
    marks = [clock.mark() for _ in range(2 * WAITING)]
    assert device.host_us == 0
    assert len(device.events) == 2 * WAITING + 1
    clock.read()
    assert all(abs(mark.us() - 91_000) <= 2 for mark in marks)
