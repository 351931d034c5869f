"""`Forward`: passes of one or several blocks under way, layer by layer.

In each layer all passes first project (queries, and their own K/V into a slot) and attend only then, so that between
the two K/V may come in from passes that run at the same time, here or on another rank.

Shape suffixes: B passes that go through a layer's products as one batch, C latent channels, T latent frames, h, w
latent positions, N tokens of a block, n of them held here (all, unless a group shares them), D = heads x head_dim, H
heads held here, E head dim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from models.device import to_device
from models.group import Group
from models.layer import TextView, attend, from_patches, to_patches, tokens_of
from models.rotary import Rotation, rotate, rotation, time_shift
from models.wan import CausalWan

# Rotations kept on a device: those of as many blocks and sinks as are ever in flight at once.
ROTATIONS_KEPT = 64


class Past(NamedTuple):
    """The K/V of one block that a pass reads: a slot, and by how many frames to move its keys.

    The slot is [layers held here, 2, N, H, E]; or [1, 2, N, H, E], filled anew in each layer.
    """

    slot: Tensor
    shift: int = 0


class PassInput(NamedTuple):
    """What one pass computes from, and where it leaves its K/V.

    `reads` lists all it attends to, its `own` slot among them, in the order of the keys; `timestep` is 0..1000;
    `start_frame` the block's first latent frame in the stream; `text` one view a layer of the whole model.
    """

    latents_CThw: Tensor
    timestep: float
    start_frame: int
    own: Tensor
    reads: Sequence[Past]
    text: Sequence[TextView]


class _Batch(NamedTuple):
    """Passes of equally many tokens that go through a layer's products together, by their place among the inputs."""

    places: tuple[int, ...]
    turn: Rotation  # [B, n, 1, E/2, 2]
    time_BD: Tensor
    modulation_LB6D: Tensor  # by layer held here


