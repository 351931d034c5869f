"""Small clips played under conditions, and what came of them as text."""

from __future__ import annotations

from planner.conditions import Conditions
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import rows_to_text
from planner.simulate import simulate
from planner.timing import retime
from tests.planner.case_by_hand import lines
from tests.planner.clips import cascade, clip, costed, model, plan_of, program

Case = tuple[Problem, Plan]


def by_hand(problem: Problem, *programs: str, pattern: Pattern | None = None, where: str = "free") -> Case:
    """A program per rank as text, timed as planned."""
    timing = costed(problem, pattern or cascade(1), where)
    return problem, plan_of(timing, retime([program(text) for text in programs], timing))


def handed_on(**changes: object) -> Case:
    """r0: denoise b0.s0 0-100, its K/V on the way 100-249; r1: denoise b1.s0 249-399."""
    return by_hand(
        clip(model(1), 2, 2, decode=False, **changes),  # type: ignore[arg-type]
        "denoise b0.s0\nsend kv b0.s0 to r1",
        "recv kv b0.s0 from r0\ndenoise b1.s0",
    )


def meeting(**measured: object) -> Case:
    """r0 and r1 pass 0-100 and send to r2: on its port r0's K/V 100-249, r1's 249-398. r2 passes 0-100."""
    problem = clip(model(1, window=1), 3, 3, decode=False, measured={"link_sharing": "port"} | measured)
    return by_hand(
        problem,
        "denoise b0.s0\nsend kv b0.s0 to r2",
        "denoise b1.s0\nsend kv b1.s0 to r2",
        "denoise b2.s0\nrecv kv b0.s0 from r0\nrecv kv b1.s0 from r1",
    )


def in_a_row(blocks: int) -> Case:
    """Passes of 100 us, one after the other on one rank; each finishes a block."""
    text = "\n".join(f"denoise b{block}.s0\nfree kv b{block}.s0" for block in range(blocks))
    return by_hand(clip(model(1, window=1), blocks, decode=False), text)


def require(case: Case, conditions: Conditions, rows: str) -> None:
    """Asserts that the conditions give these rows."""
    problem, plan = case
    assert rows_to_text(simulate(plan, problem, conditions).ranks).splitlines() == lines(rows)


def spans(case: Case, conditions: Conditions) -> list[tuple[int, int]]:
    """Start and end of each action, rank by rank; frees left out."""
    problem, plan = case
    rows = simulate(plan, problem, conditions).ranks
    return [(row.start_us, row.end_us) for rank in rows for row in rank if not str(row.action).startswith("free")]
