"""Plans whose every time can be reckoned by hand, to be played under conditions."""

from __future__ import annotations

from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.rows import rows_from_text
from planner.timing import retime
from tests.planner.case_by_hand import Case
from tests.planner.clips import cascade, clip, costed, model, plan_of, program


def of_case(case: Case) -> Plan:
    rows = rows_from_text(iter(enumerate(case.lines, start=1)), len(case.actions))
    return plan_of(case.costs, rows)


def two_ranks(**changes: object) -> tuple[Problem, Plan]:
    """Two blocks of two steps, a rank each.

    r0: denoise b0.s0 0-100, b0.s1 100-200. Their K/V on the way: 100-249, 249-398. r1: denoise b1.s0 249-399, b1.s1
    399-549.
    """
    timing = costed(clip(model(2), 2, 2, decode=False, **changes), cascade(1), "block")  # type: ignore[arg-type]
    return timing.problem, plan_of(timing)


def in_a_row(blocks: int, repeats: bool = False) -> tuple[Problem, Plan]:
    """Blocks of 100 us each, one after the other; `repeats`: three of them, of which the middle one repeats."""
    problem = clip(model(1, window=1), blocks, decode=False)
    if not repeats:
        actions = program("\n".join(f"denoise b{block}.s0\nfree kv b{block}.s0" for block in range(blocks)))
        timing = costed(problem, cascade(1))
        return problem, plan_of(timing, retime([actions], timing))
    short = in_a_row(3)[1]
    repeat = Repeat(first_block=1, kernel_blocks=1, kernel_us=100, copies=blocks - 3, places=((2, 4),))
    return problem, short.model_copy(update={"problem_digest": problem.digest, "repeat": repeat})
