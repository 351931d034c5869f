"""What of a plan can be executed."""

from __future__ import annotations

from collections.abc import Iterator

from executor.errors import WorldError
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem

MOST_BLOCKS = 100_000  # a rank keeps each action it is to do and has done: about 10 kB a block


def require_executable(plan: Plan, problem: Problem) -> None:
    """Raises WorldError naming all in a plan that ranks cannot run yet."""
    found = beyond(plan, problem)
    if found:
        raise WorldError(f"{found}: can be planned and simulated, not executed yet; see plan --runnable")


def beyond(plan: Plan, problem: Problem) -> str:
    """What of a plan ranks cannot run yet, and what they can instead; empty if nothing."""
    workload = problem.workload
    found = list(_beyond(Placement.parse(plan.placement), decodes=workload.decode))
    if workload.blocks > MOST_BLOCKS:
        found.append(f"a clip of {workload.blocks} blocks (at most {MOST_BLOCKS} can: --blocks)")
    return ", ".join(found)


def is_executable(placement: Placement) -> bool:
    """Whether ranks can run plans on the placement."""
    return not any(_beyond(placement, decodes=True))


def _beyond(placement: Placement, *, decodes: bool) -> Iterator[str]:
    if placement.degree > 1 and placement.method == "tensor":
        yield f"tensor parallelism on groups of {placement.degree} devices (Ulysses can: *ulysses:{placement.degree})"
    if placement.parts > 1 and decodes:
        yield f"a decoder in {placement.parts} parts (one rank can: +decoder)"
