"""What no rank can run yet is refused before any starts, each with its name and what can be had instead."""

from __future__ import annotations

import pytest

from executor.errors import WorldError
from executor.executable import require_executable
from planner.cluster import Cluster
from planner.patterns import Pattern, all_patterns
from planner.placement import all_placements
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import costed, plan_of
from tests.tiny import TINY_SPEC


def problem(ranks: int = 4, *, decode: bool = True) -> Problem:
    workload = Workload(blocks=3, decode=decode)
    return Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", ranks), workload=workload)


@pytest.mark.parametrize("pattern", all_patterns(TINY_SPEC), ids=str)
def test_every_pattern_can_be_executed(pattern: Pattern) -> None:
    given = problem(2)
    for placement in all_placements(pattern, TINY_SPEC, given.cluster, decode=True, parts=1):
        if placement.degree == 1 or placement.method == "ulysses":
            require_executable(plan_of(costed(given, pattern, placement)), given)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ("free*tensor:2", r"tensor parallelism on groups of 2 devices \(Ulysses can: \*ulysses:2\)"),
        ("free+decoder:3", r"a decoder in 3 parts \(one rank can: \+decoder\)"),
        ("free+decoder:2*tensor:2", r"tensor parallelism on .*, a decoder in 2 parts .*"),
    ],
)
def test_what_is_to_come(placement: str, message: str) -> None:
    chosen = plan_of(costed(problem(), Pattern.sequential(TINY_SPEC), placement))
    with pytest.raises(WorldError, match=rf"^{message}: can be planned and simulated, not executed yet$"):
        require_executable(chosen, problem())
