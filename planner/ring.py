"""Which layers of the model each unit of a ring holds."""

from __future__ import annotations

from collections.abc import Sequence

from models.spec import ModelSpec
from planner.cluster import Device
from planner.errors import InputError
from planner.placement import Layout


def layers_held(spec: ModelSpec, devices: Sequence[Device], layout: Layout) -> tuple[range, ...]:
    """Whole layers for each denoising unit, in order, by the units' speed; at least one each.

    Raises InputError if there are more units than layers.
    """
    layers, units = spec.layers, layout.denoising
    if units > layers:
        raise InputError(f"placement: a ring of {units} units needs {units} layers, {spec.name} has {layers}")
    rates = [devices[layout.units[unit][0]].peak_tflops for unit in range(units)]
    edges = [round(layers * sum(rates[: unit + 1]) / sum(rates)) for unit in range(units)]
    held = [b - a for a, b in zip((0, *edges[:-1]), edges, strict=True)]
    for empty in [unit for unit in range(units) if held[unit] < 1]:
        held[held.index(max(held))] -= 1
        held[empty] += 1
    return tuple(range(sum(held[:unit]), sum(held[: unit + 1])) for unit in range(units))
