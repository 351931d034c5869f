"""Which plan and problem a file belongs to, told by their digests."""

from __future__ import annotations

from collections.abc import Sequence

from planner.compare import Side
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem
from planner.trace import Trace


def sides(
    named: Sequence[tuple[str, Plan | Trace]], plans: Sequence[Plan], problems: Sequence[Problem]
) -> tuple[Side, ...]:
    """Each document with its plan, one of `plans` or of those that are compared, and its problem, one of `problems`.

    Raises InputError saying what is lacking and how to give it.
    """
    known = [*plans, *(document for _, document in named if isinstance(document, Plan))]
    return tuple(_side(name, document, known, problems) for name, document in named)


def _side(name: str, document: Plan | Trace, plans: Sequence[Plan], problems: Sequence[Problem]) -> Side:
    trace = document if isinstance(document, Trace) else None
    plan = document if isinstance(document, Plan) else _plan_of(name, document, plans)
    problem = next((problem for problem in problems if problem.digest == plan.problem_digest), None)
    if problem is None:
        given = _given("problem", [problem.digest for problem in problems])
        raise InputError(f"{name}: made for problem {plan.problem_digest[:12]}, {given}; add it with --problem FILE")
    return Side(name, problem, plan, trace)


def _plan_of(name: str, trace: Trace, plans: Sequence[Plan]) -> Plan:
    found = next((plan for plan in plans if plan.digest == trace.plan_digest), None)
    if found is None:
        given = _given("plan", [plan.digest for plan in plans])
        raise InputError(f"{name}: a trace of plan {trace.plan_digest[:12]}, {given}; add it with --plan FILE")
    return found


def _given(noun: str, digests: Sequence[str]) -> str:
    return f"{noun}s given: {', '.join(digest[:12] for digest in digests)}" if digests else f"no {noun} is given"
