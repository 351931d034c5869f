"""What a trace says of each action and each transfer, simulated and measured."""

from __future__ import annotations

import pytest

from planner.calibrating.observed import Run, observe
from planner.errors import MismatchError
from planner.plan import Plan
from planner.problem import Problem
from planner.trace import Trace
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import Kind, assumed, changed, hand_made, trace_of

# The plan by hand "decoded" as an executor records it: transfers from their posts until somebody noticed their end.
# Rank 1 waits for the K/V from 5 on; rank 0 looks for the latents only after its long first decode.
MEASURED = """
    r0 5 1105 denoise b0.s0
    r0 1110 4210 send kv b0.s0 to r1
    r0 1130 4130 decode b0
    r0 4140 4140 free latents b0.s0
    r0 4210 4210 free kv b0.s0
    r0 4220 4240 recv latents b1.s0 from r1
    r0 4250 4310 decode b1
    r0 4320 4320 free latents b1.s0
    r1 5 1815 recv kv b0.s0 from r0
    r1 1820 2820 denoise b1.s0
    r1 2830 4240 send latents b1.s0 to r0
    r1 2850 2850 free kv b0.s0
    r1 2860 2860 free kv b1.s0
    r1 4240 4240 free latents b1.s0
"""
KV, LATENTS = 0, 1


def seen(name: str, text: str, kind: Kind) -> Run:
    problem, plan = hand_made(name)
    lines, planned = assumed(problem, plan)
    assert [str(move.payload) for move in lines.moves][:1] == ["kv b0.s1" if name == "live" else "kv b0.s0"]
    return observe(lines, trace_of(plan, text, kind), planned)


def test_a_simulated_transfer_is_its_row() -> None:
    run = seen("decoded", BY_HAND["decoded"][1], "simulated")
    assert run.wires == (109, 11)
    assert run.facts.moves == {KV: 100, LATENTS: 359}
    assert run.exact == (True, True)
    assert run.posts == {}
    assert (run.lasted[0, 0], run.lasted[1, 1], run.facts.ends[1, 1]) == (100, 150, 359)


def test_a_measured_transfer_begins_when_both_have_posted_it() -> None:
    run = seen("decoded", MEASURED, "measured")
    assert run.facts.moves[KV] == 1110


def test_an_arrival_somebody_waited_for_is_when_it_was_noticed() -> None:
    run = seen("decoded", MEASURED, "measured")
    assert run.exact[KV]
    assert run.wires[KV] == 1815 - 1110


def test_an_arrival_noticed_late_is_taken_to_have_come_as_planned() -> None:
    """The latents can have taken 20 us at most, from both posts on; planned are 11."""
    run = seen("decoded", MEASURED, "measured")
    assert not run.exact[LATENTS]
    assert (run.facts.moves[LATENTS], run.wires[LATENTS], run.at_most[LATENTS]) == (4220, 11, 20)


def test_long_waits_count_however_long_the_transfer() -> None:
    """Of 5 ms rank 1 computes 4.5; the rest it waits."""
    problem, plan = pair()
    run = timed(problem, plan, {"recv kv b0.s1 from r0": (0, 6000), "denoise b1.s0": (1200, 5500)})
    assert run.exact == (False, True)
    assert run.wires[1] == 6000 - 1000
    late = timed(problem, plan, {"recv kv b0.s1 from r0": (0, 5700), "denoise b1.s0": (1200, 5500)})
    assert late.exact == (False, False)
    assert (late.wires[1], late.at_most[1]) == (149, 4700)


def test_nothing_overtakes_on_one_way() -> None:
    """The second was seen to arrive at 1040, so the first did not arrive later, though it was noticed later."""
    problem, plan = pair()
    run = timed(
        problem, plan, {"recv kv b0.s0 from r0": (0, 9000), "recv kv b0.s1 from r0": (0, 1040)}, sent=(950, 960)
    )
    assert run.exact[1]
    assert run.facts.moves[0] + run.wires[0] == 1040
    assert run.facts.moves[1] + run.wires[1] == 1040


