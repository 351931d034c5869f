"""What of a plan can be executed: all that the single-process reference can be compared with."""

from __future__ import annotations

from collections.abc import Iterator

from executor.errors import WorldError
from planner.action import Action, Kind
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem

KINDS = frozenset({Kind.DENOISE, Kind.COMMIT, Kind.DECODE, Kind.SEND, Kind.RECV, Kind.FREE})
# Placements whose plans have no others.
EXECUTED = tuple(map(Placement.parse, ("free", "block", "step", "free+decoder", "block+decoder", "step+decoder")))


def require_executable(plan: Plan, problem: Problem) -> None:
    """Raises WorldError naming all in a plan that ranks cannot run yet."""
    found = list(_beyond(plan, problem))
    if found:
        raise WorldError(
            f"{', '.join(found)}: can be planned and simulated, not executed yet; ask for pattern sequential or "
            f"cascade:OFFSET and a placement out of {', '.join(map(str, EXECUTED))}"
        )


def _beyond(plan: Plan, problem: Problem) -> Iterator[str]:
    spec, workload, placement = problem.model, problem.workload, Placement.parse(plan.placement)
    live = plan.pattern.exchange == "live" and plan.pattern.offset < spec.passes
    if live or plan.pattern.name in ("sequential-recompute", "layers"):
        yield f"pattern {plan.pattern}"
    if placement.degree > 1:
        yield f"passes on groups of {placement.degree} devices"
    if placement.parts > 1:
        yield f"a decoder in {placement.parts} parts"
    if plan.repeat is not None:
        yield "a kernel that repeats"
    if workload.encode_text:
        yield "encoding the prompt"
    if workload.switches:
        yield "prompt switches"
    if spec.block_steps(0) != spec.steps or spec.block_frames(0) != spec.frames_per_block:
        yield f"{spec.name}'s first block, which is unlike the others"
    strange = _strange(plan)
    if strange is not None:
        yield f"action {str(strange)!r}"


def _strange(plan: Plan) -> Action | None:
    """The first action of a kind that no rank can run."""
    return next((row.action for rows in plan.ranks for row in rows if row.action.kind not in KINDS), None)
