"""The decoder in parts: how long each takes on a device, and how much it hands to the next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from models.spec import ModelSpec
from planner.cluster import Device
from planner.errors import InputError
from planner.problem import Problem
from planner.profile import Profile

# Share of the peak that the Wan decoder reaches. WaveForcing's table: three decoder stages of 95 + 99 + 96 ms for one
# block of 12 frames at 480x832 on H200, against 40.65 TFLOP by our closed form.
DECODE_EFFICIENCY = 0.14
# Launching an action's kernels, however small they are.
LAUNCH_US = 50


class Decoder(NamedTuple):
    """The decoder in parts: what share of a block's decode each takes and what it hands on to the next, in bytes."""

    spec: ModelSpec
    profile: Profile | None
    shares: tuple[float, ...]
    parts: tuple[int, ...]  # measured parts, microseconds; empty where the data sheet is all there is
    handed_on: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem, parts: int) -> Decoder:
        """The decoder split in `parts` of times as equal as can be. Raises InputError if it has fewer parts."""
        spec, profile = problem.model, problem.profile
        layers = spec.vae.decode_layers(spec.frames_per_block, spec.latent_height, spec.latent_width)
        flops = [float(count) for count, _ in layers]
        measured = [timing.median_us for timing in profile.decode_parts] if profile else []
        if parts == 1:
            return cls(spec, profile, (1.0,), (), (0,))
        weights = [float(us) for us in measured] or flops
        if parts > len(weights):
            raise InputError(f"placement: the decoder has {len(weights)} parts that can be told apart, not {parts}")
        cuts = _cuts(tuple(weights), parts)
        sums = [sum(weights[a:b]) for a, b in zip((0, *cuts), (*cuts, len(weights)), strict=True)]
        total = sum(weights)
        shares = tuple(part / total for part in sums)
        done, handed = 0.0, []
        for share in shares:
            done += share
            handed.append(_bytes_after(layers, done) * spec.activation_bytes_per_number)
        return cls(spec, profile, shares, tuple(round(part) for part in sums) if measured else (), tuple(handed))

    def part_us(self, block: int, part: int, device: Device) -> float:
        """How long a part of one block's decode takes."""
        if self.parts:
            first = self.profile.decode_first.median_us / self.profile.decode.median_us if self.profile else 1.0
            return self.parts[part] * (first if block == 0 else 1.0)
        return self._whole_us(block, device) * self.shares[part]

    def encode_us(self, block: int, device: Device) -> float:
        """How long it takes to encode a block's pixels; the encoder is about as large as the decoder."""
        return self._whole_us(block, device)

    def _whole_us(self, block: int, device: Device) -> float:
        if self.profile is not None:
            return (self.profile.decode_first if block == 0 else self.profile.decode).median_us
        return LAUNCH_US + self.spec.decode_flops(block) / (device.peak_tflops * 1e6 * DECODE_EFFICIENCY)

    @property
    def state_bytes(self) -> int:
        """What decoding or encoding a stream keeps from block to block, in the type it computes in."""
        spec = self.spec
        return spec.vae.decode_state(spec.latent_height, spec.latent_width) * spec.activation_bytes_per_number

    @property
    def resident_bytes(self) -> int:
        """Weights, and two full-resolution feature maps of the narrowest level, in float32, for one block."""
        spec = self.spec
        pixels = spec.pixel_height * spec.pixel_width
        frames = spec.frames_per_block * spec.vae_stride[0]
        return spec.decoder_weight_bytes + 2 * 4 * spec.vae.decoder_dim * pixels * frames // spec.vae.pixel_patch**2


@lru_cache(maxsize=4096)
def _cuts(weights: tuple[float, ...], parts: int) -> tuple[int, ...]:
    """Where to cut a sequence so that its heaviest part is as light as can be."""
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
    total = [0.0]
    for weight in weights:
        total.append(total[-1] + weight)
    count = len(weights)
    for end in range(1, count + 1):
        best[1, end] = total[end], ()
    for part in range(2, parts + 1):
        for end in range(part, count + 1):
            best[part, end] = min(
                (max(best[part - 1, cut][0], total[end] - total[cut]), (*best[part - 1, cut][1], cut))
                for cut in range(part - 1, end)
            )
    return best[parts, count][1]


def _bytes_after(layers: Sequence[tuple[int, int]], share: float) -> int:
    """The numbers that the layer hands on with which this share of all FLOPs is done."""
    total, done = sum(flops for flops, _ in layers), 0
    for flops, numbers in layers:
        done += flops
        if done >= share * total * (1 - 1e-9):
            return numbers
    return layers[-1][1]
