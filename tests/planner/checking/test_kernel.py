"""A stream is checked with as many copies of its kernel as can make a difference."""

from __future__ import annotations

import pytest

from planner.check import violations
from planner.checking.kernel import enough
from planner.workload import Workload
from tests.planner.check_plans import made


def test_a_streams_evidence_is_of_all_its_copies() -> None:
    problem, plan = made("stream")
    short = plan.evidence.model_copy(update={"value": plan.makespan_us, "bound": 0})
    assert plan.repeat is not None
    whole = plan.makespan_us + plan.repeat.copies * plan.repeat.kernel_us
    assert violations(plan.model_copy(update={"evidence": short}), problem) == [
        f"R12 evidence: value is {plan.makespan_us} us, the last row ends at {whole} us"
    ]


def test_a_kernel_that_only_the_prologue_can_feed() -> None:
    """Of two ranks that take turns, a kernel of one block: it reads what the first copy finds, and the second not."""
    problem, plan = made("live stream")
    assert plan.repeat is not None
    assert plan.repeat.kernel_blocks == 2
    halves = tuple((begin, begin + (end - begin) // 2) for begin, end in plan.repeat.places)
    wrong = plan.repeat.model_copy(update={"kernel_blocks": 1, "copies": 22, "places": halves})
    assert any(
        "copies of the kernel)" in line for line in violations(plan.model_copy(update={"repeat": wrong}), problem)
    )


def test_a_kernel_that_reaches_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = made("stream")
    assert plan.repeat is not None
    copies = enough(plan)
    assert 2 < copies <= plan.repeat.copies
    rows = sum(end - begin for begin, end in plan.repeat.places)
    monkeypatch.setattr("planner.checking.kernel.MOST_ROWS", copies * rows)
    assert violations(plan, problem) == []
    monkeypatch.setattr("planner.checking.kernel.MOST_ROWS", copies * rows - 1)
    assert violations(plan, problem) == [
        f"R16 kernel: its rows are so far apart that {copies} copies of it meet one another"
    ]


def test_a_long_stream_costs_a_kernel() -> None:
    """Ten million blocks are checked as soon as a few."""
    problem, plan = made("stream in ticks")
    assert plan.repeat is not None
    copies = (10**7 - 17) // plan.repeat.kernel_blocks
    blocks = 17 + copies * plan.repeat.kernel_blocks
    long = problem.model_copy(update={"workload": Workload(blocks=blocks)})
    value = plan.makespan_us + copies * plan.repeat.kernel_us
    changes = {
        "repeat": plan.repeat.model_copy(update={"copies": copies}),
        "evidence": plan.evidence.model_copy(update={"value": value}),
    }
    assert violations(plan.model_copy(update=changes), long) == []
