"""How good a plan provably is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from planner.bounds.makespan import makespan_bound
from planner.bounds.tight import tight_bound
from planner.objective import Limits, score
from planner.plan import Evidence, Objective, Steady
from planner.problem import Problem
from planner.searching.case import price
from planner.searching.explore import Tried
from planner.searching.finish import Finished
from planner.searching.quick import at_best

VERSION = "2"


def evidence(
    best: Finished,
    tried: Sequence[Tried],
    objective: Objective,
    limits: Limits,
    *,
    seed: int = 0,
    steady: Steady | None = None,
) -> Evidence:
    """The bound over all cases of the plan's pattern that were tried; or, where the solver proved more of the plan's
    own placement, that. A period's bound is its stream's, `steady`.
    """
    value: float = score(best.figures, objective)
    rivals = [item for item in tried if item.eligible and item.pattern == best.case.pattern and item.costs is not None]
    bound, name = _weakest(rivals, best, objective)
    proves = "pattern" if len(rivals) > 1 else "placement"
    solved = best.solved
    if steady is not None:
        value, bound = float(Fraction(steady.period)), float(Fraction(steady.bound))
        name, proves = f"{steady.limit}: {', '.join(steady.certificate)}", "placement"
    elif objective == "devices":
        fewest = _devices if proves == "pattern" else lambda item: at_best(item.costs, "devices")
        bound = min((fewest(item) for item in rivals if not _hopeless(item, limits)), default=value)
    elif solved is not None and solved.bound_us > bound and objective == "makespan":
        bound, name, proves = solved.bound_us, solved.bound_by, "placement"
    # What was left for its memory, or not laid out, has no say in the bound; the plan itself always has.
    assert bound <= value or any(item.refused for item in rivals), f"bound {bound} above the plan's own {value}"
    bound = min(bound, value)
    return Evidence(
        status="OPTIMAL" if bound == value else "FEASIBLE",
        objective=objective,
        value=value,
        bound=bound,
        bound_by=name,
        proves=proves,  # type: ignore[arg-type]
        solver=best.case.solver,
        version=VERSION,
        seed=seed,
    )


def _devices(item: Tried) -> int:
    """The ranks of a placement: what fewer of them could do has been tried as a placement on so many."""
    assert item.costs is not None
    return sum(len(unit) for unit in item.costs.flow.layout.units)


def _hopeless(item: Tried, limits: Limits) -> bool:
    """Whether bounds alone show that no schedule of a case keeps the limits."""
    assert item.costs is not None
    costs = item.costs
    makespan = at_best(costs, "makespan")
    for given, least in (
        (limits.first_frame_us, at_best(costs, "first-frame")),
        (limits.control_us, at_best(costs, "control")),
        (limits.makespan_us, makespan),
    ):
        if given is not None and least > given:
            return True
    # A first block may be late so that the others seem to follow quickly, unless it is held to a time.
    if limits.fps is None or limits.first_frame_us is None or costs.flow.blocks == 1:
        return False
    allowed_us = costs.spec.pixel_frames(1) * 1e6 / limits.fps
    return (makespan - limits.first_frame_us) / (costs.flow.blocks - 1) > allowed_us


def stream_evidence(
    problem: Problem, best: Finished, tried: Sequence[Tried], objective: Objective, limits: Limits, seed: int
) -> Evidence:
    """The same for a stream, whose figures and bounds are those of its whole length."""
    if objective not in ("makespan", "money"):
        return evidence(best, tried, objective, limits, seed=seed)
    value = score(best.figures, objective)
    rivals = [item for item in tried if item.eligible and item.pattern == best.case.pattern and item.costs is not None]
    bound = min(at_best(price(problem, item.pattern, item.placement), objective) for item in rivals)
    bound = min(math.ceil(bound) if objective == "makespan" else bound, value)
    return Evidence(
        status="OPTIMAL" if bound == value else "FEASIBLE",
        objective=objective,
        value=value,
        bound=bound,
        bound_by=_names(objective),
        proves="pattern" if len(rivals) > 1 else "placement",
        solver=best.case.solver,
        version=VERSION,
        seed=seed,
    )


def _weakest(rivals: Sequence[Tried], best: Finished, objective: Objective) -> tuple[float, str]:
    """The smallest of the rivals' bounds: below it lies no schedule of any of them."""
    found: list[tuple[float, str]] = []
    for item in rivals:
        assert item.costs is not None
        if objective == "makespan" and item.case is not None:
            bound = makespan_bound(item.case.tasks.instance)
            if bound.value_us < best.figures.makespan_us:
                bound = max(bound, tight_bound(item.case.tasks.instance))
            found.append((bound.value_us, bound.name))
        else:
            # Not laid out, or no makespan: what is known without.
            found.append((at_best(item.costs, objective), _names(objective)))
    return min(found) if found else (score(best.figures, objective), "the plan itself")


def _names(objective: Objective) -> str:
    return {
        "makespan": "chain or work of all blocks",
        "first-frame": "passes of the first block",
        "control": "passes of one block",
        "money": "work at the cheapest device",
        "devices": "devices of the smallest placement",
        "period": "none",
    }[objective]
