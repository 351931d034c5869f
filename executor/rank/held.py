"""What a rank holds: every payload in its place, and how it comes and goes in one piece.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, L text tokens, F pixel frames, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from executor.rank.part import Part
from models.kv_cache import KVSlots
from models.spec import ModelSpec
from planner.action import Action, Kind, Payload
from planner.flow import Flow
from planner.memory import slots_needed


class Held:
    """One rank's payloads. K/V lies in slots, a `context` in one for each of its blocks; all else as a tensor.

    `program` and the payloads `before` it say how many slots are needed.
    """

    def __init__(
        self,
        flow: Flow,
        part: Part,
        program: Iterable[Action],
        dtype: torch.dtype,
        device: torch.device,
        before: Iterable[Payload] = (),
    ) -> None:
        self.flow, self.part, self.device = flow, part, device
        self._spec: ModelSpec = flow.spec
        self._dtype = dtype
        program = list(program)
        # A ring that goes on with another's clip runs the rest of some waves.
        self._waves = {action.block: action.batch for action in program if action.kind is Kind.SLICE}
        count = slots_needed(program, flow, before)
        self.slots = KVSlots(flow.spec, count, dtype, device, layers=len(part.layers), heads=len(part.heads))
        self._tensors: dict[Payload, Tensor] = {}
        self._coming: dict[Payload, Tensor] = {}  # of several slots, on its way here

    # -- one piece, as it travels ----------------------------------------------------------------

    def tensor(self, payload: Payload) -> Tensor:
        """A payload as one tensor, of the shape that `room` has: contiguous, or the one slot that holds it."""
        versions = self._versions(payload)
        if versions is None:
            return self._tensors[payload]
        parts = [self.slots.get(*version) for version in versions]
        return parts[0] if len(parts) == 1 else _joined(parts, self._room(payload))

    def room(self, payload: Payload) -> Tensor:
        """Where a payload that comes is to be written; it is held once `arrived` has been called."""
        versions = self._versions(payload)
        if versions is None:
            self._tensors[payload] = self._room(payload)
            return self._tensors[payload]
        # Taken now, as the plan counts its memory from here on.
        slots = [self.slots.take(*version) for version in versions]
        if len(slots) == 1:
            return slots[0]
        self._coming[payload] = self._room(payload)
        return self._coming[payload]

    def arrived(self, payload: Payload) -> None:
        """Puts what came into the payload's place."""
        if payload in self._coming:
            slots = [self.slots.get(*version) for version in self._versions(payload) or ()]
            whole = self._coming.pop(payload)
            for slot, piece in zip(slots, whole.split([slot.shape[2] for slot in slots], dim=2), strict=True):
                slot.copy_(piece)

    def free(self, payload: Payload) -> None:
        """Gives the payload's storage up."""
        versions = self._versions(payload)
        if versions is None:
            del self._tensors[payload]
        for version in versions or ():
            self.slots.give_back(*version)

    # -- pieces ----------------------------------------------------------------------------------

    def get(self, payload: Payload) -> Tensor:
        """Any payload that is no K/V."""
        return self._tensors[payload]

    def put(self, payload: Payload, tensor: Tensor) -> None:
        self._tensors[payload] = tensor

    def take(self, payload: Payload) -> Tensor:
        """A slot for K/V that is about to be made, or to come layer by layer."""
        return self.slots.take(payload.block, self.version(payload))

    def kv(self, payload: Payload) -> Tensor:
        """K/V that is here."""
        return self.slots.get(payload.block, self.version(payload))

    def context(self, block: int, earlier: int) -> Tensor:
        """The K/V of one block of the context made anew for `block`."""
        return self.slots.get(earlier, -block)

    def take_context(self, block: int, earlier: int) -> Tensor:
        return self.slots.take(earlier, -block)

    def version(self, payload: Payload) -> int:
        """The stage that made K/V, which names its slot."""
        return self.flow.stage((payload.block, payload.step))

    @property
    def finished(self) -> dict[int, Tensor]:
        """Clean latents [C, T, h, w] by block, of the blocks whose latents are still here."""
        last = self._spec.block_steps
        return {p.block: t for p, t in self._tensors.items() if p.carries == "latents" and p.step == last(p.block) - 1}

    def _versions(self, payload: Payload) -> list[tuple[int, int]] | None:
        """The slots of a payload, by block and version; None for one that takes none."""
        if payload.carries == "kv":
            return [(payload.block, self.version(payload))]
        if payload.carries == "context":
            return [(earlier, -payload.block) for earlier in self._spec.context_blocks(payload.block)]
        return None

    def _room(self, payload: Payload) -> Tensor:
        shape, dtype = self.shape(payload)
        return torch.empty(shape, dtype=dtype, device=self.device)

    def shape(self, payload: Payload) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape and type of a payload in one piece.

        K/V [layers, 2, tokens, heads, head_dim] of this rank's part, with all blocks' tokens in a context; latents and
        what was encoded [C, T, h, w] float32; pixels [F, H, W, 3] uint8; hidden [tokens, dim]; text [L, text_dim].
        """
        spec, block = self._spec, payload.block
        versions = self._versions(payload)
        if versions is not None:
            tokens = sum(spec.tokens_of(held) for held, _ in versions)
            return (len(self.part.layers), 2, tokens, len(self.part.heads), spec.head_dim), self._dtype
        if payload.carries == "hidden":
            wave = self._waves.get(block, self.flow.wave(block))
            return (sum(spec.tokens_of(b) for b, _ in wave), spec.dim), self._dtype
        if payload.carries == "text":
            return (spec.text_length, spec.text_dim), self._dtype
        if payload.carries == "pixels":
            return (spec.pixel_frames(block), spec.pixel_height, spec.pixel_width, 3), torch.uint8
        frames = spec.block_frames(block)
        return (spec.latent_channels, frames, spec.latent_height, spec.latent_width), torch.float32


def _joined(parts: list[Tensor], room: Tensor) -> Tensor:
    return torch.cat(parts, dim=2) if parts else room
