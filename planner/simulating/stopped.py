"""What is told of a run that did not get to its end: why, and how far it got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planner.calibrating.script import Place, Script
from planner.conditions import Conditions, Player
from planner.errors import InfeasibleError
from planner.simulating.finishing import finishers


def undone(script: Script, spans: Mapping[Place, tuple[int, int]]) -> list[str]:
    """The first thing on each rank that never happened."""
    found = []
    for rank, program in enumerate(script.programs):
        at = next((index for index in range(len(program)) if (rank, index) not in spans), None)
        found += [] if at is None else [f"r{rank} at {program[at]}"]
    return found


def finished_blocks(script: Script, spans: Mapping[Place, tuple[int, int]]) -> int:
    """How many blocks are finished from the first on."""
    done = (all(place in spans for gang in gangs for place in script.gangs[gang]) for gangs in finishers(script))
    return next((block for block, is_done in enumerate(done) if not is_done), script.flow.blocks)


def never_finishes(stuck: Sequence[str], player: Player) -> str:
    """What to say of a plan that comes to a halt by itself, or as its viewer is too slow for it."""
    queue = player.queue_blocks
    held, fix = ("", "") if queue is None else (f" with player.queue_blocks {queue}", "; let more blocks wait")
    return f"the plan never finishes{held}: {', '.join(stuck)}{fix}"


def why(script: Script, conditions: Conditions, stuck: list[str], finished: int) -> str:
    """Who was out since when, and what was not finished. Raises InfeasibleError if nobody was out for good."""
    gone = sorted((o.rank, o.at_us) for o in conditions.outages if o.back_us is None)
    if not gone:
        raise InfeasibleError(never_finishes(stuck, conditions.player))
    ranks = ", ".join(f"r{rank} was out for good at {at_us / 1e6:.3f} s" for rank, at_us in gone)
    blocks = script.flow.blocks
    got = {0: "no block", 1: "block 0"}.get(finished, f"blocks 0..{finished - 1}")
    return f"{ranks}; finished {got} of {blocks}; stuck: {', '.join(stuck)}"
