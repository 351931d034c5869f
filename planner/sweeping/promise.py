"""How promising a pattern on a placement is, from the times of its passes alone: nothing is laid out."""

from __future__ import annotations

from typing import NamedTuple

from planner.errors import InputError
from planner.memory import least_bytes
from planner.patterns import Pattern
from planner.placement import Placement, require_fit
from planner.searching.case import price
from planner.searching.quick import at_best, least_period
from planner.sweeping.basis import Basis
from planner.sweeping.stream_clip import stream_problem
from planner.sweeping.times import Times, decodes


class Candidate(NamedTuple):
    """A pattern on a placement that uses exactly `ranks` devices, and what to hope of it, microseconds: bounds where
    each pass is a task of its own, estimates where passes run in gangs and batches.
    """

    pattern: Pattern
    placement: Placement
    ranks: int
    period_us: float
    first_frame_us: float
    control_us: float
    refused: str = ""

    def makespan_us(self, blocks: int) -> float:
        """What a clip of so many blocks would take if all of them were as quick as they can be."""
        return self.first_frame_us + (blocks - 1) * self.period_us


def judged(basis: Basis, pattern: Pattern, placement: Placement, ranks: int) -> Candidate:
    """The candidate of a pattern on a placement of so many devices, or why there is none as `refused`."""
    try:
        require_fit(placement, pattern, basis.spec)
        if "recompute" in pattern.name or placement.passes == "ring":
            return _by_costs(basis, pattern, placement, ranks)
        return _by_times(basis, pattern, placement, ranks)
    except InputError as error:
        return Candidate(pattern, placement, ranks, 0, 0, 0, str(error))


def _by_times(basis: Basis, pattern: Pattern, placement: Placement, ranks: int) -> Candidate:
    times = _times(basis, placement)
    first_decode, decode = _decodes(basis, placement.parts)
    apart = placement.parts if placement.decoder == "apart" else 0
    units = (ranks - apart) // placement.degree
    if units < 1:
        raise InputError(f"placement: {placement} needs at least {apart + placement.degree} ranks, not {ranks}")
    if pattern.is_joint or placement.passes == "batched":
        each = _gathering_us(basis, pattern, placement, units) if pattern.is_joint and units > 1 else 0.0
        ticks = [us + each for us in _ticks(times, pattern, placement, units)]
        # A gang waits while one of its ranks decodes.
        period = sum(ticks) + (0 if apart else sum(decode) / (1 if pattern.is_joint else units))
        control = sum(ticks) * times.steps[1] / pattern.offset
    else:
        work = sum(times.settled) + (0 if apart else sum(decode))
        period = max(sum(times.settled[: pattern.offset]), work / units)
        control = float(sum(times.settled[: times.steps[1]]))
    period = max(period, *decode, 1.0)
    first = sum(times.first[: times.steps[0]]) + sum(first_decode)
    # A change that just misses a block waits for the next one.
    control += period + sum(decode)
    return Candidate(pattern, placement, ranks, period, first, control, times.refused)


def _gathering_us(basis: Basis, pattern: Pattern, placement: Placement, units: int) -> float:
    """What it takes a gang to hand round the K/V of its blocks in flight, layer by layer."""
    spec, problem = basis.spec, basis.problem(units * placement.degree)
    cluster, profile = problem.cluster, problem.profile
    link = cluster.network if cluster.network is not None and len(cluster.nodes) > 1 else cluster.link
    latency, gbps = link.latency_us, link.bandwidth_gbps
    if profile is not None and link is cluster.link:
        latency, gbps = profile.link_latency_us, profile.link_bandwidth_gbps
    in_flight = spec.passes / pattern.offset
    away = max(0.0, in_flight - in_flight // units) * problem.kv_sent_bytes(spec.frames_per_block) / placement.degree
    return spec.layers * (link.collective_us + latency) + away / (gbps * 1000)


def _ticks(times: Times, pattern: Pattern, placement: Placement, units: int) -> list[float]:
    """What the ticks of one block take: each runs one pass of every block in flight, shared by the units."""
    found = []
    for residue in range(pattern.offset):
        stages = range(residue, len(times.settled), pattern.offset)
        passes = [
            times.settled[stage] + (stage // pattern.offset if pattern.is_joint else 0) * times.newer_us
            for stage in stages
        ]
        if placement.passes == "step":
            load = [0.0] * units
            for stage, us in zip(stages, passes, strict=True):
                load[stage % units] += us
            found.append(max(load))
        else:
            found.append(max([sum(passes) / units, *passes, -(-len(passes) // units) * min(passes, default=0)]))
    return found


def _times(basis: Basis, placement: Placement) -> Times:
    key = "times", placement.method, placement.degree
    if key not in basis.known:
        try:
            basis.known[key] = Times.of(basis.problem(placement.degree), placement)
        except InputError as error:
            basis.known[key] = error
    found = basis.known[key]
    if isinstance(found, InputError):
        raise found
    assert isinstance(found, Times)
    return found


def _decodes(basis: Basis, parts: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    key = "decodes", parts
    if key not in basis.known:
        basis.known[key] = decodes(basis.problem(1), parts)
    found: tuple[tuple[float, ...], tuple[float, ...]] = basis.known[key]
    return found


def _by_costs(basis: Basis, pattern: Pattern, placement: Placement, ranks: int) -> Candidate:
    priced = price(stream_problem(basis.problem(ranks), pattern), pattern, placement)
    first, period = at_best(priced, "first-frame"), least_period(priced)
    return Candidate(pattern, placement, ranks, period, first, at_best(priced, "control") + period, least_bytes(priced))
