"""K/V packed for its way between ranks, and in full on each of them."""

from __future__ import annotations

import torch
from torch import Tensor

from executor.channels.channel import Channel, Pending
from executor.channels.through import Through
from models.kv_pack import pack, packed_bytes, unpack_into
from planner.action import Payload

PACKED = frozenset({"kv", "context"})


class PackedChannel(Through):
    """A channel that packs K/V before it sends it. What ranks exchange is packed by who knows what it is (`Gang`)."""

    def __init__(self, inner: Channel) -> None:
        super().__init__(inner)
        self.packs = True

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        sent = pack(tensor) if payload.carries in PACKED else tensor
        return super().send(payload, sent, target, live=live)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        if payload.carries not in PACKED:
            return super().receive(payload, tensor, source, live=live)
        room = torch.empty(packed_bytes(tensor.shape), dtype=torch.uint8, device=tensor.device)
        return _Unpacked(super().receive(payload, room, source, live=live), room, tensor)


class _Unpacked:
    """A receive that unpacks once it is waited for."""

    def __init__(self, pending: Pending, packed: Tensor, tensor: Tensor) -> None:
        self._pending, self._packed, self._tensor = pending, packed, tensor

    def wait(self) -> None:
        self._pending.wait()
        unpack_into(self._packed, self._tensor)
