"""`replay()`: a run played again from its own figures, and what would have come of it had some of them been others.

The plan's order, the run's own durations, and how much later than it could each thing began, give the run back; only
then is anything changed. How far off the replay is, its drift, is told with those delays and without: without them,
it says how much of the run its durations and its order explain alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from planner.calibrating.replay import Assumed
from planner.errors import DriftError, MismatchError
from planner.metrics import metrics
from planner.plan import Plan
from planner.problem import Problem
from planner.replaying.change import Change, applied
from planner.replaying.followed import Followed, follow, undelayed
from planner.rows import Rows
from planner.trace import Trace
from planner.value import Document, Value

TOLERANCE = 0.01


class Outcome(Value):
    """What comes of one replay. `against`: its makespan against the measured one, less 1."""

    what: str
    makespan_us: int
    period_us: float
    fps: float
    against: float


class Replayed(Document):
    """A run as it was, as it is replayed, and under each change by itself; under all of them if there are several."""

    schema_name: Literal["blockcascade.replayed/1"] = "blockcascade.replayed/1"
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    kind: Literal["simulated", "measured"]
    measured: Outcome
    replayed: Outcome
    undelayed: Outcome
    changes: tuple[Change, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def drift(self) -> float:
        """Replayed over measured makespan, less 1."""
        return self.replayed.against

    @property
    def drift_undelayed(self) -> float:
        """The same with everything as soon as it is ready."""
        return self.undelayed.against


def replay(
    problem: Problem, plan: Plan, trace: Trace, changes: Sequence[Change] = (), *, tolerance: float = TOLERANCE
) -> Replayed:
    """The run replayed, then with each of the changes. Raises MismatchError for a trace of another plan, half a run or
    one that took no time, DriftError if the replay is off by more than `tolerance` (a share of the makespan),
    InputError for a change of what the plan has not.
    """
    run = follow(problem, plan, trace)
    measured = trace.makespan_us
    if not measured:
        raise MismatchError("trace: nothing in it took any time, so nothing can be told by replaying it; run it again")

    def outcome(what: str, rows: Rows) -> Outcome:
        found = metrics(problem.model, problem.cluster, rows)
        against = found.makespan_us / measured - 1
        return Outcome(
            what=what, makespan_us=found.makespan_us, period_us=found.period_us, fps=found.fps, against=against
        )

    def rows(assumed: Assumed) -> Rows:
        return run.played(assumed).rows

    again = outcome("replayed", rows(run.assumed))
    _require_close(again, measured, tolerance)
    asked = [*changes, *([Change.merged(tuple(changes))] if len(changes) > 1 else [])]
    return Replayed(
        plan_digest=plan.digest,
        kind=trace.kind,
        measured=outcome(trace.kind, trace.ranks),
        replayed=again,
        undelayed=outcome("replayed without delays", rows(undelayed(run.assumed))),
        changes=tuple(changes),
        outcomes=tuple(outcome(str(change), rows(applied(run, change))) for change in asked),
    )


def what_if(problem: Problem, plan: Plan, trace: Trace, change: Change, *, tolerance: float = TOLERANCE) -> Trace:
    """The run as it would have been under a change, to be looked at like any other. Raises as `replay` does."""
    replay(problem, plan, trace, tolerance=tolerance)
    run: Followed = follow(problem, plan, trace)
    ranks = run.played(applied(run, change)).rows
    return trace.model_copy(update={"kind": "simulated", "ranks": ranks})


def _require_close(again: Outcome, measured: int, tolerance: float) -> None:
    if abs(again.against) > tolerance:
        raise DriftError(
            f"trace: its replay takes {again.makespan_us / 1000:.3f} ms, the run took {measured / 1000:.3f} ms "
            f"({again.against:+.2%}, more than {tolerance:.2%}), so no what-if on it can be trusted; "
            "run the plan again, or allow a larger tolerance"
        )
