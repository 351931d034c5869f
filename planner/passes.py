"""How long compute actions take: a profile's table or a roofline, and on top batches, groups, gangs and slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.spec import ModelSpec
from planner.action import OF_PASSES, Action, Kind, Pass
from planner.cluster import Device, Link
from planner.decoder import LAUNCH_US, Decoder
from planner.flow import Flow
from planner.problem import Problem
from planner.profile import Timing, points
from planner.ring import layers_held

# Share of a device's peak rate that a pass reaches. NVIDIA/flashdreams PERFORMANCE.md, Self-Forcing on A100: one
# constant of about half the peak explains both a pass's intercept and its slope over the context.
PASS_EFFICIENCY = 0.5
# What of a pass does not get shorter on a group. vllm-omni issue 6672, comment of 2026-09-01: 18.5B on H200, compiled,
# 2285.8 -> 1276.1 ms on two devices by Ulysses: 0.558, of which 0.02 are the collectives.
SERIAL_SHARE = 0.08
# Per layer: Ulysses sends q, k, v and the output all to all; tensor parallelism sums after attention and after ffn.
ULYSSES_COLLECTIVES, TENSOR_COLLECTIVES = 4, 2


class Passes:
    """Durations, as floats, of every kind of compute action on a group of ranks."""

    def __init__(self, problem: Problem, flow: Flow) -> None:
        self._problem, self._flow = problem, flow
        self._spec, self._profile = problem.model, problem.profile
        self._devices = problem.cluster.devices
        self._teams = _teams(problem, flow)
        self.decoder = Decoder.of(problem, flow.parts)
        self._ring = _slices(problem, flow) if flow.placement.passes == "ring" else ()
        self._flight_us = _flight_us(problem, flow)
        self._tick_keys: dict[int, object] = {}

    def key(self, action: Action, rank: int) -> object:
        """Equal keys have equal durations."""
        kind = action.kind
        if kind is Kind.TICK:
            return kind, self._tick_key(action.block)
        if kind in OF_PASSES:
            return kind, tuple(self._pass_key(item) for item in action.batch), self._teams[rank], action.step
        if kind in (Kind.DENOISE, Kind.COMMIT):
            return kind, self._pass_key((action.block, action.step)), self._teams[rank]
        return kind, action.step, min(action.block, self._spec.window), self._teams[rank]

    def action_us(self, action: Action, group: tuple[int, ...]) -> float:
        """How long an action takes on a group of ranks that share it (a decode: on its first)."""
        kind, device = action.kind, self._devices[group[0]]
        if kind is Kind.DECODE:
            return self.decoder.part_us(action.block, action.step or 0, device)
        if kind is Kind.ENCODE:
            return self._given("encode_us") or self.decoder.encode_us(action.block, device)
        if kind is Kind.RECACHE:
            return self._recache_us(action.block, group)
        if kind is Kind.TEXT:
            return self._given("text_us") or LAUNCH_US + self._spec.text_flops / (
                device.peak_tflops * 1e6 * PASS_EFFICIENCY
            )
        if kind is Kind.TICK:
            return self._tick_us(action.block)
        if kind is Kind.SLICE:
            return self._batch_us(action.batch, group) * self._ring[action.step or 0] + self._flight_us
        return self._batch_us(action.passes, group) + self._flight_us

    # -- passes ----------------------------------------------------------------------------------

    def _pass_key(self, item: Pass) -> tuple[object, ...]:
        stage = self._flow.stage(item)
        company = self._flow.pattern.is_joint and self._has_company(item[0], stage)
        return item[0] == 0, self._flow.blocks_read(item[0], stage), item[1] is None, stage == 0, company

    def _batch_us(self, batch: Sequence[Pass], group: tuple[int, ...]) -> float:
        """The largest pass of a batch takes its time, each further one its share of its own; in whole microseconds,
        so that a batch gains nothing by being rounded only once.
        """
        times = sorted((math.ceil(self._pass_us(item, group)) for item in batch), reverse=True)
        shares = self._profile.batch_share if self._profile else ()
        further = (time * _share(shares, at) for at, time in enumerate(times[1:]))
        return sum(further, times[0]) if times else 0.0

    def _pass_us(self, item: Pass, group: tuple[int, ...]) -> float:
        block, step = item
        stage = self._flow.stage(item)
        alone = max(self._alone_us(block, stage, step is None, rank) for rank in group)
        overhead = self._profile.block_overhead_us if self._profile and stage == 0 else 0
        return self._on_group(alone, block, group) + overhead

    def _alone_us(self, block: int, stage: int, clean: bool, rank: int) -> float:
        older, read = len(self._spec.context_blocks(block)), self._flow.blocks_read(block, stage)
        profile = self._profile
        if profile is None:
            return _roofline_us(self._spec, block, read, self._devices[rank])
        table = profile.clean if clean else profile.denoise
        if profile.joint_stretch is not None and self._flow.pattern.is_joint and self._has_company(block, stage):
            return at(table, older) * profile.joint_stretch
        return at(table, read)

    def _has_company(self, block: int, stage: int) -> bool:
        """Whether another block's pass runs in the same tick."""
        return len(self._flow.passes_at(self._flow.tick(block, stage))) > 1

    def _on_group(self, alone: float, block: int, group: tuple[int, ...]) -> float:
        degree, method = len(group), self._flow.placement.method
        if degree == 1:
            return alone
        for measured in self._profile.parallel if self._profile else ():
            if (measured.method, measured.degree) == (method, degree):
                return alone * measured.share
        link = _widest_gap(self._problem, group)
        spec = self._spec
        tokens = spec.tokens_per_frame * spec.block_frames(block)
        numbers = tokens * spec.dim * spec.activation_bytes_per_number * (degree - 1) / degree
        if method == "ulysses":
            each = ULYSSES_COLLECTIVES * (_collective_us(link) + numbers / degree / (link.bandwidth_gbps * 1000))
        else:
            each = TENSOR_COLLECTIVES * (_collective_us(link) + 2 * numbers / (link.bandwidth_gbps * 1000))
        return alone * (SERIAL_SHARE + (1 - SERIAL_SHARE) / degree) + spec.layers * each

    # -- gangs -----------------------------------------------------------------------------------

    def _tick_key(self, tick: int) -> object:
        if tick not in self._tick_keys:
            shares = self._flow.shares(tick)
            self._tick_keys[tick] = tuple(tuple(self._pass_key(item) for item in share) for share in shares)
        return self._tick_keys[tick]

    def _tick_us(self, tick: int) -> float:
        """The slowest share, and what a gang costs: K/V of all blocks in flight goes round in every layer."""
        flow, spec = self._flow, self._spec
        shares, units = flow.shares(tick), flow.layout.units
        slowest = max(self._batch_us(share, units[unit]) for unit, share in enumerate(shares))
        in_flight = sum(len(share) for share in shares)
        if in_flight < 2:
            return slowest
        overhead = self._profile.tick_overhead_us if self._profile else 0
        if flow.layout.denoising == 1:
            return slowest + overhead
        members = tuple(rank for unit in range(flow.layout.denoising) for rank in units[unit])
        link = _widest_gap(self._problem, members)
        least = min(len(share) for share in shares)
        layer_bytes = (
            (in_flight - least)
            * self._problem.kv_sent_bytes(spec.frames_per_block)
            / spec.layers
            / flow.placement.degree
        )
        return slowest + overhead + spec.layers * (_collective_us(link) + layer_bytes / (link.bandwidth_gbps * 1000))

    def _recache_us(self, block: int, group: tuple[int, ...]) -> float:
        given = self._given("recache_us")
        if given:
            return given
        frames = sum(self._spec.block_frames(earlier) for earlier in self._spec.context_blocks(block))
        device = min((self._devices[rank] for rank in group), key=lambda d: d.peak_tflops)
        flops = self._spec.forward_flops(frames, frames)
        return self._on_group(LAUNCH_US + flops / (device.peak_tflops * 1e6 * PASS_EFFICIENCY), block, group)

    def _given(self, name: str) -> int | None:
        return getattr(self._profile, name) if self._profile else None


