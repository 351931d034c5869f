"""How long each action takes, how payloads travel and how much memory they need: the one cost model.

Durations come from a measured profile, or from a roofline over data sheets. All are whole microseconds, at least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from planner.action import Action, Kind, Payload
from planner.errors import InputError
from planner.flow import Flow
from planner.instance import Wire
from planner.passes import Passes
from planner.placement import group_fault
from planner.problem import Problem

# Pixels travel as 8-bit red, green and blue.
BYTES_PER_PIXEL = 3


class Costs:
    """Durations and sizes of one flow on the problem's devices."""

    def __init__(self, problem: Problem, flow: Flow) -> None:
        _require_profile_fits(problem)
        self.problem, self.flow, self.spec = problem, flow, problem.model
        self.passes = Passes(problem, flow)
        self.post_us = problem.profile.post_us if problem.profile else 0
        self._durations: dict[object, int] = {}
        self._wires: dict[tuple[int, int], Wire] = {}
        self._sizes: dict[Payload, int] = {}
        self._unit_of = {rank: unit for unit, ranks in enumerate(flow.layout.units) for rank in ranks}

    # -- time ------------------------------------------------------------------------------------

    def compute_us(self, action: Action, rank: int) -> int:
        """How long a compute action takes on a rank, or on the group of ranks that it belongs to."""
        key = self.passes.key(action, rank)
        known = self._durations.get(key)
        if known is None:
            known = self._durations[key] = max(1, math.ceil(self.passes.action_us(action, self._group(rank))))
        return known

    def layer_us(self, action: Action, rank: int) -> int:
        """How long one layer of a pass takes."""
        return -(-self.compute_us(action, rank) // self.spec.layers)

    def _group(self, rank: int) -> tuple[int, ...]:
        """The ranks that run a pass together with this one; a rank that no unit has stands alone."""
        return self.flow.layout.units[self._unit_of[rank]] if rank in self._unit_of else (rank,)

    # -- transfers -------------------------------------------------------------------------------

    def wire(self, source: int, target: int) -> Wire:
        """The way from one rank to another, with the lanes it shares with other ways."""
        if (source, target) not in self._wires:
            self._wires[source, target] = self._find_wire(source, target)
        return self._wires[source, target]

    def transfer_us(self, payload: Payload, source: int, target: int) -> int:
        return self.wire(source, target).transfer_us(self.sent_bytes(payload))

    def stream_layer_us(self, payload: Payload, source: int, target: int) -> int:
        """How long one layer's share of a payload is on its way."""
        return self.wire(source, target).transfer_us(-(-self.sent_bytes(payload) // self.spec.layers))

    def sent_bytes(self, payload: Payload) -> int:
        """Bytes of a payload that a transfer from one rank moves; packed K/V is less than what holding it takes."""
        if self.problem.kv_transfer == "full" or payload.carries not in ("kv", "context"):
            return self.payload_bytes(payload)
        return self._of_kv(payload, self.problem.kv_sent_bytes)

    def _find_wire(self, source: int, target: int) -> Wire:
        cluster, profile = self.problem.cluster, self.problem.profile
        node = cluster.node_of
        link, ends, size = cluster.link, (source, target), cluster.size
        if node[source] != node[target]:
            assert cluster.network is not None, "a cluster of several nodes has a network"
            link = cluster.network
            if link.sharing != "pair":
                ends = size + node[source], size + node[target]
        latency, gbps, sharing = link.latency_us, link.bandwidth_gbps, link.sharing
        if profile is not None and node[source] == node[target]:
            latency, gbps, sharing = profile.link_latency_us, profile.link_bandwidth_gbps, profile.link_sharing
        # One gigabyte per second is a thousand bytes per microsecond.
        inside = node[source] if node[source] == node[target] else max(node) + 1
        return Wire(latency, gbps * 1000, _lanes(sharing, *ends, size + max(node) + 1, inside))

    # -- memory ----------------------------------------------------------------------------------

    def payload_bytes(self, payload: Payload) -> int:
        """Bytes of a payload on one rank: all that holding it takes."""
        known = self._sizes.get(payload)
        if known is None:
            known = self._sizes[payload] = self._size(payload)
        return known

    def _size(self, payload: Payload) -> int:
        spec, flow = self.spec, self.flow
        carries, block = payload.carries, payload.block
        if carries in ("kv", "context"):
            return self._of_kv(payload, lambda frames: frames * spec.kv_bytes_per_frame)
        if carries == "pixels":
            return spec.pixel_frames(block) * spec.pixel_height * spec.pixel_width * BYTES_PER_PIXEL
        if carries == "features":
            return self.passes.decoder.handed_on[payload.step or 0]
        if carries == "hidden":
            passes = len(flow.wave(block))
            return passes * spec.tokens_per_block * spec.dim * spec.activation_bytes_per_number
        if carries == "text":
            return spec.text_length * spec.text_dim * spec.activation_bytes_per_number
        return spec.latent_bytes_per_frame * spec.block_frames(block)

    def _of_kv(self, payload: Payload, bytes_of: Callable[[int], int]) -> int:
        """Bytes of one rank's share of the K/V in a payload, which is one piece of as many as `bytes_of` its frames."""
        spec, flow, block = self.spec, self.flow, payload.block
        blocks = (block,) if payload.carries == "kv" else spec.context_blocks(block)
        split = flow.layout.denoising if flow.placement.passes == "ring" else flow.placement.degree
        return -(-bytes_of(sum(spec.block_frames(each) for each in blocks)) // split)

    def resident_bytes(self, actions: Iterable[Action]) -> int:
        """Memory a rank needs before it holds any payload: weights and the working memory of one action.

        Which models it holds follows from the kinds of action its program runs.
        """
        spec, flow = self.spec, self.flow
        kinds: set[Kind] = set()
        most = 1
        for action in actions:
            kinds.add(action.kind)
            most = max(most, len(action.batch))
        total = 0
        if kinds & {Kind.DENOISE, Kind.COMMIT, Kind.TICK, Kind.BATCH, Kind.SLICE, Kind.RECACHE}:
            split = flow.placement.degree if flow.placement.method == "tensor" else 1
            if Kind.SLICE in kinds:
                split = flow.layout.denoising
            total += -(-spec.weight_bytes // split) + most * -(-spec.activation_bytes // flow.placement.degree)
        if kinds & {Kind.TICK}:
            # A layer's K/V of all blocks in flight is on every rank while that layer runs.
            in_flight = -(-spec.passes // flow.pattern.offset)
            total += -(-in_flight * spec.kv_bytes_per_block // (spec.layers * flow.placement.degree))
        if kinds & {Kind.DECODE, Kind.ENCODE}:
            decoder = self.passes.decoder
            total += decoder.resident_bytes + len(kinds & {Kind.DECODE, Kind.ENCODE}) * decoder.state_bytes
        if Kind.TEXT in kinds:
            total += spec.text_encoder_bytes
        return total


def _lanes(sharing: str, source: int, target: int, ends: int, bus: int) -> tuple[int, ...]:
    """Numbers of what a message has to itself. `ends` is how many ports there are of each kind; each node has a bus,
    and the network one more.
    """
    if sharing == "pair":
        return (3 * ends + source * ends + target,)
    return (source, ends + target) if sharing == "port" else (2 * ends + bus,)


def _require_profile_fits(problem: Problem) -> None:
    profile = problem.profile
    if profile is None:
        return
    for rank, device in enumerate(problem.cluster.devices):
        if device.kind != profile.device:
            raise InputError(f"profile: measured on {profile.device!r}, but rank {rank} is {device.kind!r}")


def costs(problem: Problem, flow: Flow) -> Costs:
    """The costs of a flow. Raises InputError if the profile was measured on another kind of device than there is,
    or if a pass cannot be split over the placement's groups.
    """
    placement = flow.placement
    if placement.degree > 1:
        fault = group_fault(problem.model, placement.method, placement.degree)
        if fault:
            raise InputError(f"placement: {placement}: {fault}")
    return Costs(problem, flow)
