"""Timing: the earliest times an order allows, by hand; as the scheduler foretold; deadlocks named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import Action, TimedAction
from planner.cost import costs
from planner.errors import InfeasibleError
from planner.graph import build_graph
from planner.lower import lower
from planner.patterns import Pattern
from planner.placement import all_placements
from planner.problem import Problem
from planner.rows import rows_to_text
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from planner.timing import retime
from tests.planner.clips import cascade, clip, model, program, scheduled
from tests.strategies import patterns, problems


def timed(problem: Problem, pattern: Pattern, *programs: str) -> list[str]:
    """The rows of programs given as text, as text."""
    timing = costs(problem)
    graph = build_graph(problem, pattern, timing)
    return rows_to_text(retime([program(text) for text in programs], graph, timing)).splitlines()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def test_a_lowered_clip_by_hand() -> None:
    problem = clip(model(1, clean=True), 2, 2)
    pattern = Pattern.sequential(problem.model)
    graph = build_graph(problem, pattern, costs(problem))
    rows = retime(lower(scheduled(problem, pattern), graph), graph, costs(problem))
    assert rows_to_text(rows).splitlines() == lines("""
        r0 0 100 denoise b0.s0
        r0 100 106 send latents b0.s0 to r1
        r0 100 100 free kv b0.s0
        r0 100 180 commit b0
        r0 180 180 free latents b0.s0
        r0 180 330 denoise b1.s0
        r0 330 336 send latents b1.s0 to r1
        r0 330 330 free kv b0.c
        r0 330 330 free kv b1.s0
        r0 336 336 free latents b1.s0
        r1 100 106 recv latents b0.s0 from r0
        r1 106 146 decode b0
        r1 330 336 recv latents b1.s0 from r0
        r1 146 146 free latents b0.s0
        r1 336 396 decode b1
        r1 396 396 free latents b1.s0
    """)


TRIO = clip(model(1), 3, 2, decode=False)


def test_a_transfer_waits_for_both_ends_and_for_the_link_by_hand() -> None:
    # Rank 1 posts its receives only after its own block at 200 us; the link then serves them one after the other.
    problem = clip(model(1, window=3), 4, 2, decode=False)
    rows = timed(
        problem,
        cascade(1),
        """
            denoise b0.s0
            send kv b0.s0 to r1
            denoise b1.s0
            send kv b1.s0 to r1
            free kv b0.s0
            free kv b1.s0
            recv kv b2.s0 from r1
            denoise b3.s0
        """,
        """
            recv kv b0.s0 from r0
            recv kv b1.s0 from r0
            denoise b2.s0
            send kv b2.s0 to r0
            free kv b2.s0
        """,
    )
    # The free at 249 us waits for its send; block 3 reads what rank 0 made itself as well.
    assert rows == lines("""
        r0 0 100 denoise b0.s0
        r0 100 249 send kv b0.s0 to r1
        r0 100 250 denoise b1.s0
        r0 250 399 send kv b1.s0 to r1
        r0 250 250 free kv b0.s0
        r0 399 399 free kv b1.s0
        r0 599 748 recv kv b2.s0 from r1
        r0 748 948 denoise b3.s0
        r1 100 249 recv kv b0.s0 from r0
        r1 250 399 recv kv b1.s0 from r0
        r1 399 599 denoise b2.s0
        r1 599 748 send kv b2.s0 to r0
        r1 748 748 free kv b2.s0
    """)


def test_a_late_receive_holds_up_the_link_by_hand() -> None:
    # Blocks that read nothing, so rank 1 works until 200 us before it takes anything.
    problem = clip(model(2, window=1), 2, 2, decode=False)
    rows = timed(
        problem,
        cascade(1),
        "denoise b0.s0\nsend latents b0.s0 to r1\nsend kv b0.s0 to r1\nfree latents b0.s0",
        "denoise b1.s0\ndenoise b1.s1\nrecv latents b0.s0 from r0\nrecv kv b0.s0 from r0\ndenoise b0.s1",
    )
    # The last pass reads the latents, so it need not wait for the K/V.
    assert rows == lines("""
        r0 0 100 denoise b0.s0
        r0 200 206 send latents b0.s0 to r1
        r0 206 355 send kv b0.s0 to r1
        r0 206 206 free latents b0.s0
        r1 0 100 denoise b1.s0
        r1 100 200 denoise b1.s1
        r1 200 206 recv latents b0.s0 from r0
        r1 206 355 recv kv b0.s0 from r0
        r1 206 306 denoise b0.s1
    """)


def test_a_free_waits_for_every_send_of_its_payload_by_hand() -> None:
    problem = clip(model(1, window=3), 3, 3, decode=False)
    rows = timed(
        problem,
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nsend kv b0.s0 to r2\nfree kv b0.s0\nfree latents b0.s0",
        "recv kv b0.s0 from r0\ndenoise b1.s0\nsend kv b1.s0 to r2",
        "recv kv b1.s0 from r1\nrecv kv b0.s0 from r0\ndenoise b2.s0",
    )
    assert rows[1:5] == lines("""
        r0 100 249 send kv b0.s0 to r1
        r0 100 249 send kv b0.s0 to r2
        r0 249 249 free kv b0.s0
        r0 249 249 free latents b0.s0
    """)
    assert rows[-3:] == lines("""
        r2 399 548 recv kv b1.s0 from r1
        r2 100 249 recv kv b0.s0 from r0
        r2 548 748 denoise b2.s0
    """)


INDEPENDENT = clip(model(1, window=1), 3, 2, decode=False)


@pytest.mark.parametrize(
    ("problem", "programs", "places"),
    [
        # Each waits for what the other would send later.
        (
            TRIO,
            ("recv kv b1.s0 from r1\ndenoise b2.s0\nsend kv b0.s0 to r1", "recv kv b0.s0 from r0\ndenoise b1.s0"),
            ["r0 at denoise b2.s0", "r1 at denoise b1.s0"],
        ),
        # Each frees what the other takes only after its own free.
        (
            INDEPENDENT,
            (
                "denoise b0.s0\nsend kv b0.s0 to r1\nfree kv b0.s0\nrecv kv b1.s0 from r1",
                "denoise b1.s0\nsend kv b1.s0 to r0\nfree kv b1.s0\nrecv kv b0.s0 from r0",
            ),
            ["r0 at free kv b0.s0", "r1 at free kv b1.s0"],
        ),
        # One rank is fine, the other is never sent anything.
        (TRIO, ("denoise b0.s0", "recv kv b0.s0 from r0\ndenoise b1.s0"), ["r1 at denoise b1.s0"]),
    ],
)
def test_deadlocks_are_named(problem: Problem, programs: tuple[str, str], places: list[str]) -> None:
    with pytest.raises(InfeasibleError) as refused:
        timed(problem, cascade(1), *programs)
    assert str(refused.value) == f"the programs never finish: {', '.join(places)}"


def test_receives_before_frees_do_not_deadlock_by_hand() -> None:
    rows = timed(
        INDEPENDENT,
        cascade(1),
        "denoise b0.s0\nsend kv b0.s0 to r1\nrecv kv b1.s0 from r1\nfree kv b0.s0",
        "denoise b1.s0\nsend kv b1.s0 to r0\nfree kv b1.s0\nrecv kv b0.s0 from r0",
    )
    # Rank 1 takes rank 0's only once its own is gone.
    assert rows == lines("""
        r0 0 100 denoise b0.s0
        r0 249 398 send kv b0.s0 to r1
        r0 100 249 recv kv b1.s0 from r1
        r0 398 398 free kv b0.s0
        r1 0 100 denoise b1.s0
        r1 100 249 send kv b1.s0 to r0
        r1 249 249 free kv b1.s0
        r1 249 398 recv kv b0.s0 from r0
    """)


@settings(max_examples=100)
@given(st.data(), problems(), st.sampled_from(RULES))
def test_what_the_scheduler_foretold_is_kept(data: st.DataObject, problem: Problem, rule: Rule) -> None:
    pattern, ranks = data.draw(patterns(problem.model)), problem.cluster.size
    where = data.draw(st.sampled_from(all_placements(ranks, decode=problem.workload.decode)))
    timing = costs(problem)
    graph = build_graph(problem, pattern, timing)
    schedule = list_schedule(graph, timing, where, ranks, rule)
    rows = retime(lower(schedule, graph), graph, timing)
    for foretold, program_rows in zip(schedule.ranks, rows, strict=True):
        computed = [row for row in program_rows if row.action.is_compute]
        assert [row.action for row in computed] == [row.action for row in foretold]
        assert all(row.end_us <= planned.end_us for row, planned in zip(computed, foretold, strict=True))
    again: list[list[Action]] = [[row.action for row in program_rows] for program_rows in rows]
    assert retime(again, graph, timing) == rows


def test_rows_keep_the_order_of_the_program() -> None:
    text = "denoise b0.s0\nfree kv b0.s0\nfree latents b0.s0"
    timing = costs(TRIO)
    graph = build_graph(TRIO, cascade(1), timing)
    rows = retime([program(text), []], graph, timing)
    assert rows == (
        (
            TimedAction(Action.parse("denoise b0.s0"), 0, 100),
            TimedAction(Action.parse("free kv b0.s0"), 100, 100),
            TimedAction(Action.parse("free latents b0.s0"), 100, 100),
        ),
        (),
    )
