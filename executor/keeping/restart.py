"""Where an interrupted run can go on, and how a rank comes by what was made before.

A file that is truncated, of another shape or type than the model has, or no file at all counts as not there: the run
goes on from the newest cut that lacks nothing, and what was wrong is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from executor.channels.channel import Channel, Pending
from executor.channels.through import Through
from executor.errors import StateError
from executor.keeping.cuts import START, Cut, Cuts
from executor.keeping.needed import TENSOR, covering, header_of, kept_after, lacking, needs
from executor.keeping.saved import IN_PARTS, Finished, Piece, Saved
from executor.keeping.store import Store
from executor.rank.part import Part
from models.errors import ModelError
from models.spec import ModelSpec
from planner.action import Payload
from planner.flow import Flow


class Restart(NamedTuple):
    """Where to go on: the cut, the files of state that it needs, and what could not be used, in words."""

    cut: Cut
    state: frozenset[Saved] = frozenset()
    faults: tuple[str, ...] = ()


def newest(store: Store, flow: Flow, cuts: Cuts, dtype: torch.dtype) -> Restart:
    """The newest cut whose state, and all blocks finished before, are whole on disk. K/V has the type `dtype`."""
    faults: list[str] = []
    finished = _finished(store, flow, dtype, faults)
    if finished == flow.blocks:
        return Restart(cuts.end, faults=tuple(faults))
    there = list(_usable(store, flow, dtype, faults))
    for cut in _candidates(flow, cuts) if there else ():
        if cuts.finished(cut) <= finished and next(lacking(there, flow, cuts, cut), None) is None:
            return Restart(cut, frozenset(saved for saved in there if needs(saved, cuts, cut)), tuple(faults))
    return Restart(START, faults=tuple(faults))


class Loads(Through):
    """A channel that reads what a rank receives from itself out of the run's folder, and passes all else on."""

    def __init__(self, channel: Channel, store: Store, part: Part) -> None:
        super().__init__(channel)
        self._store, self._part = store, part
        self._pieces = [saved for saved in store.state() if isinstance(saved, Piece)]

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        if source != self.rank:
            return super().receive(payload, tensor, source, live=live)
        self._load(payload, tensor)
        return _Here()

    def _load(self, payload: Payload, room: Tensor) -> None:
        layers, heads = self._part.layers, self._part.heads
        pieces = covering(payload, self._pieces, (layers.start, layers.stop), (heads.start, heads.stop))
        if pieces is None:
            raise StateError(f"{self._store.folder}: {payload} is gone; nobody may change the folder of a run")
        for piece in pieces:
            if payload.carries in IN_PARTS:
                self._fill(piece, room, layers, heads)
            else:
                room.copy_(self._store.read(piece, TENSOR))

    def _fill(self, piece: Piece, room: Tensor, layers: range, heads: range) -> None:
        """Copies what a piece has of these layers and heads."""
        (l0, l1), (h0, h1) = (
            (max(wanted.start, have[0]), min(wanted.stop, have[1]))
            for wanted, have in ((layers, piece.layers), (heads, piece.heads))
        )
        everything = slice(None)
        inside = (
            slice(l0 - piece.layers[0], l1 - piece.layers[0]),
            everything,
            everything,
            slice(h0 - piece.heads[0], h1 - piece.heads[0]),
        )
        room[l0 - layers.start : l1 - layers.start, :, :, h0 - heads.start : h1 - heads.start] = self._store.read(
            piece, TENSOR, inside
        ).to(room.device)


class _Here:
    """A transfer that is over."""

    def wait(self) -> None:
        return


def restore_codec(store: Store, half: str, block: int, restore: Callable[[dict[str, Tensor]], None]) -> None:
    """Brings a decoder or encoder to where it was after a block, from the files of all its parts.

    Raises StateError if they are gone, or are none that it can have left.
    """
    parts = kept_after(store.state(), half, block)
    if not parts:
        raise StateError(f"{store.folder}: the {half} after block {block} is gone; nobody may change a run's folder")
    try:
        restore({key: tensor for part in parts for key, tensor in store.read_all(part).items()})
    except ModelError as error:
        names = ", ".join(str(store.folder / str(part)) for part in parts)
        raise StateError(f"{names}: {error}; or remove what is named here and go on with --resume") from error


def _candidates(flow: Flow, cuts: Cuts) -> Iterator[Cut]:
    """Cuts from the newest back; of one block, in a ring, first those that ranks as many as now have left."""
    own = cuts.end.ring
    others = [ring for ring in range(1, flow.spec.layers + 1) if ring != own] if own else []
    for block in reversed(cuts.blocks):
        yield from (cuts.cut(block, ring) for ring in (own, *others))


def _finished(store: Store, flow: Flow, dtype: torch.dtype, faults: list[str]) -> int:
    """How many blocks from the first on are whole on disk."""
    for block in range(flow.blocks):
        saved = Finished(block, flow.decodes)
        if not store.has(saved):
            return block
        try:
            store.require(saved, TENSOR, header_of(saved, flow.spec, dtype))
        except StateError as error:
            faults.append(str(error))
            return block
    return flow.blocks


def _usable(store: Store, flow: Flow, dtype: torch.dtype, faults: list[str]) -> Iterator[Saved]:
    """The files of state that are what their names say."""
    for saved in sorted(store.state(), key=str):
        try:
            if isinstance(saved, Piece):
                _require_inside(saved, flow.spec)
                store.require(saved, TENSOR, header_of(saved, flow.spec, dtype))
            else:
                store.headers(saved)
        except StateError as error:
            faults.append(str(error))
        else:
            yield saved


def _require_inside(piece: Piece, spec: ModelSpec) -> None:
    """Raises StateError for layers and heads that the model does not have."""
    for (first, after), most in ((piece.layers, spec.layers), (piece.heads, spec.heads)):
        if piece.payload.carries in IN_PARTS and not 0 <= first < after <= most:
            raise StateError(f"{piece}: layers or heads that {spec.name} does not have; remove it")
