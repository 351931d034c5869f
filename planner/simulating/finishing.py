"""Which gangs finish a block: those whose ends `planner.rows.finished_us` takes for its end."""

from __future__ import annotations

from planner.action import Action, Kind
from planner.calibrating.script import Script


def finishers(script: Script) -> tuple[frozenset[Action], ...]:
    """By block: its decode's last part, or where nothing is decoded its last denoise step, through the last slice."""
    found: dict[int, tuple[tuple[int, int], set[Action]]] = {}
    for gang, places in script.gangs.items():
        for place in places:
            for block, rank in _ends(script, script.action(place)):
                best, gangs = found.get(block, (rank, set()))
                if rank >= best:
                    found[block] = rank, ({*gangs, gang} if rank == best else {gang})
    return tuple(frozenset(found[block][1]) if block in found else frozenset() for block in range(script.flow.blocks))


def _ends(script: Script, action: Action) -> list[tuple[int, tuple[int, int]]]:
    """Blocks, and how far this action gets each: the furthest of a clip finishes it."""
    if action.kind is Kind.DECODE:
        return [(action.block, (action.step or 0, 0))]
    if script.flow.decodes:
        return []
    slice_ = action.step or 0 if action.kind is Kind.SLICE else 0
    return [(block, (step, slice_)) for block, step in action.passes if step is not None]
