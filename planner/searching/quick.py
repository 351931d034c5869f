"""Bounds that cost next to nothing: what a case can reach at best, told before its tasks are laid out."""

from __future__ import annotations

import math

from planner.action import Action, Kind
from planner.cost import Costs
from planner.metrics import US_PER_HOUR
from planner.plan import Objective


def at_best(costs: Costs, objective: Objective) -> float:
    """A lower bound of the objective over all schedules of the case; 0 where nothing is known so cheaply.

    Pass (b, 0) starts after pass (b - 1, offset - 1) has ended, whatever the exchange, so each block adds at least its
    first `offset` passes; and the units share all the work.
    """
    last = costs.flow.blocks - 1
    if objective == "makespan":
        return max(_chain(costs), _area(costs), _decoder(costs))
    if objective == "first-frame":
        return _latency(costs, 0)
    if objective == "control":
        return _latency(costs, last) if _chained(costs, last) else 0.0
    if objective == "money":
        return _money(costs)
    # A clip's mean period can be made as short as one likes by holding its first block back.
    return _devices(costs) if objective == "devices" else 0.0


def least_period(costs: Costs) -> float:
    """A lower bound of the period of the endless stream: of a settled block the chain, the share of work, each decode.

    The clip has to be longer than it takes to settle.
    """
    block = _settled(costs)
    flow = costs.flow
    decodes = [_part_us(costs, block, part) for part in range(flow.parts)] if flow.decodes else []
    alone = flow.placement.passes in ("batched", "ring") or flow.pattern.is_joint
    share = 0.0 if alone else _work_us(costs, block) / flow.layout.denoising
    return max([_span_us(costs, block), share, *decodes])


def _devices(costs: Costs) -> int:
    """The fewest ranks that a placement can set to work: one group, and each part of a decoder apart."""
    layout = costs.flow.layout
    gang = costs.flow.pattern.is_joint or costs.flow.placement.passes == "ring"
    return len(layout.units[0]) * (layout.denoising if gang else 1) + len(layout.decoding)


def _chained(costs: Costs, block: int) -> bool:
    """Whether a block reads the one before, so that it cannot begin at will."""
    return block > 0 and block - 1 in costs.spec.context_blocks(block)


def _latency(costs: Costs, block: int) -> int:
    """The least time from a block's first pass until it is finished."""
    steps = range(costs.spec.block_steps(block))
    return sum(_stage_us(costs, block, stage) for stage in steps) + _decode_us(costs, block)


def _chain(costs: Costs) -> int:
    flow = costs.flow
    last, settled = flow.blocks - 1, _settled(costs)
    if not _chained(costs, last):
        return _latency(costs, last)
    early = sum(_span_us(costs, block) for block in range(min(last, settled)))
    later = (last - settled) * _span_us(costs, settled) if last > settled else 0
    return early + later + _latency(costs, last) - _skipped(costs)


def _skipped(costs: Costs) -> int:
    """Clean passes that the next block does not wait for, as its context is made anew at a prompt switch."""
    flow = costs.flow
    anew = sum(switch.recache for switch in costs.problem.workload.switches)
    if not anew or flow.pattern.name != "sequential" or not costs.spec.clean_pass:
        return 0
    block = min(flow.blocks - 2, _settled(costs))
    return anew * _stage_us(costs, block, flow.stages(block)[-1])


def _settled(costs: Costs) -> int:
    """From this block on all blocks but the last are alike."""
    return costs.spec.window // costs.spec.frames_per_block + costs.spec.passes + 1


def _span_us(costs: Costs, block: int) -> int:
    """How much later the next block starts at least."""
    flow = costs.flow
    if flow.recomputes:
        # The next block's context is made from this one's pixels.
        return _again_us(costs, block + 1) + _latency(costs, block)
    if flow.placement.passes == "ring":
        return costs.compute_us(Action(Kind.SLICE, block, 0, batch=flow.wave(block)), flow.layout.units[0][0])
    return sum(_stage_us(costs, block, stage) for stage in range(min(flow.pattern.offset, len(flow.stages(block)))))


def _again_us(costs: Costs, block: int) -> int:
    """Encoding the block before again, and the context of this one from that."""
    flow = costs.flow
    apart = flow.placement.decoder == "apart"
    coders = flow.layout.decoding if apart else range(flow.layout.denoising)
    encode = min(costs.compute_us(Action(Kind.ENCODE, block - 1), flow.layout.units[unit][0]) for unit in coders)
    units = range(flow.layout.denoising)
    return encode + min(costs.compute_us(Action(Kind.RECACHE, block), flow.layout.units[unit][0]) for unit in units)


