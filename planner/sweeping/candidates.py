"""What a point of a grid could run: every pattern and placement that it leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.errors import InputError
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement, all_placements, group_fault, most_busy
from planner.searching.explore import MAX_PARTS, chosen_patterns
from planner.sweeping.basis import Basis
from planner.sweeping.grid import FAMILIES, Point
from planner.sweeping.promise import Candidate, judged


def candidates(basis: Basis, point: Point, patterns: Sequence[Pattern], ranks: int) -> list[Candidate]:
    """All that exactly so many devices could run of the patterns where the point leaves the placement open; of equals
    the cleaner context first.
    """
    found = (item for pattern in patterns for item in _on(basis, pattern, ranks))
    return [item for item in found if splits_as(item.placement, point.parallel)]


def placed(basis: Basis, point: Point, patterns: Sequence[Pattern], count: int) -> list[Candidate]:
    """The patterns on the placement that the point names. Raises InputError if it asks for more than `count` devices,
    or does not split passes as the point says.
    """
    placement = Placement.parse(point.placement or "")
    ranks = placement.ranks or count
    if ranks > count:
        raise InputError(f"placement: asks for {ranks} rank(s), the cluster has {count}")
    if not splits_as(placement, point.parallel):
        raise not_split(point, count)
    where = placement.model_copy(update={"ranks": None})
    return [judged(basis, pattern, where, ranks) for pattern in patterns]


def not_split(point: Point, count: int) -> InputError:
    """No pattern can be run the way that a point names."""
    return InputError(f"parallel: no pattern can be run as {point.parallel} on {count} device(s)")


def asked_patterns(basis: Basis, point: Point) -> Sequence[Pattern]:
    """The patterns that a point leaves open, the cleanest context first. Raises InputError if there are none."""
    spec, problem = basis.spec, basis.problem(1)
    if point.pattern is None:
        found: Sequence[Pattern] = chosen_patterns(problem, None)
        fault = f"model {spec.name} tolerates only {', '.join(spec.tolerates)}"
    elif point.pattern in FAMILIES:
        found = [each for each in all_patterns(spec) if _family(each) == point.pattern]
        fault = f"pattern: {spec.name} has no {point.pattern}"
    else:
        found, fault = [Pattern.parse(point.pattern, spec)], f"pattern: {point.pattern}"
    if point.offset is not None:
        found = [each for each in found if each.offset == point.offset]
        fault += f" with offset {point.offset} of 1..{spec.passes}"
    if not found:
        raise InputError(f"{fault}: no such pattern")
    return found


def _family(pattern: Pattern) -> str:
    return "" if pattern.name != "cascade" else str(pattern).replace(f":{pattern.offset}", "", 1)


def splits_as(placement: Placement, parallel: str | None) -> bool:
    """Whether a placement runs its passes the way a point names."""
    if parallel is None:
        return True
    return parallel == ("none" if placement.degree == 1 else f"{placement.method}:{placement.degree}")


def _on(basis: Basis, pattern: Pattern, ranks: int) -> Sequence[Candidate]:
    """All candidates of a pattern on exactly so many devices."""
    key = "candidates", pattern, ranks
    if key not in basis.known:
        basis.known[key] = tuple(
            judged(basis, pattern, placement, ranks) for placement in _placements(basis, pattern, ranks)
        )
    found: Sequence[Candidate] = basis.known[key]
    return found


def _placements(basis: Basis, pattern: Pattern, ranks: int) -> Iterator[Placement]:
    spec, problem = basis.spec, basis.problem(ranks)
    parts = MAX_PARTS
    if problem.profile is not None:
        parts = min(MAX_PARTS, max(1, len(problem.profile.decode_parts)))
    if ranks > _most_useful(basis, pattern, parts):
        return
    decode = problem.workload.decode
    for placement in all_placements(pattern, spec, problem.cluster, decode=decode, parts=parts):
        if placement.ranks is None:
            yield placement


def _most_useful(basis: Basis, pattern: Pattern, parts: int) -> int:
    """On more devices some could never have work."""
    spec = basis.spec
    if pattern.name == "layers":
        return spec.layers + parts
    key = "widest"
    if key not in basis.known:
        basis.known[key] = max(d for d in range(1, spec.heads + 1) if not group_fault(spec, "ulysses", d))
    widest: int = basis.known[key]
    return (most_busy(pattern, spec, "free") + 1) * widest + parts
