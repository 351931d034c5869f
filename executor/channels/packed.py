"""K/V packed for its way between ranks, and in full on each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from executor.channels.channel import Channel, Pending
from models.kv_pack import pack, packed_bytes, unpack_into
from planner.action import Payload

PACKED = frozenset({"kv", "context"})


class PackedChannel:
    """A channel that packs K/V before it sends it. What ranks exchange is packed by who knows what it is (`Gang`)."""

    packs = True

    def __init__(self, inner: Channel) -> None:
        self._inner = inner
        self.rank, self.size = inner.rank, inner.size

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        sent = pack(tensor) if payload.carries in PACKED else tensor
        return self._inner.send(payload, sent, target, live=live)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        if payload.carries not in PACKED:
            return self._inner.receive(payload, tensor, source, live=live)
        room = torch.empty(packed_bytes(tensor.shape), dtype=torch.uint8, device=tensor.device)
        return _Unpacked(self._inner.receive(payload, room, source, live=live), room, tensor)

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        return self._inner.exchange(outs, rooms)

    def barrier(self) -> None:
        self._inner.barrier()

    def broadcast(self, value: Any) -> Any:
        return self._inner.broadcast(value)

    def gather(self, value: Any) -> list[Any] | None:
        return self._inner.gather(value)


class _Unpacked:
    """A receive that unpacks once it is waited for."""

    def __init__(self, pending: Pending, packed: Tensor, tensor: Tensor) -> None:
        self._pending, self._packed, self._tensor = pending, packed, tensor

    def wait(self) -> None:
        self._pending.wait()
        unpack_into(self._packed, self._tensor)