def _area(costs: Costs) -> float:
    """The work of all blocks shared by the units, where passes do not run in gangs or batches."""
    flow = costs.flow
    if flow.placement.passes in ("batched", "ring") or flow.pattern.is_joint:
        return 0.0
    return _total_us(costs) / flow.layout.denoising


def _decoder(costs: Costs) -> int:
    """The first block's passes, then the slowest part of every decode, as each needs the state the last one left."""
    flow = costs.flow
    if not flow.decodes:
        return 0
    first = sum(_stage_us(costs, 0, stage) for stage in range(costs.spec.block_steps(0)))
    slowest = max(range(flow.parts), key=lambda part: _part_us(costs, 1, part))
    begun = sum(_part_us(costs, 0, part) for part in range(slowest + 1))
    ended = sum(_part_us(costs, flow.blocks - 1, part) for part in range(slowest + 1, flow.parts))
    return first + begun + (flow.blocks - 1) * _part_us(costs, 1, slowest) + ended


def _work_us(costs: Costs, block: int) -> int:
    passes = sum(_stage_us(costs, block, stage) for stage in costs.flow.stages(block))
    return passes + (_decode_us(costs, block) if costs.flow.placement.decoder == "shared" else 0)


def _money(costs: Costs) -> float:
    """Devices are paid for the whole clip: at least those that no schedule can leave idle, for the least makespan; and
    each pass costs at least what it costs on the cheapest unit.
    """
    flow, devices = costs.flow, costs.problem.cluster.devices
    # Exact sums: a plan's own money is the same ones in another order.
    per_us = [math.fsum(devices[rank].price_per_hour for rank in unit) for unit in flow.layout.units]
    denoising, decoding = per_us[: flow.layout.denoising], per_us[flow.layout.denoising :]
    least = at_best(costs, "makespan")
    if flow.placement.passes == "ring" or flow.pattern.is_joint:
        every = (rank for unit in flow.layout.units for rank in unit)
        return math.fsum(devices[rank].price_per_hour for rank in every) * least / US_PER_HOUR
    paid = math.fsum((min(denoising), *decoding)) * least
    # A decode keeps only one rank of a group busy.
    alone = min(devices[rank].price_per_hour for unit in flow.layout.units for rank in unit)
    decodes = 0 if decoding else sum(_decode_us(costs, block) for block in (0, 1) if block < flow.blocks)
    decodes += 0 if decoding else max(0, flow.blocks - 2) * _decode_us(costs, 1)
    return max(paid, min(denoising) * (_total_us(costs) - decodes) + alone * decodes) / US_PER_HOUR


def _total_us(costs: Costs) -> int:
    """All work of the units that denoise, where passes do not run in batches."""
    flow = costs.flow
    if flow.placement.passes == "batched":
        return 0
    last, settled = flow.blocks - 1, _settled(costs)
    total = sum(_work_us(costs, block) for block in range(min(last, settled)))
    total += (last - settled) * _work_us(costs, settled) if last > settled else 0
    return total + _work_us(costs, last)


def _stage_us(costs: Costs, block: int, stage: int) -> int:
    """The least that a pass takes from its start to its end, on the fastest unit that may run it."""
    flow = costs.flow
    leaders = [flow.layout.units[unit][0] for unit in range(flow.layout.denoising)]
    if flow.pattern.is_joint:
        return costs.compute_us(Action(Kind.TICK, flow.tick(block, stage)), leaders[0])
    if flow.placement.passes == "batched":
        tick, unit = flow.tick(block, stage), flow.unit_of(block, stage)
        return costs.compute_us(Action(Kind.BATCH, tick, unit, batch=flow.shares(tick)[unit]), leaders[unit])
    if flow.placement.passes == "ring":
        wave = block + stage * flow.layout.denoising
        batch = flow.wave(wave)
        return sum(
            costs.compute_us(Action(Kind.SLICE, wave, unit, batch=batch), rank) for unit, rank in enumerate(leaders)
        )
    step = flow.as_pass(block, stage)[1]
    action = Action(Kind.COMMIT if step is None else Kind.DENOISE, block, step)
    return min(costs.compute_us(action, rank) for rank in leaders)


def _decode_us(costs: Costs, block: int) -> int:
    """The least that all parts of a block's decode take."""
    return sum(_part_us(costs, block, part) for part in range(costs.flow.parts)) if costs.flow.decodes else 0


def _part_us(costs: Costs, block: int, part: int) -> int:
    flow = costs.flow
    apart = flow.placement.decoder == "apart"
    units = (flow.layout.denoising + part,) if apart else range(flow.layout.denoising)
    action = Action(Kind.DECODE, block, part if flow.parts > 1 else None)
    return min(costs.compute_us(action, flow.layout.units[unit][0]) for unit in units)
