"""The decoder's cost as a closed form over `AutoencoderKLWan`'s shapes (diffusers 0.42), without building it.

FLOPs count a multiply-add as two; only convolutions and the middle attention count, as the rest is memory-bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

OVER_TIME = (27, 3)  # kernel sizes of convolutions that reach over three frames


class Conv(NamedTuple):
    """One convolution: weights' kernel size, channels in and out, and how many output positions it is run at.

    `area`: positions of one frame there.
    """

    kernel: int
    channels_in: int
    channels_out: int
    positions: int
    area: int

    @property
    def flops(self) -> int:
        return 2 * self.kernel * self.channels_in * self.channels_out * self.positions

    @property
    def parameters(self) -> int:
        return (self.kernel * self.channels_in + 1) * self.channels_out


class VaeSpec(BaseModel):
    """Shapes of a Wan autoencoder; `temporal_upsample` runs from the latents to the pixels.

    `wide_upsample`: a level keeps its channels as it grows, as in Wan 2.2 (diffusers' `is_residual`); 2.1 halves them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder_dim: PositiveInt
    latent_channels: PositiveInt
    dim_mult: tuple[PositiveInt, ...] = Field(min_length=1)
    residual_blocks: PositiveInt
    temporal_upsample: tuple[bool, ...]
    pixel_patch: PositiveInt = 1
    wide_upsample: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.temporal_upsample) != len(self.dim_mult) - 1:
            raise ValueError("temporal_upsample: must have one entry less than dim_mult")
        return self

    @property
    def stride(self) -> tuple[int, int, int]:
        """Pixel frames, rows and columns per latent one."""
        spatial: int = self.pixel_patch * 2 ** len(self.temporal_upsample)
        return 2 ** sum(self.temporal_upsample), spatial, spatial

    def decode_flops(self, latent_frames: int, height: int, width: int, *, first: bool = False) -> int:
        """FLOPs to decode `latent_frames` of height x width latents; `first` if they begin the stream."""
        return _decode_flops(self, latent_frames, height, width, first)

    def decode_layers(self, latent_frames: int, height: int, width: int) -> list[tuple[int, int]]:
        """(FLOPs, numbers handed on) of each layer in order, for a block that does not begin the stream."""
        attention = 4 * latent_frames * (height * width) ** 2 * self._dims[0]
        convs = self._convs(latent_frames * height * width, latent_frames, False)
        layers = [(conv.flops, conv.channels_out * conv.positions) for conv in convs]
        return [(layers[0][0] + attention, layers[0][1]), *layers[1:]]

    def decode_state(self, height: int, width: int) -> int:
        """Numbers that a decoder keeps from block to block: the last two frames each convolution over time has read."""
        convs = self._convs(height * width, 1, True)
        return sum(2 * conv.channels_in * conv.area for conv in convs if conv.kernel in OVER_TIME)

    @property
    def decoder_parameters(self) -> int:
        """Weights of the decoder's convolutions."""
        return sum(conv.parameters for conv in self._convs(2, 2, False))

    @property
    def _dims(self) -> list[int]:
        return [self.decoder_dim * m for m in (self.dim_mult[-1], *reversed(self.dim_mult))]

    def _convs(self, positions: int, frames: int, first: bool) -> Iterator[Conv]:
        dims, narrower, area = self._dims, 1 if self.wide_upsample else 2, positions // frames
        yield Conv(1, self.latent_channels, self.latent_channels, positions, area)
        yield Conv(27, self.latent_channels, dims[0], positions, area)
        yield from [Conv(27, dims[0], dims[0], positions, area)] * 4
        yield Conv(1, dims[0], 3 * dims[0], positions, area)
        yield Conv(1, dims[0], dims[0], positions, area)
        for level, (entering, leaving) in enumerate(pairwise(dims)):
            channels = entering if level == 0 else entering // narrower
            for _ in range(self.residual_blocks + 1):
                if channels != leaving:
                    yield Conv(1, channels, leaving, positions, area)
                yield Conv(27, channels, leaving, positions, area)
                yield Conv(27, leaving, leaving, positions, area)
                channels = leaving
            if level == len(self.dim_mult) - 1:
                break
            if self.temporal_upsample[level]:
                # The stream's first latent frame stays one frame all the way to the pixels.
                doubled = frames - 1 if first else frames
                yield Conv(3, leaving, 2 * leaving, positions * doubled // frames, area)
                positions = positions * (frames + doubled) // frames
                frames += doubled
            positions, area = positions * 4, area * 4
            yield Conv(9, leaving, leaving // narrower, positions, area)
        yield Conv(27, dims[-1], 3 * math.prod((self.pixel_patch, self.pixel_patch)), positions, area)


WAN_2_1 = VaeSpec(
    decoder_dim=96,
    latent_channels=16,
    dim_mult=(1, 2, 4, 4),
    residual_blocks=2,
    temporal_upsample=(True, True, False),
)

# wan_5b/modules/vae2_2.py in NVlabs/LongLive, after Wan 2.2.
WAN_2_2 = VaeSpec(
    decoder_dim=256,
    latent_channels=48,
    dim_mult=(1, 2, 4, 4),
    residual_blocks=2,
    temporal_upsample=(True, True, False),
    pixel_patch=2,
    wide_upsample=True,
)


# Planners ask again and again, for every decode of a clip.
@lru_cache(maxsize=4096)
def _decode_flops(vae: VaeSpec, latent_frames: int, height: int, width: int, first: bool) -> int:
    attention = 4 * latent_frames * (height * width) ** 2 * vae._dims[0]
    return attention + sum(conv.flops for conv in vae._convs(latent_frames * height * width, latent_frames, first))
