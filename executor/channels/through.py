"""A channel by way of another: what wrappers of a channel begin from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from executor.channels.channel import Channel, Pending
from planner.action import Payload


class Through:
    """Hands everything on to `inner`; a wrapper overrides what it changes."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner
        self.rank, self.size, self.packs = inner.rank, inner.size, inner.packs

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        return self._inner.send(payload, tensor, target, live=live)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        return self._inner.receive(payload, tensor, source, live=live)

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        return self._inner.exchange(outs, rooms)

    def barrier(self) -> None:
        self._inner.barrier()

    def broadcast(self, value: Any) -> Any:
        return self._inner.broadcast(value)

    def gather(self, value: Any) -> list[Any] | None:
        return self._inner.gather(value)