def pair() -> tuple[Problem, Plan]:
    """Two blocks of two steps on a rank each: K/V of both steps goes one way."""
    problem = clip(model(2), 2, 2, decode=False)
    return problem, plan_of(costed(problem, cascade(1), "block"))


def timed(problem: Problem, plan: Plan, on_r1: dict[str, tuple[int, int]], sent: tuple[int, int] = (500, 1000)) -> Run:
    """A measured run: the sends are posted at these times, rank 1 does so, and all else is as planned."""
    sends = {f"send kv b0.s{step} to r1": (at, 10**4) for step, at in enumerate(sent)}
    ranks = tuple(
        tuple(row._replace(start_us=a, end_us=b) for row in rows for a, b in [changes.get(str(row.action), row[1:])])
        for rows, changes in zip(plan.ranks, (sends, on_r1), strict=True)
    )
    lines, planned = assumed(problem, plan)
    trace = Trace(plan_digest=plan.digest, kind="measured", last_step=plan.last_step, ranks=ranks)
    return observe(lines, trace, planned)


def test_posting_is_seen_where_no_end_was_noticed_in_between() -> None:
    """Rank 0's send until its decode, rank 1's until its free; both receives end before the next row."""
    run = seen("decoded", MEASURED, "measured")
    assert run.posts == {(0, 1): 20, (1, 2): 20}


def test_a_share_lasts_from_the_last_ones_start() -> None:
    text = changed(BY_HAND["gang"][1], ("r1 100 2209 tick 1", "r1 160 2209 tick 1"))
    run = seen_gang(text)
    assert {run.lasted[0, 1], run.lasted[1, 1]} == {2209 - 160}


def seen_gang(text: str) -> Run:
    problem, plan = hand_made("gang")
    lines, planned = assumed(problem, plan)
    return observe(lines, trace_of(plan, text), planned)


def test_a_live_reader_as_long_as_its_stream_is_held() -> None:
    """By hand it ends a layer, 25 us, after 279: that is the stream's doing."""
    run = seen("live", BY_HAND["live"][1], "simulated")
    assert run.held == {(1, 1)}
    assert run.wires == (27,)


def test_a_live_reader_slower_than_its_stream_is_not() -> None:
    text = changed(
        BY_HAND["live"][1],
        ("r1 144 304 denoise b1.s0", "r1 144 404 denoise b1.s0"),
        ("r1 304 454 denoise", "r1 404 554 denoise"),
    )
    assert seen("live", text, "simulated").held == set()


def test_rows_may_come_in_any_order() -> None:
    problem, plan = hand_made("decoded")
    lines, planned = assumed(problem, plan)
    trace = Trace(
        plan_digest=plan.digest,
        kind="simulated",
        last_step=0,
        ranks=tuple(tuple(reversed(rows)) for rows in plan.ranks),
    )
    assert observe(lines, trace, planned).rows == plan.ranks


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ((("    r0 370 430 decode b1\n", ""),), "rank 0 lacks 'decode b1' and 0 more: not a whole run"),
        ((("decode b1", "decode b2"),), "rank 0 lacks 'decode b1' and 0 more"),
        ((("r0 370 430 decode b1", "r0 370 430 decode b1\n r0 430 440 decode b2"),), "rank 0 has 'decode b2', which"),
        ((("r0 370 430 decode b1", "r0 370 430 decode b1\n r0 430 440 decode b1"),), "rank 0 has 'decode b1', which"),
    ],
)
def test_other_actions_than_the_plans_are_refused(changes: tuple[tuple[str, str], ...], told: str) -> None:
    with pytest.raises(MismatchError, match=told):
        seen("decoded", changed(BY_HAND["decoded"][1], *changes), "simulated")


def test_other_ranks_than_the_plans_are_refused() -> None:
    problem, plan = hand_made("decoded")
    lines, planned = assumed(problem, plan)
    trace = Trace(plan_digest=plan.digest, kind="measured", last_step=0, ranks=plan.ranks[:1])
    with pytest.raises(MismatchError, match=r"has 1 rank\(s\), the plan 2"):
        observe(lines, trace, planned)
