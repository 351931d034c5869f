"""Lowering: two clips' programs in full, and what each payload goes through in all programs."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import Action, Kind, Payload
from planner.cost import costs
from planner.graph import build_graph
from planner.lower import lower, made_by
from planner.patterns import Pattern
from planner.placement import all_placements
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, Rule, list_schedule
from tests.planner.clips import cascade, clip, model, program, scheduled
from tests.strategies import patterns, problems


def lowered(problem: Problem, pattern: Pattern, placement: str = "free") -> list[list[Action]]:
    return lower(scheduled(problem, pattern, placement), build_graph(problem, pattern, costs(problem)))


def test_programs_with_a_decoder_by_hand() -> None:
    # Times are in test_list_schedule. Frees come after the posts of their place, before the next compute action.
    problem = clip(model(1, clean=True), 2, 2)
    assert lowered(problem, Pattern.sequential(problem.model)) == [
        program("""
            denoise b0.s0
            send latents b0.s0 to r1
            free kv b0.s0
            commit b0
            free latents b0.s0
            denoise b1.s0
            send latents b1.s0 to r1
            free kv b0.c
            free kv b1.s0
            free latents b1.s0
        """),
        program("""
            recv latents b0.s0 from r0
            decode b0
            recv latents b1.s0 from r0
            free latents b0.s0
            decode b1
            free latents b1.s0
        """),
    ]


def test_programs_that_leave_latents_by_hand() -> None:
    # The second K/V waits for the link until 249 us, when rank 0 has long been done; the last latents are the clip.
    assert lowered(clip(model(2), 2, 2, decode=False), cascade(1), "block") == [
        program("""
            denoise b0.s0
            send kv b0.s0 to r1
            denoise b0.s1
            send kv b0.s1 to r1
            free kv b0.s0
            free latents b0.s0
            free kv b0.s1
        """),
        program("""
            recv kv b0.s0 from r0
            recv kv b0.s1 from r0
            denoise b1.s0
            free kv b1.s0
            free kv b0.s0
            denoise b1.s1
            free latents b1.s0
            free kv b1.s1
            free kv b0.s1
        """),
    ]


def test_a_rank_without_work_has_an_empty_program() -> None:
    assert lowered(clip(model(1), 1, 3, decode=False), cascade(1)) == [
        program("denoise b0.s0\nfree kv b0.s0"),
        [],
        [],
    ]


def test_what_an_action_makes() -> None:
    assert made_by(Action.parse("denoise b3.s2")) == (Payload("kv", 3, 2), Payload("latents", 3, 2))
    assert made_by(Action.parse("commit b3")) == (Payload("kv", 3, None),)
    assert made_by(Action.parse("decode b3")) == ()


@settings(max_examples=100)
@given(st.data(), problems(), st.sampled_from(RULES))
def test_every_program_keeps_house(data: st.DataObject, problem: Problem, rule: Rule) -> None:
    pattern, ranks = data.draw(patterns(problem.model)), problem.cluster.size
    where = data.draw(st.sampled_from(all_placements(ranks, decode=problem.workload.decode)))
    graph = build_graph(problem, pattern, costs(problem))
    schedule = list_schedule(graph, costs(problem), where, ranks, rule)
    programs = lower(schedule, graph)
    assert [[a for a in p if a.is_compute] for p in programs] == [
        [row.action for row in rows] for rows in schedule.ranks
    ]

    sends, receives = (
        Counter((a.payload, *ends(rank, a)) for rank, p in enumerate(programs) for a in p if a.kind is kind)
        for kind in (Kind.SEND, Kind.RECV)
    )
    assert sends == receives == Counter((t.payload, t.source, t.target) for t in schedule.transfers)

    # Walked in order: read and sent while held, freed once, and but for the clip itself nothing is left.
    last = problem.model.steps - 1
    for actions in programs:
        held: set[Payload] = set()
        for action in actions:
            if action.is_compute:
                needed = {edge["payload"] for _, _, edge in graph.in_edges(action, data=True)} - {None}
                assert needed <= held
                assert held.isdisjoint(made_by(action))
                held.update(made_by(action))
            elif action.kind is Kind.RECV:
                assert action.payload not in held
                held.add(action.payload)
            else:
                assert action.payload in held
                if action.kind is Kind.FREE:
                    held.remove(action.payload)
        passes = {a.block for a in actions if a.kind is Kind.DENOISE and a.step == last}
        kept = set() if problem.workload.decode else {Payload("latents", block, last) for block in passes}
        assert held == kept


def ends(rank: int, action: Action) -> tuple[int, int]:
    """(source, target) of a transfer in a rank's program."""
    assert action.peer is not None
    return (rank, action.peer) if action.kind is Kind.SEND else (action.peer, rank)
