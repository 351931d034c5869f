"""A scheduling problem in plain numbers: what bounds and schedulers work on, free of actions and files.

A unit runs one task at a time; it is a device, or a group of devices that work as one. Times are microseconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

ORDER = -1  # the payload of an input of which nothing travels: it only comes first
ANY = -1  # no unit named


class Wire(NamedTuple):
    """How a payload gets from one unit to another. It has each of the `lanes` to itself while it is under way."""

    latency_us: int
    bytes_per_us: float
    lanes: tuple[int, ...]

    def transfer_us(self, size: int) -> int:
        """At least one microsecond."""
        return max(1, self.latency_us + math.ceil(size / self.bytes_per_us))


class Live(NamedTuple):
    """A task reads what another makes layer by layer, while both run.

    It starts no earlier than the source's start + `first_us` (the source's first layer is done), and ends no earlier
    than the source's end + `last_us` (its own last layer comes after the source's). On different units each layer's
    share of the payload also has to travel: see `stream`.
    """

    source: int
    payload: int
    first_us: int
    last_us: int


class Instance(NamedTuple):
    """Tasks 0..n-1, numbered so that each comes after all it reads.

    `durations[t][u]`: of task t on unit u, at least 1, or 0 where u may not run it. `inputs[t]`: (task, payload) pairs
    that t reads, or ORDER. A payload goes to a unit once, straight from the unit that made it, after its task ended.
    `stays[t]`: the task on whose unit t must run, or ANY (a decoder's state never travels). `gangs`: tasks that take
    several units at once, for the duration on the first. `wires` by (from, to); None means that transfers take no
    time. `blocks[t]`: the block a task belongs to, for ties.
    """

    units: int
    durations: list[tuple[int, ...]]
    inputs: list[tuple[tuple[int, int], ...]]
    payload_bytes: list[int]
    blocks: list[int]
    stays: list[int]
    wires: dict[tuple[int, int], Wire] | None = None
    gangs: dict[int, tuple[int, ...]] = {}  # noqa: RUF012 - never written to
    live: dict[int, tuple[Live, ...]] = {}  # noqa: RUF012
    release_us: dict[int, int] = {}  # noqa: RUF012
    layers: int = 1

    @property
    def size(self) -> int:
        return len(self.durations)

    def stream(self, wire: Wire, payload: int, start_us: int, end_us: int, first_us: int) -> tuple[int, int, int]:
        """A live payload's way over a wire while its task runs from `start_us` to `end_us`: (leaves, first layer is
        there, last layer is there). One message a layer; a layer leaves when it is made and the one before is there.
        """
        layer_us = wire.transfer_us(-(-self.payload_bytes[payload] // self.layers))
        leaves = start_us + first_us
        last = max(end_us, leaves + (self.layers - 1) * layer_us) + layer_us
        return leaves, leaves + layer_us, last


class Transfer(NamedTuple):
    """One payload's way over one wire."""

    payload: int
    source: int
    target: int
    start_us: int
    end_us: int


class Schedule(NamedTuple):
    """Where and when each task runs (a gang on all its units), and the transfers between units.

    With `live` inputs a task may last longer than its duration: it waits inside for the layers it reads.
    """

    units: list[int]
    starts_us: list[int]
    ends_us: list[int]
    transfers: list[Transfer]

    @property
    def makespan_us(self) -> int:
        return max(self.ends_us, default=0)
