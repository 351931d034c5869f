"""What stands between latents and pixels: a codec hands out decoders and encoders, each with one stream's state.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        """Goes on bit for bit where `state` was taken.

        Raises ModelError if it is not what this codec can have left: entries that are missing, unexpected or misshapen.
        """


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


def fitting(state: State, forms: Sequence[State], dtype: torch.dtype, device: torch.device) -> State:
    """A saved state on a device, found to be one that the codec can have left; {} is.

    `forms`: what it leaves of the smallest frames, one for each set of shapes; height and width of all entries grow
    alike. An entry without numbers stands for a mark, and may have any type. Raises ModelError.
    """
    if not state:
        return {}
    mend = "restore what the same codec saved for the same clip"
    keys = forms[-1].keys()
    if strange := sorted(state.keys() - keys):
        raise ModelError(f"state entry {strange[0]!r} is not of this codec; {mend}")
    if lacking := [key for key in keys if key not in state]:
        raise ModelError(f"state lacks entries {', '.join(lacking)} of {', '.join(keys)}; {mend}")
    for key, value in state.items():
        if value.numel() and value.dtype != dtype:
            raise ModelError(
                f"state entry {key!r} is {value.dtype}, the codec computes in {dtype}; load it in that type"
            )
    misfits = [_misshapen(state, form) for form in forms]
    if all(misfits):
        raise ModelError(f"{misfits[-1]}; {mend}")
    return {key: value.to(device) for key, value in state.items()}


def _misshapen(state: State, form: State) -> str:
    """The first entry that has not the form's shape, grown as the first entry is; empty if all have."""
    first = next(iter(form))
    (height, width), (least_height, least_width) = _size(state[first]), _size(form[first])
    for key, least in form.items():
        wanted = list(least.shape)
        if least.numel():
            wanted[-2:] = least.shape[-2] * height // least_height, least.shape[-1] * width // least_width
        if list(state[key].shape) != wanted:
            return f"state entry {key!r} is {list(state[key].shape)}, not {wanted}"
    return ""


def _size(entry: Tensor) -> tuple[int, int]:
    """Height and width; none of what is no frame."""
    height, width = entry.shape[-2:] if entry.dim() > 1 else (0, 0)
    return height, width


def require_size(kept: Tensor, given: Tensor) -> None:
    """Raises ModelError if a block is of another height or width than what its stream has kept."""
    if _size(kept) != _size(given):
        was, now = ("{}x{}".format(*_size(frames)) for frames in (kept, given))
        raise ModelError(f"the stream so far is {was} here, this block {now}; begin another stream for it")


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
