"""Tasks that could change places: a search need only look at one order of them."""

from __future__ import annotations

from collections import defaultdict

from planner.bounds.candidates import leaders
from planner.instance import ANY, Instance
from planner.schedulers.pools import chained

NEAREST = 16  # how many tasks before one are looked at


def twins(instance: Instance) -> list[int]:
    """For each task another one that may be taken to start no later, as the two could change places; or ANY.

    They take as long everywhere; whatever the one waits for the other waits for, and whatever waits for the other
    waits for the one. Nothing travels, and neither is bound to others by a chain, a gang or live inputs.
    """
    found = [ANY] * instance.size
    if instance.wires is not None or instance.live:
        return found
    before, after = _ancestors(instance), _descendants(instance)
    numbers = chained(instance)
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for task, lead in enumerate(leaders(instance)):
        if lead in numbers or task in instance.gangs:
            continue
        for other in reversed(alike[instance.durations[task]][-NEAREST:]):
            released = instance.release_us.get(other, 0) <= instance.release_us.get(task, 0)
            unrelated = not before[task] >> other & 1
            if unrelated and released and not before[other] & ~before[task] and not after[task] & ~after[other]:
                found[task] = other
                break
        alike[instance.durations[task]].append(task)
    return found


def _ancestors(instance: Instance) -> list[int]:
    """As bits."""
    found: list[int] = []
    for reads in instance.inputs:
        bits = 0
        for maker, _ in reads:
            bits |= found[maker] | 1 << maker
        found.append(bits)
    return found


def _descendants(instance: Instance) -> list[int]:
    found = [0] * instance.size
    for task in range(instance.size - 1, -1, -1):
        for maker, _ in instance.inputs[task]:
            found[maker] |= found[task] | 1 << task
    return found
