"""How much memory a program needs on its rank, at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from planner.action import COMING, Action, Carried, Kind, Payload
from planner.cost import Costs
from planner.flow import Flow


def slots_needed(program: Iterable[Action], flow: Flow, before: Iterable[Payload] = ()) -> int:
    """The most K/V versions that a rank holds at once, own and received, if it walks the program in order.

    `before`: payloads that are there when it begins.
    """
    held = most = sum(slots_of(payload, flow) for payload in before)
    for change, payload in _changes(program, flow):
        held += change * slots_of(payload, flow)
        most = max(most, held)
    return most


def slots_of(payload: Payload, flow: Flow) -> int:
    """How many slots of K/V a payload takes: one a block."""
    if payload.carries == "context":
        return len(flow.spec.context_blocks(payload.block))
    return int(payload.carries == "kv")


def peak_bytes(program: Sequence[Action], costs: Costs) -> int:
    """Weights, working memory and payloads of a rank at their joint peak."""
    held = most = 0
    for change, payload in _changes(program, costs.flow):
        held += change * costs.payload_bytes(payload)
        most = max(most, held)
    return costs.resident_bytes(program) + most


def kept_bytes(program: Sequence[Action], costs: Costs) -> dict[Carried, int]:
    """The most that each kind of payload takes on a rank, each at its own peak."""
    held: dict[Carried, int] = {}
    most: dict[Carried, int] = {}
    for change, payload in _changes(program, costs.flow):
        now = held.get(payload.carries, 0) + change * costs.payload_bytes(payload)
        held[payload.carries] = now
        most[payload.carries] = max(most.get(payload.carries, 0), now)
    return most


def least_bytes(costs: Costs) -> str:
    """Why no schedule of a case can fit in memory, with the numbers; empty if this bound rules nothing out.

    Some denoising rank holds the weights and all that the pass with the longest context reads and makes.
    """
    flow, spec = costs.flow, costs.spec
    block = min(flow.blocks - 1, spec.window // spec.frames_per_block)
    action = Action(Kind.DENOISE, block, spec.block_steps(block) - 1)
    if flow.placement.passes in ("batched", "ring") or flow.pattern.is_joint:
        return ""
    weights = costs.resident_bytes([action])
    kv = sum(costs.payload_bytes(payload) for payload in (*flow.needs(action), *flow.makes(action)))
    ranks = [rank for unit in range(flow.layout.denoising) for rank in flow.layout.units[unit]]
    device = max((costs.problem.cluster.devices[rank] for rank in ranks), key=lambda d: d.memory_bytes)
    if weights + kv <= device.memory_bytes:
        return ""
    return (
        f"memory: weights and working memory {weights / 1e9:.1f} GB + K/V of one pass {kv / 1e9:.1f} GB > "
        f"{device.memory_bytes / 1e9:.1f} GB of {device.kind}"
    )


def _changes(program: Iterable[Action], flow: Flow) -> Iterator[tuple[int, Payload]]:
    """+1 with each payload that comes to the rank, -1 with each that it gives up."""
    for action in program:
        if action.is_compute:
            yield from ((1, payload) for payload in flow.makes(action))
        elif action.kind in COMING:
            yield 1, action.payload
        elif action.kind is Kind.FREE:
            yield -1, action.payload
