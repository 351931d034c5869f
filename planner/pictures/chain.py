"""What a timeline's length hangs on: by the problem's own dependencies where they are known, else by the rows alone."""

from __future__ import annotations

from collections.abc import Sequence

from planner.action import TimedAction
from planner.calibrating.script import Place
from planner.comparing.path import path_places
from planner.errors import InfeasibleError, InputError, MismatchError
from planner.pictures.critical import critical_chain
from planner.plan import Plan
from planner.problem import Problem
from planner.replaying.followed import follow, foretold
from planner.rows import Rows
from planner.trace import Trace

MOST_ACTIONS = 20_000  # a second or so to be replayed; of more only the rows are looked at


def chain_of(rows: Rows, plan: Plan, problem: Problem | None, trace: Trace | None = None) -> tuple[Place, ...]:
    """The places in `rows` of the chain, first to last: those of the trace, or of the plan written out.

    Without a problem, or of a run that is not whole, it is read off the rows.
    """
    if problem is None or sum(map(len, rows)) > MOST_ACTIONS:
        return critical_chain(rows)
    try:
        run = foretold(problem, plan) if trace is None else follow(problem, plan, trace)
    except (InputError, InfeasibleError, MismatchError):
        return critical_chain(rows)
    shown = [_places(program) for program in rows]
    found = ((rank, shown[rank].get(run.script.programs[rank][index])) for rank, index in path_places(run))
    return tuple((rank, index) for rank, index in found if index is not None)


def _places(program: Sequence[TimedAction]) -> dict[object, int]:
    """A run's rows are in the order in which they happened, which need not be the program's."""
    return {row.action: index for index, row in enumerate(program)}
