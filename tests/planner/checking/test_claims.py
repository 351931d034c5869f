"""What a plan says of itself has to be so."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from models.catalog import load_spec
from planner.check import check, violations
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.plan import Steady
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.check_plans import made
from tests.planner.hand_plans import GOOD_PAIR, GOOD_TRIO, PAIR, TRIO, by_hand


@pytest.mark.parametrize(
    ("plan_changes", "evidence_changes", "expected"),
    [
        ({}, {"value": 431}, "R12 evidence: value is 431 us, the last row ends at 430 us"),
        ({}, {"bound": 431}, "R12 evidence: bound of 431 is above the value of 430"),
        ({}, {"bound": 430}, "R12 evidence: FEASIBLE with value 430, bound 430"),
        ({}, {"status": "OPTIMAL"}, "R12 evidence: OPTIMAL with value 430, bound 429"),
        ({}, {"objective": "first-frame"}, "R12 evidence: value is 430 us, the first block is finished at 140 us"),
        ({"last_step": 1}, {}, "R12 last step: is 1, tiny has 1 steps from 0"),
        ({"pattern": Pattern(name="cascade", offset=2)}, {}, "R12 pattern: offset 2 is beyond the 1 passes of tiny"),
        (
            {"pattern": Pattern(name="sequential", offset=1).model_copy(update={"exchange": "live"})},
            {},
            "R12 pattern: sequential is not live and causal",
        ),
    ],
)
def test_wrong_evidence_is_named(
    plan_changes: Mapping[str, object], evidence_changes: Mapping[str, object], expected: str
) -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    evidence = good.evidence.model_copy(update=evidence_changes)
    assert violations(good.model_copy(update={"evidence": evidence, **plan_changes}), PAIR)[:1] == [expected]


def test_the_first_frame_is_the_first_blocks_end() -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    for problem, plan, at in ((PAIR, good, 140), (TRIO, by_hand(TRIO, GOOD_TRIO), 100)):
        told = plan.evidence.model_copy(update={"objective": "first-frame", "value": at, "bound": at - 1})
        check(plan.model_copy(update={"evidence": told}), problem)


def test_a_sequential_pattern_has_the_offset_of_all_passes() -> None:
    problem = Problem(model=load_spec("toy"), cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=1))
    lying = by_hand(problem, "r0 0 1 decode b0").model_copy(update={"pattern": Pattern(name="sequential", offset=2)})
    assert "R12 pattern: sequential is offset 5 for toy, not 2" in violations(lying, problem)


@pytest.mark.parametrize(
    ("period", "bound", "line"),
    [
        ("1361/2", "600", "R12 steady: period is 1361/2 us, the kernel's 1361 us"),
        ("1361", "1362", "R12 steady: bound of 1362 us is above the period of 1361 us"),
    ],
)
def test_a_streams_period_is_its_kernels(period: str, bound: str, line: str) -> None:
    problem, plan = made("stream")
    right = Steady(period="1361", bound="1361", limit="devices", certificate=())
    check(plan.model_copy(update={"steady": right}), problem)
    wrong = right.model_copy(update={"period": period, "bound": bound})
    assert violations(plan.model_copy(update={"steady": wrong}), problem) == [line]
