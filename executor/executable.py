"""What of a plan can be executed."""

from __future__ import annotations

from collections.abc import Iterator

from executor.errors import WorldError
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem


def require_executable(plan: Plan, problem: Problem) -> None:
    """Raises WorldError naming all in a plan that ranks cannot run yet."""
    found = list(_beyond(plan, problem))
    if found:
        raise WorldError(f"{', '.join(found)}: can be planned and simulated, not executed yet")


def _beyond(plan: Plan, problem: Problem) -> Iterator[str]:
    placement = Placement.parse(plan.placement)
    if placement.degree > 1 and placement.method == "tensor":
        yield f"tensor parallelism on groups of {placement.degree} devices (Ulysses can: *ulysses:{placement.degree})"
    if placement.parts > 1 and problem.workload.decode:
        yield f"a decoder in {placement.parts} parts (one rank can: +decoder)"