class Forward:
    """Passes under way. Each runs by itself, bit for bit as it would alone; or, if `fused`, as one batch.

    `layers` are those held here: a slice of the model begins with the `hidden` tokens [sum of N, D] that the slice
    before it left.
    """

    @torch.no_grad()
    def __init__(
        self,
        wan: CausalWan,
        inputs: Sequence[PassInput],
        *,
        fused: bool = False,
        layers: range | None = None,
        hidden: Tensor | None = None,
        group: Group | None = None,
    ) -> None:
        wan.begin_pass()
        self.layers = range(wan.spec.layers) if layers is None else layers
        self._wan, self._inputs, self._group = wan, inputs, group
        self._batches = [self._prepared(places) for places in _together(inputs, fused=fused)]
        self._tokens = [self._embedded(batch) for batch in self._batches] if hidden is None else self._taken_up(hidden)
        self._queries: list[Tensor] = []
        self._windows = [_side_by_side([past.slot for past in given.reads]) for given in inputs]

    def run(self, between: Callable[[int], None] | None = None) -> list[Tensor]:
        """Every layer held here, then the flows; `between` is called in each after it projects, before it attends."""
        for layer in self.layers:
            self.project(layer)
            if between is not None:
                between(layer)
            self.attend(layer)
        return self.flows()

    @torch.no_grad()
    def project(self, index: int) -> None:
        """A layer's queries, kept here, and its K/V, left in each pass's own slot."""
        layer, self._queries = self._wan.transformer.blocks[index], []
        for batch, tokens_BnD in zip(self._batches, self._tokens, strict=True):
            modulation_B6D = batch.modulation_LB6D[index - self.layers.start]
            projected = self._wan.project(layer, tokens_BnD, modulation_B6D, batch.turn)
            query_BNHE, key_BNHE, value_BNHE = projected if self._group is None else self._group.to_heads(*projected)
            self._queries.append(query_BNHE)
            for at, place in enumerate(batch.places):
                own_2NHE = self._of_layer(self._inputs[place].own, index)
                own_2NHE[0].copy_(key_BNHE[at])
                own_2NHE[1].copy_(value_BNHE[at])

    @torch.no_grad()
    def attend(self, index: int) -> None:
        """The rest of the layer; what the passes read of it must be in the slots."""
        layer, backend = self._wan.transformer.blocks[index], self._wan.attention
        for number, (batch, query_BNHE) in enumerate(zip(self._batches, self._queries, strict=True)):
            mixed = []
            for place, query_1NHE in zip(batch.places, query_BNHE.split(1), strict=True):
                key_1MHE, value_1MHE = self._read(place, index)
                mixed.append(attend(query_1NHE, key_1MHE, value_1MHE, backend))
            mixed_BnHE = _cat(mixed)
            if self._group is not None:
                mixed_BnHE = self._group.to_tokens(mixed_BnHE)
            text = _stacked([self._inputs[place].text[index] for place in batch.places])
            modulation_B6D = batch.modulation_LB6D[index - self.layers.start]
            self._tokens[number] = self._wan.absorb(
                layer, self._tokens[number], mixed_BnHE, modulation_B6D, text, backend
            )

    @property
    def hidden(self) -> Tensor:
        """The tokens [sum of n, D] after the last layer so far, in the order of the inputs."""
        return _cat(self._in_order(self._tokens))

    @torch.no_grad()
    def flows(self) -> list[Tensor]:
        """The predicted flow (noise - clean) of each pass, [C, T, h, w] as its latents, in the order of the inputs.

        Empty where the model's last layer is not held here.
        """
        if self.layers.stop < self._wan.spec.layers:
            return []
        flows = []
        for batch, tokens_BnD in zip(self._batches, self._tokens, strict=True):
            patches_BnX = to_patches(self._wan.transformer, tokens_BnD, batch.time_BD)
            if self._group is not None:
                patches_BnX = self._group.gathered(patches_BnX)
            shape = torch.Size((len(batch.places), *self._inputs[batch.places[0]].latents_CThw.shape))
            flows.append(from_patches(self._wan.transformer, patches_BnX, shape))
        return self._in_order(flows)

    # -- pieces ----------------------------------------------------------------------------------

    def _prepared(self, places: tuple[int, ...]) -> _Batch:
        spec, passes = self._wan.spec, [self._inputs[place] for place in places]
        grid = (spec.latent_height // spec.patch[1], spec.latent_width // spec.patch[2])
        turns = [
            _turn(spec.head_dim, given.start_frame, given.latents_CThw.shape[1], *grid, self._wan.device)
            for given in passes
        ]
        turn_BN1P2 = _stack([turn.turn_N1P2 for turn in turns])
        if self._group is not None:
            turn_BN1P2 = self._group.part(turn_BN1P2, 1)
        time_BD = _cat([self._wan.times(given.timestep)[0] for given in passes])
        modulation_LB6D = _cat([self._wan.modulations(given.timestep, self.layers) for given in passes], dim=1)
        return _Batch(places, Rotation(turn_BN1P2), time_BD, modulation_LB6D)

    def _embedded(self, batch: _Batch) -> Tensor:
        latents_BCThw = _stack([self._inputs[place].latents_CThw for place in batch.places])
        tokens_BND = tokens_of(self._wan.transformer, latents_BCThw)
        return tokens_BND if self._group is None else self._group.part(tokens_BND, 1)

    def _taken_up(self, hidden: Tensor) -> list[Tensor]:
        per_frame = self._wan.spec.tokens_per_frame
        parts = hidden.split([given.latents_CThw.shape[1] * per_frame for given in self._inputs])
        return [_stack([parts[place] for place in batch.places]) for batch in self._batches]

    def _in_order(self, of_batches: Sequence[Tensor]) -> list[Tensor]:
        found = {
            place: part
            for batch, tensor in zip(self._batches, of_batches, strict=True)
            for place, part in zip(batch.places, tensor, strict=True)
        }
        return [found[place] for place in range(len(self._inputs))]

    def _of_layer(self, slot: Tensor, index: int) -> Tensor:
        return slot[(index - self.layers.start) % len(slot)]

    def _read(self, place: int, index: int) -> tuple[Tensor, Tensor]:
        """Keys and values [1, M, H, E] of all that a pass attends to in a layer."""
        reads, window = self._inputs[place].reads, self._windows[place]
        moved = any(past.shift for past in reads)
        if window is not None and not moved:
            key_1MHE, value_1MHE = self._of_layer(window, index).split(1)
            return key_1MHE, value_1MHE
        slots = [self._of_layer(past.slot, index) for past in reads]
        keys = [
            slot[0] if past.shift == 0 else rotate(slot[0], _move(self._wan.spec.head_dim, past.shift, slot.device))
            for past, slot in zip(reads, slots, strict=True)
        ]
        value_MHE = _cat([slot[1] for slot in slots]) if window is None else self._of_layer(window, index)[1]
        return _cat(keys)[None], value_MHE[None]


def run_pass(wan: CausalWan, given: PassInput) -> Tensor:
    """The predicted flow of one pass; its K/V goes to its slot."""
    return Forward(wan, [given]).run()[0]


def _together(inputs: Sequence[PassInput], *, fused: bool) -> list[tuple[int, ...]]:
    """The inputs' places in batches: those of equally many frames, or each by itself."""
    if not fused:
        return [(place,) for place in range(len(inputs))]
    by_frames: dict[int, list[int]] = defaultdict(list)
    for place, given in enumerate(inputs):
        by_frames[given.latents_CThw.shape[1]].append(place)
    return [tuple(places) for places in by_frames.values()]


def _side_by_side(slots: Sequence[Tensor]) -> Tensor | None:
    """One view [layers, 2, sum of N, H, E] of slots that lie one after another in one buffer; None if they do not."""
    first = slots[0]
    end, step = first.storage_offset(), first.stride(2)
    for slot in slots:
        alike = slot.stride() == first.stride() and len(slot) == len(first)
        if not alike or slot.storage_offset() != end or not _same_buffer(slot, first):
            return None
        end += slot.shape[2] * step
    tokens = sum(slot.shape[2] for slot in slots)
    return first.as_strided((*first.shape[:2], tokens, *first.shape[3:]), first.stride())


def _same_buffer(one: Tensor, other: Tensor) -> bool:
    return one is other or one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _cat(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)


def _stack(parts: Sequence[Tensor]) -> Tensor:
    return parts[0][None] if len(parts) == 1 else torch.stack(list(parts))


def _stacked(views: Sequence[TextView]) -> TextView:
    """Text views of passes that run as one batch."""
    if all(view is views[0] for view in views):
        return TextView(*(part.expand(len(views), *part.shape) for part in views[0]))
    return TextView(*(_stack(parts) for parts in zip(*views, strict=True)))


@lru_cache(maxsize=ROTATIONS_KEPT)
def _turn(head_dim: int, start: int, frames: int, height: int, width: int, device: torch.device) -> Rotation:
    return _to(rotation(head_dim, start, frames, height, width), device)


@lru_cache(maxsize=ROTATIONS_KEPT)
def _move(head_dim: int, frames: int, device: torch.device) -> Rotation:
    return _to(time_shift(head_dim, frames), device)


def _to(turn: Rotation, device: torch.device) -> Rotation:
    return Rotation(to_device(turn.turn_N1P2, device))
