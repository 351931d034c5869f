"""What no rank can run yet is refused before any starts, each with its name and what can be had instead."""

from __future__ import annotations

import pytest

from executor.errors import WorldError
from executor.executable import MOST_BLOCKS, beyond, is_executable, require_executable
from models.catalog import load_spec
from planner.cluster import Cluster
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement, all_placements
from planner.problem import Problem
from planner.search import plan
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
    with pytest.raises(
        WorldError, match=rf"^{message}: can be planned and simulated, not executed yet; see plan --runnable$"
    ):
        require_executable(chosen, problem())


def test_only_what_can_run_is_planned_if_asked() -> None:
    spec = load_spec("toy")
    given = Problem(model=spec, cluster=Cluster.of("cpu-core", 3), workload=Workload(blocks=7))
    joint = Pattern.parse("cascade:1:live-joint", spec)
    best, runnable = plan(given, pattern=joint), plan(given, pattern=joint, only=is_executable)
    assert "parts" in beyond(best, given)  # or this test shows nothing
    require_executable(runnable, given)
    assert all(is_executable(Placement.parse(item.placement)) for item in runnable.alternatives if not item.name)


def test_a_clip_too_long_to_keep_account_of_is_refused() -> None:
    given = problem(1)
    chosen = plan_of(costed(given, Pattern.sequential(TINY_SPEC), "free"))
    for blocks, refused in ((MOST_BLOCKS, False), (MOST_BLOCKS + 1, True)):
        longer = given.model_copy(update={"workload": Workload(blocks=blocks)})
        assert (f"a clip of {blocks} blocks" in beyond(chosen, longer)) is refused
