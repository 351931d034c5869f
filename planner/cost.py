"""How long each action takes and how much memory it needs: from a measured profile, or from a roofline.

All durations are whole microseconds, at least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from models.spec import ModelSpec
from planner.action import Action, Kind, Payload
from planner.cluster import Device
from planner.errors import InputError
from planner.problem import Problem
from planner.profile import Profile, Timing

# Share of a device's peak rate that a pass reaches. NVIDIA/flashdreams PERFORMANCE.md, Self-Forcing on A100: one
# constant of about half the peak explains both a pass's intercept and its slope over the context.
PASS_EFFICIENCY = 0.5
# Share that the Wan decoder reaches. WaveForcing's table: three decoder stages of 95 + 99 + 96 ms for one block of
# 12 frames at 480x832 on H200, against 40.65 TFLOP by our closed form.
DECODE_EFFICIENCY = 0.14
# Launching a pass's kernels, however small they are.
LAUNCH_US = 50

ComputeTime = Callable[[Action, int], int]


class Costs(NamedTuple):
    """Durations and sizes of one problem; `compute_us(action, rank)` and `transfer_us(payload)` in microseconds."""

    spec: ModelSpec
    compute_us: ComputeTime
    link_latency_us: int
    link_bytes_per_us: float

    def payload_bytes(self, payload: Payload) -> int:
        """Bytes that a transfer of the payload moves and that holding it takes."""
        return self.spec.kv_bytes_per_block if payload.carries == "kv" else self.spec.latent_bytes_per_block

    def transfer_us(self, payload: Payload) -> int:
        return max(1, self.link_latency_us + math.ceil(self.payload_bytes(payload) / self.link_bytes_per_us))

    def resident_bytes(self, *, denoises: bool, decodes: bool) -> int:
        """Memory a rank needs before it holds any payload: weights and the working memory of one action.

        `denoises` and `decodes` say which models the rank's program runs.
        """
        total = 0
        if denoises:
            total += self.spec.weight_bytes + self.spec.activation_bytes
        if decodes:
            pixels = self.spec.pixel_height * self.spec.pixel_width
            # Two full-resolution feature maps of the decoder's narrowest level, in float32, for one block.
            frames = self.spec.frames_per_block * self.spec.vae_stride[0]
            maps = 2 * 4 * self.spec.vae.decoder_dim * pixels * frames // self.spec.vae.pixel_patch**2
            total += self.spec.decoder_weight_bytes + maps
        return total


def costs(problem: Problem) -> Costs:
    """The costs of a problem: its profile's if it has one, else a roofline's.

    Raises InputError if the profile was measured on another kind of device than the cluster's.
    """
    spec, profile, link = problem.model, problem.profile, problem.cluster.link
    if profile is None:
        per_rank = [_roofline(spec, device) for device in problem.cluster.devices]
        # One gigabyte per second is a thousand bytes per microsecond.
        return Costs(spec, lambda action, rank: per_rank[rank](action), link.latency_us, link.bandwidth_gbps * 1000)
    for rank, device in enumerate(problem.cluster.devices):
        if device.kind != profile.device:
            raise InputError(f"profile: measured on {profile.device!r}, but rank {rank} is {device.kind!r}")
    measured = _measured(spec, profile)
    return Costs(
        spec, lambda action, _rank: measured(action), profile.link_latency_us, profile.link_bandwidth_gbps * 1000
    )


def _roofline(spec: ModelSpec, device: Device) -> Callable[[Action], int]:
    flops_per_us = device.peak_tflops * 1e6
    bytes_per_us = device.memory_gbps * 1e3
    largest = spec.window // spec.frames_per_block
    pass_us = []
    for context in range(largest):
        compute = spec.pass_flops(context) / (flops_per_us * PASS_EFFICIENCY)
        memory = (spec.weight_bytes + (context + 1) * spec.kv_bytes_per_block) / bytes_per_us
        pass_us.append(LAUNCH_US + math.ceil(max(compute, memory)))
    decode_us = [
        LAUNCH_US + math.ceil(spec.decode_flops(block) / (flops_per_us * DECODE_EFFICIENCY)) for block in (0, 1)
    ]

    def duration(action: Action) -> int:
        if action.kind is Kind.DECODE:
            return decode_us[min(action.block, 1)]
        return pass_us[len(spec.context_blocks(action.block))]

    return duration


def _measured(spec: ModelSpec, profile: Profile) -> Callable[[Action], int]:
    def duration(action: Action) -> int:
        if action.kind is Kind.DECODE:
            return (profile.decode_first if action.block == 0 else profile.decode).median_us
        table = profile.clean if action.kind is Kind.COMMIT else profile.denoise
        return _at(table, len(spec.context_blocks(action.block)))

    return duration


def _at(table: tuple[Timing, ...], context: int) -> int:
    """The table's entry for a context, or the line through its last two entries beyond its end."""
    if context < len(table):
        return table[context].median_us
    last = table[-1].median_us
    slope = last - table[-2].median_us if len(table) > 1 else 0
    return max(1, last + slope * (context - len(table) + 1))