def at(table: tuple[Timing, ...], context: int) -> float:
    """A table's duration for a context: an entry, or the line through the two around it or the last two before it."""
    known = points(table)
    if len(known) == 1:
        return float(known[0][1])
    after = next((place for place, (x, _) in enumerate(known) if x >= context), len(known) - 1)
    (x0, y0), (x1, y1) = known[max(0, after - 1)], known[max(1, after)]
    return max(1.0, y0 + (y1 - y0) * (context - x0) / (x1 - x0))


def _roofline_us(spec: ModelSpec, block: int, read: int, device: Device) -> float:
    frames = spec.block_frames(block)
    compute = spec.forward_flops(frames, frames + read * spec.frames_per_block)
    moved = spec.weight_bytes + (read * spec.frames_per_block + frames) * spec.kv_bytes_per_frame
    return LAUNCH_US + max(compute / (device.peak_tflops * 1e6 * PASS_EFFICIENCY), moved / (device.memory_gbps * 1e3))


def _flight_us(problem: Problem, flow: Flow) -> int:
    """What an action costs on top where several blocks are in flight and no gang says what its tick costs."""
    pattern, profile = flow.pattern, problem.profile
    alone = pattern.offset >= problem.model.passes or pattern.is_joint
    return 0 if profile is None or alone else profile.flight_overhead_us


def _teams(problem: Problem, flow: Flow) -> list[object]:
    """For each rank what its actions' durations depend on: the devices of its group, and whether they share a node."""
    devices, node_of = problem.cluster.devices, problem.cluster.node_of
    kinds = {device: kind for kind, device in enumerate(dict.fromkeys(devices))}
    teams: list[object] = [kinds[device] for device in devices]
    for ranks in flow.layout.units:
        if len(ranks) > 1:
            team = tuple(kinds[devices[rank]] for rank in ranks), len({node_of[rank] for rank in ranks}) > 1
            for rank in ranks:
                teams[rank] = team
    return teams


def _share(shares: Sequence[float], at: int) -> float:
    return shares[min(at, len(shares) - 1)] if shares else 1.0


def _collective_us(link: Link) -> float:
    return link.collective_us + link.latency_us


def _widest_gap(problem: Problem, ranks: Sequence[int]) -> Link:
    """The slowest link among ranks that work together."""
    cluster, profile = problem.cluster, problem.profile
    nodes = {cluster.node_of[rank] for rank in ranks}
    if len(nodes) > 1 and cluster.network is not None:
        return cluster.network
    if profile is None:
        return cluster.link
    measured = {"latency_us": profile.link_latency_us, "bandwidth_gbps": profile.link_bandwidth_gbps}
    return cluster.link.model_copy(update=measured)


def _slices(problem: Problem, flow: Flow) -> tuple[float, ...]:
    """The share of the layers that each unit of a ring holds."""
    held = layers_held(problem.model, problem.cluster.devices, flow.layout)
    return tuple(len(layers) / problem.model.layers for layers in held)
