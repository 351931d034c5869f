"""A gang's tick: in each layer, every rank gets the K/V of the passes in flight that its own passes attend to.

What goes round is forgotten with the tick, but for the K/V of clean blocks, which stays with all ranks.

Shape suffixes: N tokens of a block, H heads held here, E head dim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.channels.pieces import in_pieces, pieces_of
from executor.rank.held import Held
from models.kv_pack import pack, packed_bytes, unpack_into
from planner.action import Action, Pass, Payload


class Gangs:
    """One rank's ticks; the rooms for K/V that goes round are used again in each."""

    def __init__(self, rank: int, held: Held, channel: Channel) -> None:
        self.held, self.channel, self.packs = held, channel, channel.packs
        units = held.flow.layout.units[: held.flow.layout.denoising]
        self.peers = [unit[held.part.group.index(rank)] if rank in held.part.group else unit[0] for unit in units]
        self.unit = next((at for at, unit in enumerate(units) if rank in unit), 0)
        self._rooms: dict[tuple[int, int], Tensor] = {}

    def tick(self, action: Action, like: torch.dtype) -> Gang:
        """What a tick of this rank's takes."""
        return Gang(self, action, like)

    def room(self, number: int, tokens: int, dtype: torch.dtype) -> Tensor:
        """Room [1, 2, tokens, heads, head_dim] for one layer's K/V of a pass."""
        if (number, tokens) not in self._rooms:
            heads, head_dim = len(self.held.part.heads), self.held.flow.spec.head_dim
            shape = (1, 2, tokens, heads, head_dim)
            self._rooms[number, tokens] = torch.empty(shape, dtype=dtype, device=self.held.device)
        return self._rooms[number, tokens]


class Gang:
    """One rank's part in one tick. `slots`: the K/V of each pass that this rank makes or gets."""

    def __init__(self, gangs: Gangs, action: Action, dtype: torch.dtype) -> None:
        self._gangs = gangs
        flow, unit = gangs.held.flow, gangs.unit
        shares = flow.shares(action.block)
        stays = {(payload.block, payload.step) for payload in flow.committed(action.block)}
        wanted = [stays.union(*({*flow.read_in_tick(item), item} for item in share)) for share in shares]
        self._outs = {v: [p for p in shares[unit] if p in wanted[v]] for v in range(len(shares)) if v != unit}
        self._ins = {v: [p for p in shares[v] if p in wanted[unit]] for v in range(len(shares)) if v != unit}
        here = [*shares[unit], *(item for items in self._ins.values() for item in items)]
        self.slots = {item: self._slot(number, item, item in stays, dtype) for number, item in enumerate(here)}

    def _slot(self, number: int, item: Pass, stays: bool, dtype: torch.dtype) -> Tensor:
        if stays:
            return self._gangs.held.take(Payload("kv", *item))
        return self._gangs.room(number, self._gangs.held.flow.spec.tokens_of(item[0]), dtype)

    def exchange(self, layer: int) -> None:
        """Sends a layer's K/V of this rank's passes where it is wanted, and gets that of others."""
        peers = self._gangs.peers
        # Most peers want the same.
        parts = {tuple(items): self._leaving(items, layer) for items in self._outs.values() if items}
        outs = {peers[v]: parts[tuple(items)] for v, items in self._outs.items() if items}
        rooms = {peers[v]: self._room(items, layer) for v, items in self._ins.items() if items}
        self._gangs.channel.exchange(outs, rooms).wait()
        for v, items in self._ins.items():
            if items and not self._in_pieces(items, layer):
                self._put(rooms[peers[v]][0], [self._of(item, layer) for item in items])

    def _in_pieces(self, items: list[Pass], layer: int) -> bool:
        """Whether K/V goes from slot to slot, and not by way of one piece of memory."""
        like = self._of(items[0], layer)
        return not self._gangs.packs and in_pieces(like.shape, like.dtype)

    def _leaving(self, items: list[Pass], layer: int) -> list[Tensor]:
        parts = [self._of(item, layer) for item in items]
        if self._in_pieces(items, layer):
            return [piece for kv_2NHE in parts for piece in pieces_of(kv_2NHE)]
        return [torch.cat([pack(kv_2NHE) if self._gangs.packs else kv_2NHE.flatten() for kv_2NHE in parts])]

    def _length(self, kv_2NHE: Tensor) -> int:
        return packed_bytes(kv_2NHE.shape) if self._gangs.packs else kv_2NHE.numel()

    def _room(self, items: list[Pass], layer: int) -> list[Tensor]:
        parts = [self._of(item, layer) for item in items]
        if self._in_pieces(items, layer):
            return [piece for kv_2NHE in parts for piece in pieces_of(kv_2NHE)]
        dtype = torch.uint8 if self._gangs.packs else parts[0].dtype
        return [torch.empty(sum(map(self._length, parts)), dtype=dtype, device=parts[0].device)]

    def _put(self, came: Tensor, parts: list[Tensor]) -> None:
        for kv_2NHE, piece in zip(parts, came.split([self._length(part) for part in parts]), strict=True):
            if self._gangs.packs:
                unpack_into(piece, kv_2NHE)
            else:
                kv_2NHE.copy_(piece.view(kv_2NHE.shape))

    def _of(self, item: Pass, layer: int) -> Tensor:
        slot = self.slots[item]
        return slot[layer % len(slot)]
