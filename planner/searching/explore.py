"""Lays out every case worth trying and schedules it once; says of the others why they were left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from planner.cost import Costs
from planner.errors import InputError
from planner.memory import least_bytes
from planner.metrics import Metrics
from planner.objective import Limits, score
from planner.patterns import Pattern, all_patterns, require_offset, tolerates
from planner.placement import Placement, all_placements, group_fault, most_busy
from planner.plan import Objective
from planner.problem import Problem
from planner.searching.baselines import baselines
from planner.searching.case import Case, price, schedule_case
from planner.searching.quick import at_best, least_period

MAX_PARTS = 4  # of a decoder that is split
BEATEN = "bound"  # refused because what it can reach at best is not enough

Only = Callable[[Placement], bool]  # whether a placement is to be tried


class Tried(NamedTuple):
    """A pattern on a placement, and how it did: a case, or why there is none.

    `name` is set for a published system's schedule, `eligible` unless it stands there for comparison only.
    """

    pattern: Pattern
    placement: Placement
    name: str = ""
    eligible: bool = True
    costs: Costs | None = None
    case: Case | None = None
    refused: str = ""
    at_best: float = 0.0

    @property
    def figures(self) -> Metrics | None:
        return None if self.case is None else self.case.figures


def explore(
    problem: Problem,
    patterns: Sequence[Pattern],
    placement: Placement | None,
    objective: Objective,
    limits: Limits,
    *,
    prune: bool = True,
    only: Only | None = None,
) -> list[Tried]:
    """All that was tried, in the order of the patterns. What cannot beat the best so far is not laid out, if `prune`.

    `only` chooses among placements where none is asked for.

    Raises InputError if a placement that was asked for goes with none of the patterns.
    """
    tried = priced_cases(problem, patterns, placement, objective, limits, only=only)
    best = float("inf")
    for place in by_promise(tried):
        item = tried[place]
        assert item.costs is not None
        if prune and item.at_best > best and not item.name:
            tried[place] = item._replace(refused=BEATEN)
            continue
        case = schedule_case(problem, item.costs, objective)
        tried[place] = item._replace(case=case)
        if item.eligible and all(limit.kept_by(case.figures) for limit in limits.asked()):
            best = min(best, score(case.figures, objective))
    return tried


def priced_cases(
    problem: Problem,
    patterns: Sequence[Pattern],
    placement: Placement | None,
    objective: Objective,
    limits: Limits,
    *,
    stream: bool = False,
    only: Only | None = None,
) -> list[Tried]:
    """Everything to try with its costs and what it can reach at best, in a `stream` of its period; what cannot be done
    says why.

    Raises InputError if nothing of what was asked for goes together.
    """
    candidates = _candidates(problem, patterns, placement, objective, limits, only)
    tried = [_priced(problem, item, objective, stream=stream) for item in candidates]
    if all(item.costs is None for item in tried if item.eligible):
        raise InputError(next(item.refused for item in tried if item.eligible))
    return tried


def by_promise(tried: Sequence[Tried]) -> list[int]:
    """The places of what can be laid out, by what it can reach at best."""
    places = [place for place, item in enumerate(tried) if item.costs is not None and not item.refused]
    return sorted(places, key=lambda place: (tried[place].at_best, place))


def chosen_patterns(problem: Problem, pattern: Pattern | None) -> list[Pattern]:
    """The pattern asked for, or all that the checkpoint tolerates; one that reads pixels only where they are made.

    Raises InputError if the model has no such pattern.
    """
    spec = problem.model
    if pattern is not None:
        require_offset(pattern, spec)
        return [pattern]
    decodes = problem.workload.decode
    return [
        found for found in all_patterns(spec) if tolerates(spec, found) and (decodes or "recompute" not in found.name)
    ]


def _priced(problem: Problem, item: Tried, objective: Objective, *, stream: bool) -> Tried:
    try:
        costs = price(problem, item.pattern, item.placement)
    except InputError as error:
        return item._replace(refused=str(error).removeprefix("placement: "))
    # What a placement could do on fewer ranks than it has is tried on so many.
    ranks = sum(len(unit) for unit in costs.flow.layout.units)
    best = least_period(costs) if stream else ranks if objective == "devices" else at_best(costs, objective)
    return item._replace(costs=costs, refused=least_bytes(costs), at_best=best)


def _candidates(
    problem: Problem,
    patterns: Sequence[Pattern],
    placement: Placement | None,
    objective: Objective,
    limits: Limits,
    only: Only | None,
) -> Iterator[Tried]:
    spec, size, decode = problem.model, problem.cluster.size, problem.workload.decode
    seen: set[tuple[str, str]] = set()
    for pattern in patterns:
        counts = [None] if placement is not None else _counts(problem, pattern, objective, limits)
        for ranks in counts:
            found = (
                [placement]
                if placement is not None
                else all_placements(pattern, spec, problem.cluster, decode=decode, parts=_parts(problem), ranks=ranks)
            )
            for where in found if placement is not None or only is None else filter(only, found):
                if (str(pattern), str(where)) not in seen:
                    seen.add((str(pattern), str(where)))
                    yield Tried(pattern, where)
    if placement is None:
        for name, pattern, where in baselines(spec, size, decode=decode):
            yield Tried(pattern, where, name, eligible=False)


def _parts(problem: Problem) -> int:
    """Into how many parts a decoder is split at most: as many as were measured, if parts were."""
    measured = len(problem.profile.decode_parts) if problem.profile else 0
    return min(MAX_PARTS, max(1, measured)) if problem.profile else MAX_PARTS


def _counts(problem: Problem, pattern: Pattern, objective: Objective, limits: Limits) -> Sequence[int | None]:
    """On how many devices to try a pattern: on all, unless fewer may be better by what is asked."""
    size = min(problem.cluster.size, limits.devices or problem.cluster.size)
    if objective not in ("devices", "money") and limits.money_per_minute is None:
        return [None if size == problem.cluster.size else size]
    spec = problem.model
    widest = max(d for d in range(1, spec.heads + 1) if not group_fault(spec, "ulysses", d))
    most = (most_busy(pattern, spec, "free") + 1) * widest + MAX_PARTS
    if pattern.name == "layers":
        most = spec.layers + MAX_PARTS
    return range(1, min(size, most) + 1)
