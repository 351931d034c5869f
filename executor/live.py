"""K/V that travels layer by layer while the pass that makes it runs."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from executor.channel import Channel, Pending
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
        tensor = layer_2NHE.contiguous()
        self._leaving.append(self._channel.send(self.payload, tensor, self._target, live=True))

    def wait(self) -> None:
        """Returns once all is gone."""
        for pending in self._leaving:
            pending.wait()


class Tap:
    """The receiving end: fills a slot [layers, 2, N, H, E], a layer each time it is asked to."""

    def __init__(self, channel: Channel, payload: Payload, source: int, slot: Tensor) -> None:
        self.payload = payload
        self._channel, self._source, self._slot = channel, source, slot
        self._coming: deque[tuple[Tensor, Pending]] = deque()
        self._posted = self._read = 0
        for _ in range(AHEAD):
            self._post()

    def _post(self) -> None:
        if self._posted < len(self._slot):
            room = torch.empty_like(self._slot[self._posted], memory_format=torch.contiguous_format)
            pending = self._channel.receive(self.payload, room, self._source, live=True)
            self._coming.append((room, pending))
            self._posted += 1

    def take(self) -> None:
        """Waits for the next layer and puts it into the slot."""
        room, pending = self._coming.popleft()
        pending.wait()
        self._slot[self._read].copy_(room)
        self._read += 1
        self._post()

    def wait(self) -> None:
        """Returns once all layers are in the slot."""
        while self._read < len(self._slot):
            self.take()
