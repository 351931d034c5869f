"""K/V that travels layer by layer while the pass that makes it runs."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from executor.channels.channel import Channel, Pending
from planner.action import Payload

# Layers that are received ahead of the one that is read.
AHEAD = 2


class Stream:
    """The sending end. It never waits for the reader, which may have other things to do first."""

    def __init__(self, channel: Channel, payload: Payload, target: int) -> None:
        self.payload = payload
        self._channel, self._target = channel, target
        self._leaving: list[Pending] = []

    def send(self, layer_2NHE: Tensor) -> None:
        """Posts the next layer."""
        self._leaving.append(self._channel.send(self.payload, layer_2NHE, self._target, live=True))

    def wait(self) -> None:
        """Returns once all is gone."""
        for pending in self._leaving:
            pending.wait()


class Lane:
    """All that comes live from one rank, in the order it is sent: payload after payload, layer after layer.

    That order is kept even if a later payload is read first, as NCCL matches messages by nothing else.
    """

    def __init__(self, channel: Channel, source: int) -> None:
        self._channel, self._source = channel, source
        self._taps: deque[Tap] = deque()  # with layers that are not posted yet
        self._coming: deque[tuple[Tap, Pending]] = deque()

    def tap(self, payload: Payload, slot: Tensor) -> Tap:
        """The next payload, into a slot [layers, 2, N, H, E]."""
        tap = Tap(self, payload, slot)
        self._taps.append(tap)
        self._post()
        return tap

    def take(self) -> None:
        """Returns once the next layer is in its slot."""
        tap, pending = self._coming.popleft()
        pending.wait()
        tap.filled += 1
        self._post()

    def _post(self) -> None:
        while self._taps and len(self._coming) < AHEAD:
            tap = self._taps[0]
            pending = self._channel.receive(tap.payload, tap.slot[tap.posted], self._source, live=True)
            tap.posted += 1
            self._coming.append((tap, pending))
            if tap.posted == tap.layers:
                self._taps.popleft()


class Tap:
    """The receiving end of one payload: how many of its layers are posted, and how many in the slot."""

    def __init__(self, lane: Lane, payload: Payload, slot: Tensor) -> None:
        self.payload, self.slot, self.layers = payload, slot, len(slot)
        self.posted = self.filled = self._read = 0
        self._lane = lane

    def take(self) -> None:
        """Returns once the next layer is in the slot."""
        self._read += 1
        while self.filled < self._read:
            self._lane.take()

    def wait(self) -> None:
        """Returns once all layers are in the slot."""
        while self.filled < self.layers:
            self._lane.take()
