"""Lowering: clips' programs in full, and what each payload goes through in all programs."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import COMING, LEAVING, TRANSFERS, Action, Kind, Payload
from planner.cost import Costs
from planner.lower import is_output, lower
from planner.patterns import Pattern
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, Rule
from tests.planner.clips import cascade, clip, costed, drafted, model, program
from tests.strategies import costings


def lowered(problem: Problem, pattern: Pattern, placement: str = "free") -> list[list[Action]]:
    timing = costed(problem, pattern, placement)
    return lower(drafted(timing), timing.flow)


def test_programs_with_a_decoder_by_hand() -> None:
    # Frees come after the posts of their place, before the next compute action.
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


def test_programs_with_a_stream_by_hand() -> None:
    # The stream is posted before its maker begins, at the same place as what is ready then.
    assert lowered(clip(model(2), 2, 2, decode=False), cascade(1, "live-causal"), "block") == [
        program("""
            denoise b0.s0
            stream kv b0.s1 to r1
            free kv b0.s0
            denoise b0.s1
            free latents b0.s0
            free kv b0.s1
        """),
        program("""
            tap kv b0.s1 from r0
            denoise b1.s0
            free kv b1.s0
            denoise b1.s1
            free latents b1.s0
            free kv b1.s1
            free kv b0.s1
        """),
    ]


def test_programs_of_a_gang_by_hand() -> None:
    # Both denoising ranks keep the clean K/V; what is decoded goes to the third.
    assert lowered(clip(model(1, clean=True), 2, 3), cascade(1, "live-joint"), "block+decoder") == [
        program("""
            tick 0 b0.s0
            send latents b0.s0 to r2
            tick 1 b0.c
            free latents b0.s0
            free kv b0.c
        """),
        program("""
            tick 0
            tick 1 b1.s0
            send latents b1.s0 to r2
            free kv b0.c
            free latents b1.s0
        """),
        program("""
            recv latents b0.s0 from r0
            decode b0
            recv latents b1.s0 from r1
            free latents b0.s0
            decode b1
            free latents b1.s0
        """),
    ]


def test_a_rank_without_work_has_an_empty_program() -> None:
    assert lowered(clip(model(1), 1, 3, decode=False), cascade(1)) == [
        program("denoise b0.s0\nfree kv b0.s0"),
        [],
        [],
    ]


def test_the_clip_is_what_is_left() -> None:
    problem = clip(model(2, first_block_steps=3), 2, decode=False)
    left = costed(problem, cascade(1)).flow
    assert [is_output(Payload("latents", *place), left) for place in ((0, 2), (0, 1), (1, 1), (1, 0))] == [
        True,
        False,
        True,
        False,
    ]
    assert not is_output(Payload("kv", 1, 1), left)
    assert not is_output(Payload("latents", 1, 1), costed(clip(model(2), 2), cascade(1)).flow)


@settings(max_examples=200)
@given(costings(), st.sampled_from(RULES))
def test_every_program_keeps_house(timing: Costs, rule: Rule) -> None:
    flow, draft = timing.flow, drafted(timing, rule)
    programs = lower(draft, flow)
    assert [[a for a in p if a.is_compute] for p in programs] == [[row.action for row in rows] for rows in draft.ranks]
    # Walked in order: read and sent while held, freed once, and but for the clip itself nothing is left.
    for actions in programs:
        held: set[Payload] = set()
        for place, action in enumerate(actions):
            if action.is_compute:
                assert held.issuperset(flow.needs(action))
                assert held.isdisjoint(flow.makes(action))
                held.update(flow.makes(action))
            elif action.kind in COMING:
                assert action.payload not in held
                held.add(action.payload)
            elif action.kind is Kind.STREAM:
                # The very next compute action makes it.
                maker = next(a for a in actions[place:] if a.is_compute)
                assert action.payload in flow.makes(maker)
            else:
                assert action.payload in held
                if action.kind is Kind.FREE:
                    held.remove(action.payload)
        assert held == {p for a in actions if a.is_compute for p in flow.makes(a) if is_output(p, flow)}


@settings(max_examples=200)
@given(costings(min_devices=2), st.sampled_from(RULES))
def test_both_ends_of_a_way_post_in_the_same_order(timing: Costs, rule: Rule) -> None:
    draft = drafted(timing, rule)
    posts: dict[bool, dict[tuple[int, int], list[tuple[bool, Payload]]]] = {True: {}, False: {}}
    for rank, actions in enumerate(lower(draft, timing.flow)):
        for action in actions:
            if action.kind in TRANSFERS:
                assert action.peer is not None
                leaves = action.kind in LEAVING
                way = (rank, action.peer) if leaves else (action.peer, rank)
                streams = action.kind in (Kind.STREAM, Kind.TAP)
                posts[leaves].setdefault(way, []).append((streams, action.payload))
    assert posts[True] == posts[False]
    moved = Counter((move.payload, move.source, move.target, move.live) for move in draft.moves)
    sent = Counter((payload, *way, streams) for way, sends in posts[True].items() for streams, payload in sends)
    assert sent == moved
    assert set(sent.values()) <= {1}


@settings(max_examples=100)
@given(costings())
def test_frees_follow_the_posts_of_their_place(timing: Costs) -> None:
    """One that waits for its send must not keep a receive from being posted."""
    for actions in lower(drafted(timing), timing.flow):
        kinds = defaultdict(list)
        place = 0
        for action in actions:
            place += action.is_compute
            kinds[place].append(action.kind is Kind.FREE)
        for frees in kinds.values():
            assert frees[1:] == sorted(frees[1:])
