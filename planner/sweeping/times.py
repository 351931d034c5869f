"""What the passes and decodes of one way to split the work take: enough to rank candidates without laying them out."""

from __future__ import annotations

from typing import NamedTuple

from planner.action import Action, Kind
from planner.cost import Costs
from planner.decoder import Decoder
from planner.memory import least_bytes
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.searching.case import price
from planner.sweeping.stream_clip import stream_problem


class Times(NamedTuple):
    """Microseconds of the passes of the first block and of a settled one, and why nothing fits in memory, if so.

    `newer_us`: what reading one block more adds to a pass.
    """

    first: tuple[int, ...]
    settled: tuple[int, ...]
    newer_us: float
    steps: tuple[int, int]  # denoise steps of the first block and of a settled one
    refused: str

    @classmethod
    def of(cls, problem: Problem, placement: Placement) -> Times:
        """Of passes on groups of the placement's method and degree, on a problem of as many devices.

        Raises InputError if a pass cannot be split so.
        """
        spec = problem.model
        pattern = Pattern.sequential(spec)
        group = Placement(passes="free", method=placement.method, degree=placement.degree)
        priced = price(stream_problem(problem, pattern), pattern, group)
        first, settled = (_passes(priced, block) for block in (0, spec.window_blocks + 1))
        full = max(1, spec.window_blocks - 1)
        newer = max(0.0, (settled[spec.steps - 1] - _passes(priced, 1)[spec.steps - 1]) / max(1, full - 1))
        return cls(first, settled, newer, (spec.block_steps(0), spec.steps), least_bytes(priced))


def _passes(priced: Costs, block: int) -> tuple[int, ...]:
    found = []
    for stage in priced.flow.stages(block):
        step = priced.flow.as_pass(block, stage)[1]
        found.append(priced.compute_us(Action(Kind.COMMIT if step is None else Kind.DENOISE, block, step), 0))
    return tuple(found)


def decodes(problem: Problem, parts: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Microseconds of each part of decoding the first block and a later one; nothing where nothing is decoded.

    Raises InputError if the decoder has fewer parts.
    """
    if not problem.workload.decode:
        return (), ()
    decoder, device = Decoder.of(problem, parts), problem.cluster.devices[0]
    first, later = (tuple(decoder.part_us(block, part, device) for part in range(parts)) for block in (0, 1))
    return first, later
