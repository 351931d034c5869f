"""A tiny decoder in the published TAEHV layout: a small share of the full decoder's time, at some loss of detail.

Weights `taew2_1.pth` (Wan 2.1, and Wan 2.2's 14B) and `taew2_2.pth` (Wan 2.2's 5B) of
https://github.com/madebyollin/taehv, as `.pth` or safetensors; layout as of 2026-03. They read the transformer's
latents as they are, without the full autoencoder's mean and deviation. The same files hold an encoder, which is left
out: it folds frames 0..3, 4..7, ... into a latent where a stream's blocks end at 0, 4, 8, ..., so a block's last latent
would wait for the next block's frames.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels; N frames at a
layer's own rate, c its channels, y, x its positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.codec import State, StreamEncoder, chunk_sizes, fitting, require_size, to_bytes
from models.errors import ModelError, SpecError
from models.spec import ModelSpec
from models.weights import fill, read_weights

MEMORIES = 3  # layers with memory per level
ENCODER = "encoder."  # keys of the half that is left out


class TinyShape(NamedTuple):
    """What shapes the decoder's weights: a level per entry of `grow`, each of which doubles height and width."""

    latent_channels: int = 16
    patch: int = 1  # pixels, height and width, folded into the last layer's channels
    widths: tuple[int, ...] = (256, 128, 64, 64)  # channels of the levels, then of what the last layer reads
    grow: tuple[int, ...] = (1, 2, 2)  # frames that each level makes of one

    @classmethod
    def of(cls, spec: ModelSpec) -> TinyShape:
        """The published decoder for a model. Raises SpecError if there is none for its latents."""
        shape = {(4, 8, 8): cls(), (4, 16, 16): cls(patch=2)}.get(spec.vae_stride)
        if shape is None:
            raise SpecError(
                f"{spec.name}: no tiny decoder for stride {spec.vae_stride}; there is (4, 8, 8), (4, 16, 16)"
            )
        return shape._replace(latent_channels=spec.latent_channels)


class Squash(nn.Module):
    """Keeps latents within +-3, smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class Memory(nn.Module):
    """A residual layer that sees each frame beside the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width)
        )

    def forward(self, x_Ncyx: Tensor, before_1cyx: Tensor) -> Tensor:
        """The frames, given the last frame of the chunk before."""
        past_Ncyx = torch.cat([before_1cyx, x_Ncyx[:-1]])
        return F.relu(self.conv(torch.cat([x_Ncyx, past_Ncyx], dim=1)) + x_Ncyx)


class Grow(nn.Module):
    """Makes several frames of each: the channels of one 1x1 convolution, dealt out in order."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * frames, 1, bias=False)

    def forward(self, x_Ncyx: Tensor) -> Tensor:
        return self.conv(x_Ncyx).reshape(-1, *x_Ncyx.shape[1:])


class TinyDecoder(nn.Module):
    """The layers in the published order, so that a published file's keys are this module's."""

    def __init__(self, shape: TinyShape) -> None:
        super().__init__()
        self.shape = shape
        self.decoder = nn.Sequential(*_layers(shape))

    def forward(self, latents_TChw: Tensor, memory: dict[int, Tensor]) -> Tensor:
        """Frames [F, 3, H, W], 0..1 but for outliers; `memory`, each memory's last input, is brought up to date."""
        x = latents_TChw
        for index, layer in enumerate(self.decoder):
            if isinstance(layer, Memory):
                before = memory.get(index)
                # A copy, or the whole chunk would live as long as its last frame.
                memory[index] = x[-1:].clone()
                x = layer(x, torch.zeros_like(x[:1]) if before is None else before)
            else:
                x = layer(x)
        return F.pixel_shuffle(x, self.shape.patch)


class TinyCodec:
    """A tiny decoder as a codec; it has no encoder.

    `frames_at_once` latent frames run together: 1 keeps memory small, and on the CPU makes the result the same bit for
    bit however the clip is cut into blocks; None is a block's all.
    """

    def __init__(self, net: TinyDecoder, *, frames_at_once: int | None = 1) -> None:
        self.net = net.eval().requires_grad_(False)
        self.frames_at_once = frames_at_once

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def decoder(self) -> TinyStream:
        return TinyStream(self.net, self.frames_at_once)

    def encoder(self) -> StreamEncoder:
        raise ModelError("the tiny decoder has no encoder; load the full autoencoder to begin from a video")

    def to(self, device: torch.device) -> Self:
        self.net.to(device)
        return self


class TinyStream:
    """A stream's decoder; its first latent frame gives one pixel frame, others as many as the temporal stride."""

    def __init__(self, net: TinyDecoder, frames_at_once: int | None) -> None:
        self._net = net
        self._frames_at_once = frames_at_once
        weight = next(net.parameters())
        self._device, self._dtype = weight.device, weight.dtype
        self._memory: dict[int, Tensor] = {}

    def reset(self) -> None:
        self._memory = {}

    def state(self) -> State:
        return {str(index): value for index, value in self._memory.items()}

    def restore(self, state: State) -> None:
        kept = fitting(state, self._forms() if state else (), self._dtype, self._device)
        self._memory = {int(index): value for index, value in kept.items()}

    def _forms(self) -> list[State]:
        """What a frame of one position leaves."""
        least = TinyStream(self._net, 1)
        least.decode(torch.zeros(self._net.shape.latent_channels, 1, 1, 1, device=self._device))
        return [least.state()]

    @torch.no_grad()
    def decode(self, latents_CThw: Tensor) -> Tensor:
        """Pixel frames [F, H, W, 3] uint8 of the next block. Nothing here waits for the device."""
        if self._memory:
            require_size(self._memory[min(self._memory)], latents_CThw)
        # The first frames that the net makes lie before the stream's beginning.
        before = 0 if self._memory else _stride(self._net.shape) - 1
        latents_TChw = latents_CThw.to(self._device, self._dtype).transpose(0, 1)
        sizes = chunk_sizes(len(latents_TChw), self._frames_at_once, first_alone=False)
        chunks = [self._net(chunk, self._memory) for chunk in latents_TChw.split(sizes)]
        return torch.cat([to_bytes(frames_FCHW.permute(0, 2, 3, 1), low=0) for frames_FCHW in chunks])[before:]


def load_tiny_decoder(path: Path, spec: ModelSpec, dtype: torch.dtype = torch.float32) -> TinyCodec:
    """The tiny decoder in a `.pth` or `.safetensors` file, for a model's latents.

    Raises CheckpointError naming the keys that are missing, unexpected or misshapen; SpecError if no such decoder fits
    the model's latents. No code in the file is run.
    """
    shape = TinyShape.of(spec)
    with torch.device("meta"):
        net = TinyDecoder(shape)
    found = {key: value for key, value in read_weights(path).items() if not key.startswith(ENCODER)}
    return TinyCodec(fill(net, found, path, dtype))


def _layers(shape: TinyShape) -> Iterator[nn.Module]:
    yield from (Squash(), _conv(shape.latent_channels, shape.widths[0]), nn.ReLU())
    for (width, narrower), frames in zip(pairwise(shape.widths), shape.grow, strict=True):
        yield from (Memory(width) for _ in range(MEMORIES))
        yield from (nn.Upsample(scale_factor=2), Grow(width, frames), _conv(width, narrower, bias=False))
    yield from (nn.ReLU(), _conv(shape.widths[-1], 3 * shape.patch**2))


def _conv(channels_in: int, channels_out: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)


def _stride(shape: TinyShape) -> int:
    return math.prod(shape.grow)
