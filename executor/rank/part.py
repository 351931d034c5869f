"""Which part of a pass's K/V a rank holds: some layers in a ring, some heads in a Ulysses group, else all."""

from __future__ import annotations

from typing import NamedTuple

from planner.flow import Flow
from planner.problem import Problem
from planner.ring import layers_held


class Part(NamedTuple):
    """Layers and heads held, and the ranks that run passes together with this one, itself among them, in order."""

    layers: range
    heads: range
    group: tuple[int, ...]


def part_of(rank: int, problem: Problem, flow: Flow) -> Part:
    """A rank's part; a rank that never denoises may hold all."""
    spec, layout = problem.model, flow.layout
    unit = next((at for at in range(layout.denoising) if rank in layout.units[at]), None)
    if unit is None:
        return Part(range(spec.layers), range(spec.heads), (rank,))
    group = layout.units[unit]
    heads = spec.heads // len(group)
    place = group.index(rank)
    layers = range(spec.layers)
    if flow.placement.passes == "ring":
        layers = layers_held(spec, problem.cluster.devices, layout)[unit]
    return Part(layers, range(place * heads, (place + 1) * heads), group)
