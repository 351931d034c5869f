"""What stands between latents and pixels: a codec hands out decoders and encoders, each with one stream's state.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, Self, TypeAlias

import torch
from torch import Tensor

from models.errors import ModelError

# Everything that the next block's result depends on besides the weights and the block itself; {} before the first.
State: TypeAlias = dict[str, Tensor]


class StreamDecoder(Protocol):
    """Decodes one stream's blocks in order."""

    def decode(self, latents_CThw: Tensor) -> Tensor:
        """Pixel frames [F, H, W, 3] uint8 of the next block, whose latents are clean and normalised."""

    def reset(self) -> None:
        """Forgets the stream: the next block is a stream's first."""

    def state(self) -> State:
        """What the next block depends on. The tensors are never written to again, so they need no copy."""

    def restore(self, state: State) -> None:
        """Goes on bit for bit where `state` was taken. Raises ModelError if it is another codec's."""


class StreamEncoder(Protocol):
    """Encodes one stream's blocks in order."""

    def encode(self, frames_FHWC: Tensor) -> Tensor:
        """Normalised clean latents [C, T, h, w] float32 of the next block's uint8 frames.

        A stream's first latent frame takes one pixel frame, every other as many as the codec's temporal stride.
        Raises ModelError if that does not come out even.
        """

    def reset(self) -> None:
        """As `StreamDecoder.reset`."""

    def state(self) -> State:
        """As `StreamDecoder.state`."""

    def restore(self, state: State) -> None:
        """As `StreamDecoder.restore`."""


class Codec(Protocol):
    """A decoder's weights, and an encoder's where there is one, shared by any number of streams."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def decoder(self) -> StreamDecoder:
        """A fresh stream's decoder."""

    def encoder(self) -> StreamEncoder:
        """A fresh stream's encoder. Raises ModelError if this codec has none."""

    def to(self, device: torch.device) -> Self:
        """The codec with its weights on a device; streams begun before are void."""


def fitting(state: State, keys: Collection[str], dtype: torch.dtype, device: torch.device) -> State:
    """A saved state on a device. Raises ModelError unless its keys are among `keys` and its numbers of the type.

    An entry without numbers may have any type: it stands for a mark.
    """
    for key, value in state.items():
        if key not in keys:
            raise ModelError(f"state entry {key!r} is not of this codec; restore what the same codec saved")
        if value.numel() and value.dtype != dtype:
            raise ModelError(
                f"state entry {key!r} is {value.dtype}, the codec computes in {dtype}; load it in that type"
            )
    return {key: value.to(device) for key, value in state.items()}


def to_bytes(pixels_FHWC: Tensor, low: float) -> Tensor:
    """uint8 of pixels that run from `low` to 1; what lies outside is black or white."""
    levels = (pixels_FHWC.float().clamp(low, 1) - low) * (255 / (1 - low))
    return levels.round().to(torch.uint8).contiguous()


def chunk_sizes(count: int, at_once: int | None, *, first_alone: bool) -> list[int]:
    """How `count` frames are cut into chunks of at most `at_once` (None: no limit), the first maybe apart."""
    lead = [1] if first_alone and count else []
    rest = count - len(lead)
    size = at_once or max(rest, 1)
    return lead + [min(size, rest - start) for start in range(0, rest, size)]
