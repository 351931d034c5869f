"""A run in the terms of a replay: its own durations, its order on the lanes, and what began later than it could."""

from __future__ import annotations

from typing import NamedTuple

from planner.calibrating.losses import Medians, medians, planned_as
from planner.calibrating.observed import Run, observe
from planner.calibrating.replay import NO_DELAYS, Assumed, Played, play
from planner.calibrating.script import Script, script
from planner.errors import InfeasibleError, MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows
from planner.streams.unroll import unroll
from planner.trace import Trace


class Followed(NamedTuple):
    """`assumed`, played, gives the run back as far as a replay can: `rows` is what comes of it.

    `typical`: the medians of its durations; nothing in it varies where a plan stands for a run.
    """

    script: Script
    assumed: Assumed
    rows: Rows
    typical: Medians

    def played(self, assumed: Assumed) -> Played:
        """The same programs with other figures."""
        return play(self.script, assumed)


def follow(problem: Problem, plan: Plan, trace: Trace) -> Followed:
    """A run of the plan. Raises MismatchError for a trace of another plan, or one that is not whole or not in order."""
    trace.require(plan)
    lines = script(plan, problem)
    planned = planned_as(lines, unroll(plan))
    run = observe(lines, trace, planned)
    typical = medians(lines, [run])
    own = Assumed(_lasts(lines, run, typical, planned), run.wires, run.after, run.posts)
    try:
        found = play(lines, own, run.facts)
    except InfeasibleError as error:
        raise MismatchError(f"trace: its times contradict the plan's order ({error}); run it again") from error
    return Followed(lines, own._replace(delays=found.delays), found.rows, typical)


def foretold(problem: Problem, plan: Plan) -> Followed:
    """The plan's own forecast, idle time that a run need not keep left out."""
    lines = script(plan, problem)
    planned = planned_as(lines, unroll(plan))
    of_kind = {lines.key(place): us for place, us in planned.lasts.items()}
    on_rank = {(lines.key(place), place[0]): us for place, us in planned.lasts.items()}
    return Followed(lines, planned, play(lines, planned).rows, Medians(of_kind, on_rank))


def undelayed(assumed: Assumed) -> Assumed:
    """The same, with everything as soon as it is ready."""
    return assumed._replace(delays=NO_DELAYS)


def _lasts(lines: Script, run: Run, typical: Medians, planned: Assumed) -> dict[tuple[int, int], int]:
    """Own durations; a live reader that was held up shows none, so its kind's median stands for it."""
    return {
        place: min(us, typical.of_kind.get(lines.key(place), planned.lasts[place])) if place in run.held else us
        for place, us in run.lasted.items()
    }
