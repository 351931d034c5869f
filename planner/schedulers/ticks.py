"""An instance's times as multiples of their greatest common divisor: small numbers make exact search quicker."""

from __future__ import annotations

import math
from typing import NamedTuple

from planner.instance import ORDER, Instance


class Ticks(NamedTuple):
    """`tick_us` divides every time of the instance, and so, in some best schedule, every start and end."""

    instance: Instance
    tick_us: int

    @classmethod
    def of(cls, instance: Instance) -> Ticks:
        times = {length for row in set(instance.durations) for length in row}
        times.update(instance.release_us.values())
        lives = [live for row in instance.live.values() for live in row]
        times.update(time for live in lives for time in (live.first_us, live.last_us))
        payloads = {payload for row in instance.inputs for _, payload in row if payload != ORDER}
        sizes = {instance.payload_bytes[payload] for payload in payloads}
        times.update(wire.transfer_us(size) for wire in set((instance.wires or {}).values()) for size in sizes)
        return cls(instance, math.gcd(*times) or 1)

    def at_least(self, time_us: int) -> int:
        """The ticks that are no less than a time."""
        return -(-time_us // self.tick_us)

    def duration(self, task: int, unit: int) -> int:
        return self.instance.durations[task][unit] // self.tick_us

    def transfer(self, source: int, target: int, payload: int) -> int:
        """How long a payload is under way between units; 0 if nothing has to travel."""
        if payload == ORDER or source == target or self.instance.wires is None:
            return 0
        return self.instance.wires[source, target].transfer_us(self.instance.payload_bytes[payload]) // self.tick_us
