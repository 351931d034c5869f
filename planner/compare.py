"""`compare()`: two plans, two runs, or a plan and a run of it: what is otherwise, and why."""

from __future__ import annotations

from typing import Literal, NamedTuple

from planner.calibrating.losses import losses, medians, planned_as
from planner.calibrating.observed import observe
from planner.calibrating.script import MOST_ROWS, script
from planner.comparing.differing import Differing, inputs, schedules
from planner.comparing.split import Part, split
from planner.comparing.table import PART_COLUMNS, measure_rows, part_rows, path_rows, work_rows
from planner.comparing.work import Stretch, Work, exposed_us, stretches, works
from planner.conditions import Player
from planner.measures import Measures, measure
from planner.measuring.blocks import Often, counted
from planner.measuring.labels import DEFINED
from planner.plan import Plan
from planner.problem import Problem
from planner.replaying.followed import Followed, follow, foretold
from planner.streams.unroll import unroll
from planner.trace import Trace
from planner.value import Document

Compared = Literal["plan against trace", "two plans", "two traces", "traces of two plans", "two plans, one of them run"]


class Side(NamedTuple):
    """A plan of a problem, or with a trace a run of it; `name` is what it is called in print."""

    name: str
    problem: Problem
    plan: Plan
    trace: Trace | None = None


class Comparison(Document):
    """What is otherwise on the other side than on the one.

    `inputs`: fields of the problems; `schedule`: of the plans. `parts`: the causes of the difference in time, which sum
    to it; none for two different plans. `work`: compute time by kind over all ranks. `path`: what a longest path is
    made of. `exposed_us`: how much sooner each would be over if transfers took no time. Bubbles are in the measures.
    `path` is empty and `exposed_us` None where a plan is a stream of too many actions to be replayed.
    """

    schema_name: Literal["blockcascade.comparison/1"] = "blockcascade.comparison/1"
    compared: Compared
    names: tuple[str, str]
    inputs: tuple[Differing, ...]
    schedule: tuple[Differing, ...]
    measures: tuple[Measures, Measures]
    parts: tuple[Part, ...] = ()
    work: tuple[Work, ...]
    path: tuple[Stretch, ...]
    exposed_us: tuple[int, int] | None

    def _repr_html_(self) -> str:
        """What a notebook shows: every figure side by side, and folded away what is otherwise and why."""
        from planner.pictures.inline import Table, listing

        one, other = self.names
        differs = [(item.path, item.one, item.other) for item in (*self.inputs, *self.schedule)]
        return listing(
            f"{self.compared}: {one}, {other}",
            Table(("figure", one, other, "ratio"), measure_rows(self)),
            Table(("differs", one, other), differs, "what differs in problem and plan"),
            Table(PART_COLUMNS, part_rows(self) if self.parts else (), "why it took another time"),
            Table(("compute, all ranks", one, other, "ratio"), work_rows(self), "compute time by kind"),
            Table(("along a longest path", one, other, "ratio"), path_rows(self), "a longest path"),
            notes=[DEFINED],
            most=60,
        )


def compare(one: Side, other: Side, player: Player = Player()) -> Comparison:  # noqa: B008 - frozen value
    """The other against the one; a plan comes before a run of it, whichever was named first.

    Raises MismatchError where plan and problem, or trace and plan, do not belong together or a trace is not whole.
    """
    if one.trace is not None and other.trace is None and one.plan == other.plan:
        one, other = other, one
    runs = None if _is_long(one) or _is_long(other) else (_run(one), _run(other))
    return Comparison(
        compared=_kind(one, other),
        names=(one.name, other.name),
        inputs=inputs(one.problem, other.problem),
        schedule=schedules(one.plan, other.plan),
        measures=(_measured(one, player), _measured(other, player)),
        parts=_parts(one, other, runs) if runs else (),
        work=works(_rows(one), _rows(other)),
        path=stretches(*runs) if runs else (),
        exposed_us=(exposed_us(runs[0]), exposed_us(runs[1])) if runs else None,
    )


def _kind(one: Side, other: Side) -> Compared:
    traces = (one.trace is not None) + (other.trace is not None)
    if one.plan == other.plan:
        return ("two plans", "plan against trace", "two traces")[traces]
    return ("two plans", "two plans, one of them run", "traces of two plans")[traces]


def _run(side: Side) -> Followed:
    if side.trace is None:
        return foretold(side.problem, side.plan)
    return follow(side.problem, side.plan, side.trace)


def _rows(side: Side) -> tuple[tuple[Often, ...], ...]:
    return counted(side.plan, None if side.trace is None else side.trace.ranks)


def _is_long(side: Side) -> bool:
    return sum(often.times for program in counted(side.plan) for often in program) > MOST_ROWS


def _measured(side: Side, player: Player) -> Measures:
    return measure(side.problem, side.plan, side.trace, player)


def _parts(one: Side, other: Side, runs: tuple[Followed, Followed]) -> tuple[Part, ...]:
    """Why a plan's run took longer than planned, or one run than another of the same plan."""
    if one.plan != other.plan or other.trace is None:
        return ()
    if one.trace is not None:
        return split(*runs, (one.trace.ranks, other.trace.ranks), one.plan.last_step)
    return _losses(other.problem, other.plan, other.trace)


def _losses(problem: Problem, plan: Plan, trace: Trace) -> tuple[Part, ...]:
    lines, rows = script(plan, problem), unroll(plan)
    planned = planned_as(lines, rows)
    run = observe(lines, trace, planned)
    found = losses(lines, rows, planned, run, medians(lines, [run]), plan.last_step)
    return tuple(Part(cause=part.cause, makespan_us=part.makespan_us, steady_us=part.steady_us) for part in found.parts)
