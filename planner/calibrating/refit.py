"""A profile fitted to measured runs of a plan, so that the cost model foretells what was seen.

Each figure is fitted once those it builds on are: first passes alone, then what a group, a batch and a joint tick
make of them. A figure with which the model already foretells its actions to the microsecond stays as it is, and so
does one that no run tells of; what a table has for contexts that no run had keeps its proportion to those it had.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.calibrating.fit_batches import batches, ticks
from planner.calibrating.fit_passes import overhead, parallel, tables
from planner.calibrating.fit_side import decodes, side_work
from planner.calibrating.foretold import Model, Seen
from planner.calibrating.script import Script
from planner.profile import Profile

STEPS = (tables, overhead, parallel, batches, ticks, decodes, side_work)


def refit(script: Script, base: Profile, seen: Sequence[Seen]) -> Profile:
    """The profile `base` with all in it that was seen of compute actions."""
    profile = base
    if base.flight_overhead_us and not Model(script, base).explains(seen):
        # What was seen of passes has it inside.
        profile = base.model_copy(update={"flight_overhead_us": 0})
    for step in STEPS:
        profile = step(Model(script, profile), seen)
    return profile
