"""Orders of actions that never finish; those that do can be timed."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.check import check, violations
from planner.checking.explain import explain
from planner.errors import InfeasibleError
from planner.timing import retime
from tests.mutants.shake import reordered
from tests.planner.check_plans import KINDS, made
from tests.planner.hand_plans import BY_HAND, GOOD_TRIO, TRIO, broken, by_hand, priced


def test_a_mutual_wait_is_named_on_both_ranks() -> None:
    send, late = "    r0 100 209 send kv b0.s0 to r1\n", "    r0 468 618 denoise b2.s0\n"
    assert broken("latents", (send, ""), (late, late + send)) == [
        "R8 r0 send kv b0.s0 to r1: starts at 100 us, before it is posted at 618 us, when 'denoise b2.s0' ends",
        "R10 r0 denoise b2.s0: waits forever for kv b1.s0 to arrive",
        "R10 r1 denoise b1.s0: waits forever for kv b0.s0 to arrive",
    ]


def test_a_gang_waits_for_all_its_ranks() -> None:
    rows = "    r1 100 2209 tick 1 b1.s0\n    r1 2209 2359 tick 2 b1.s1\n"
    turned = "    r1 2209 2359 tick 2 b1.s1\n    r1 100 2209 tick 1 b1.s0\n"
    assert [line for line in broken("gang", (rows, turned)) if line.startswith("R10")] == [
        "R10 r0 tick 1 b0.s1: waits forever for r1 to come to it",
        "R10 r1 tick 2 b1.s1: waits forever for r0 to come to it",
    ]


def test_a_stream_waits_for_its_maker() -> None:
    """r0 makes it only after what r1 sends once it has read it."""
    problem, text, pattern, placement = BY_HAND["live"]
    back = "    r0 304 413 recv kv b1.s0 from r1\n    r0 100 200 denoise b0.s1\n    r0 413 413 free kv b1.s0\n"
    gone = "    r1 304 413 send kv b1.s0 to r0\n    r1 304 304 free kv b1.s0\n"
    text = text.replace("    r0 100 200 denoise b0.s1\n", back).replace("    r1 304 304 free kv b1.s0\n", gone)
    found = violations(by_hand(problem, text, pattern, placement), problem)
    assert not [line for line in found if line.startswith("R10")]
    waits = text.replace("    r0 413 413 free kv b1.s0\n", "").replace(
        "    r0 100 200 denoise b0.s1\n", "    r0 413 413 free kv b1.s0\n    r0 100 200 denoise b0.s1\n"
    )
    found = violations(by_hand(problem, waits, pattern, placement), problem)
    assert [line for line in found if line.startswith("R10")] == [
        "R10 r0 free kv b1.s0: waits forever for kv b1.s0 to arrive",
        "R10 r1 denoise b1.s0: waits forever for kv b0.s1 to arrive",
    ]


def test_a_free_that_waits_for_its_send_may_not_hold_up_the_other_end() -> None:
    # r0 posts its recv only after the free, which waits for a send that r1 takes only once its own is gone.
    order = GOOD_TRIO.replace("    r0 359 468 recv kv b1.s0 from r1\n", "").replace(
        "    r0 468 618 denoise",
        "    r0 209 209 free kv b0.s0\n    r0 359 468 recv kv b1.s0 from r1\n    r0 468 618 denoise",
    )
    order = order.replace("    r0 618 618 free kv b0.s0\n", "")
    check(by_hand(TRIO, order), TRIO)
    late = order.replace("    r1 100 209 recv kv b0.s0 from r0\n", "").replace(
        "    r1 359 359 free kv b0.s0\n", "    r1 468 468 free kv b1.s0\n    r1 100 209 recv kv b0.s0 from r0\n"
    )
    assert [line for line in violations(by_hand(TRIO, late), TRIO) if line.startswith("R10")] == [
        "R10 r0 free kv b0.s0: waits forever for its send to r1",
        "R10 r1 free kv b1.s0: waits forever for its send to r0",
    ]


@settings(max_examples=100)
@given(st.sampled_from(list(KINDS)), st.randoms(use_true_random=False))
def test_any_order_it_allows_can_be_timed(kind: str, chance: Random) -> None:
    """Rows moved about: the order either can never finish, for `retime` too, or has times that break no rule."""
    problem, plan = made(kind)
    found: list[str] = []
    for _ in range(8):
        moved = reordered(plan, chance)
        lines = explain(moved, problem)
        if not any(re.search("R5|R14|crossed|double free|neither made", line) for line in lines):
            plan, found = moved, lines
    try:
        rows = retime([[row.action for row in program] for program in plan.ranks], priced(problem, plan))
    except InfeasibleError:
        assert any(line.startswith("R10") for line in found)
        return
    timed = plan.model_copy(update={"ranks": rows})
    assert [line for line in explain(timed, problem) if not line.startswith("R7")] == []
