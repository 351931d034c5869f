"""A clip cut in two: what is left to do lacks nothing, waits for nobody in vain, and holds no more than was planned."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.keeping.cuts import START, Before, Cut, Cuts, state
from executor.keeping.remaining import is_load, load, remaining
from planner.action import COMING, LEAVING, TRANSFERS, Action, Kind, Payload
from planner.flow import Flow
from planner.memory import slots_needed
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from tests.planner.clips import cascade, clip, costed, model
from tests.strategies import listed


def flow_of(problem: Problem, plan: Plan) -> Flow:
    return Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)


def programs_of(plan: Plan) -> list[list[Action]]:
    return [[row.action for row in rows] for rows in plan.ranks]


def cuts_of(flow: Flow) -> st.SearchStrategy[Cut]:
    """Any cut; in a ring now and then that of another ring."""
    rings = st.just(0)
    if flow.placement.passes == "ring":
        rings = st.just(flow.layout.denoising) | st.integers(1, 5)
    return st.builds(Cut, st.integers(0, flow.blocks), rings)


def left_of(plan: Plan, flow: Flow, cut: Cut) -> list[list[Action]]:
    return [remaining(program, flow, cut, rank) for rank, program in enumerate(programs_of(plan))]


@settings(max_examples=80)
@given(data=st.data(), case=listed())
def test_what_is_done_and_what_is_left_make_the_clip(data: st.DataObject, case: tuple[Problem, Plan]) -> None:
    flow = flow_of(*case)
    cut = data.draw(cuts_of(flow))
    before = Before(flow, cut)
    for program, left in zip(programs_of(case[1]), left_of(case[1], flow, cut), strict=True):
        computes = [action for action in program if action.is_compute]
        rest = [before.rest(action) for action in computes]
        assert [action for action in left if action.is_compute] == [action for action in rest if action is not None]
        for action, kept in zip(computes, rest, strict=True):
            gone = set(flow.makes(action)) - set(() if kept is None else flow.makes(kept))
            assert all(before.made(payload) for payload in gone)
            assert not any(before.made(payload) for payload in (() if kept is None else flow.makes(kept)))
            if kept is None:  # nothing that is done has read what is not
                assert all(before.made(payload) or payload.carries == "text" for payload in flow.needs(action))


@settings(max_examples=80)
@given(data=st.data(), case=listed())
def test_what_is_left_lacks_nothing_and_holds_no_more(data: st.DataObject, case: tuple[Problem, Plan]) -> None:
    flow = flow_of(*case)
    cut = data.draw(cuts_of(flow))
    loaded: set[Payload] = set()
    for rank, (program, left) in enumerate(zip(programs_of(case[1]), left_of(case[1], flow, cut), strict=True)):
        held: set[Payload] = set()
        for action in left:
            if action.is_compute:
                assert set(flow.needs(action)) <= held, action
                held.update(flow.makes(action))
            elif action.kind is Kind.FREE:
                held.remove(action.payload)
            elif action.kind in COMING:
                assert action.payload not in held
                held.add(action.payload)
            if is_load(action, rank):
                loaded.add(action.payload)
        assert slots_needed(left, flow) <= slots_needed(program, flow)
    assert loaded == state(flow, cut)


@settings(max_examples=80)
@given(data=st.data(), case=listed(min_devices=2))
def test_what_is_left_ends_even_if_every_send_waits_for_its_receive(
    data: st.DataObject, case: tuple[Problem, Plan]
) -> None:
    flow = flow_of(*case)
    left = left_of(case[1], flow, data.draw(cuts_of(flow)))
    assert stuck(left, flow) == []


def test_a_crossed_program_is_stuck() -> None:
    """The dry run can fail."""
    problem = clip(model(2), 2, 2, decode=False)
    flow = costed(problem, cascade(1)).flow
    wait = [Action(Kind.RECV, 0, 0, "latents", 1), Action(Kind.DENOISE, 0, 1), Action(Kind.SEND, 0, 1, "latents", 1)]
    other = [Action(Kind.RECV, 0, 1, "latents", 0), Action(Kind.DECODE, 0), Action(Kind.SEND, 0, 0, "latents", 0)]
    assert stuck([wait, other], flow) == [wait[1], other[1]]


@settings(max_examples=60)
@given(case=listed(min_blocks=2), every=st.integers(1, 4))
def test_what_is_saved_is_what_the_cuts_need(case: tuple[Problem, Plan], every: int) -> None:
    flow = flow_of(*case)
    cuts = Cuts(flow, every)
    needed = {payload for block in cuts.blocks for payload in state(flow, cuts.cut(block))}
    computes = [action for program in programs_of(case[1]) for action in program if action.is_compute]
    made = {payload for action in computes for payload in flow.makes(action)}
    assert {payload for payload in made if cuts.saves(payload)} == needed
    counts = {cuts.finished(cuts.cut(block)) for block in cuts.blocks}
    assert {block + 1 for block in range(flow.blocks) if cuts.saves_codec(block)} == counts - {0}


def test_cuts_by_hand() -> None:
    """Two steps and a clean pass, offset 2: before block 2 blocks 0 and 1 have run but for the clean pass of 1."""
    problem = clip(model(2, clean=True, window=3), 5, 2)
    flow = costed(problem, cascade(2), "step").flow
    before = Before(flow, Cut(2))
    assert [before.ran(1, stage) for stage in range(3)] == [True, True, False]
    assert before.finished(1)
    assert not before.finished(2)
    # What block 2 reads: its step 0 reads block 1 at level 1, which is its step 1, and block 0 at level 2.
    latents, kv = Payload("latents", 1, 1), [Payload("kv", 0, None), Payload("kv", 1, 1)]
    assert state(flow, Cut(2)) == {latents, *kv}
    cuts = Cuts(flow, 2)
    assert list(cuts.blocks) == [2, 4]
    assert [cuts.finished(cuts.cut(block)) for block in cuts.blocks] == [2, 4]
    assert cuts.saves(kv[0])
    assert not cuts.saves(Payload("kv", 0, 1))
    assert [cuts.saves_codec(block) for block in range(5)] == [False, True, False, True, False]


def test_a_context_made_anew_much_later_needs_the_sinks_latents_all_along() -> None:
    spec = model(1, window=3, sink=1)
    problem = clip(spec, 40, asked={"switches": [{"at_us": 1, "recache": True}]})
    flow = costed(problem, Pattern.sequential(spec), switch_ticks=(30,)).flow
    assert flow.recached == (30,)
    kv = {Payload("kv", 0, 0), Payload("kv", 19, 0)}
    assert state(flow, Cut(20)) == {*kv, Payload("latents", 0, 0)}
    assert state(flow, Cut(30)) == {Payload("latents", 0, 0), Payload("latents", 29, 0)}
    assert state(flow, Cut(31)) == {Payload("context", 30), Payload("kv", 30, 0)}


def test_the_start_and_the_end_need_nothing() -> None:
    flow = costed(clip(model(2), 3), Pattern.sequential(model(2))).flow
    assert state(flow, START) == state(flow, Cut(3)) == frozenset()
    assert Cuts(flow, 2).finished(Cuts(flow, 2).end) == 3
    program = [Action(Kind.DENOISE, 0, 0), Action(Kind.DECODE, 2), Action(Kind.FREE, 2, 1, "latents")]
    assert remaining(program, flow, Cut(3), 0) == []
    assert remaining(program[:2], flow, START, 0) == program[:2]


def test_a_load_stands_where_the_payload_came() -> None:
    problem = clip(model(1, window=2), 3, 2, decode=False)
    flow = costed(problem, cascade(1)).flow
    came, read = Action(Kind.RECV, 0, 0, "kv", 1), Action(Kind.DENOISE, 1, 0)
    freed = Action(Kind.FREE, 0, 0, "kv")
    assert remaining([came, read, freed], flow, Cut(1), 0) == [load(came.payload, 0), read, freed]
    assert remaining([came, read, freed], flow, Cut(2), 0) == []


@pytest.mark.parametrize("ring", [1, 2, 3])
def test_another_rings_cut_leaves_parts_of_slices(ring: int) -> None:
    problem = clip(model(2), 4, 2, decode=False)
    flow = costed(problem, Pattern(name="layers", offset=1), "ring").flow
    before = Before(flow, Cut(2, ring))
    assert [item for item in [(b, k) for b in range(4) for k in range(2)] if before.ran(*item)] == [
        (b, k) for b in range(2) for k in range(2) if b + k * ring < 2
    ]
    whole = Action(Kind.SLICE, 2, 0, batch=flow.wave(2))
    assert whole.batch == ((0, 1), (2, 0))
    assert before.rest(whole) == whole._replace(batch=whole.batch if ring > 1 else whole.batch[1:])


def stuck(programs: Sequence[Sequence[Action]], flow: Flow) -> list[Action]:
    """Where each rank stands that never ends. The k-th send over a way meets the k-th receive, in order; compute waits
    for what it reads, shares of a gang and of a group for one another, a free for its own sends.
    """
    at = [0] * len(programs)
    ways: dict[tuple[int, int], tuple[deque[Action], deque[Action]]] = {}
    coming: list[set[Payload]] = [set() for _ in programs]
    leaving: list[list[Payload]] = [[] for _ in programs]
    made: list[set[Payload]] = [set() for _ in programs]
    unit = {rank: ranks for ranks in flow.layout.units for rank in ranks}

    def mates(rank: int, action: Action) -> list[int]:
        group = range(len(programs)) if action.kind is Kind.TICK else unit.get(rank, (rank,))
        return [m for m in group if any(a.gang == action.gang for a in programs[m] if a.is_compute)]

    def here(rank: int, action: Action) -> bool:
        standing = programs[rank][at[rank]] if at[rank] < len(programs[rank]) else None
        ready = standing is not None and standing.is_compute and standing.gang == action.gang
        return ready and not coming[rank] & set(flow.needs(standing)) if standing is not None else False

    def cross(source: int, target: int) -> None:
        sends, receives = ways.setdefault((source, target), (deque(), deque()))
        while sends and receives and not (sends[0].kind is Kind.STREAM and sends[0].payload not in made[source]):
            payload = sends.popleft().payload
            assert receives.popleft().payload == payload
            coming[target].discard(payload)
            leaving[source].remove(payload)

    def goes(rank: int) -> bool:
        action = programs[rank][at[rank]]
        if action.is_compute:
            group = mates(rank, action)
            if not all(here(mate, action) for mate in group):
                return False
            for mate in group:
                made[mate].update(flow.makes(programs[mate][at[mate]]))
                at[mate] += 1
            for way in list(ways):
                cross(*way)
            return True
        if action.kind in TRANSFERS and not is_load(action, rank):
            assert action.peer is not None
            if action.kind in LEAVING:
                if action.kind is Kind.SEND and action.payload in coming[rank]:
                    return False
                leaving[rank].append(action.payload)
                ways.setdefault((rank, action.peer), (deque(), deque()))[0].append(action)
                cross(rank, action.peer)
            else:
                coming[rank].add(action.payload)
                ways.setdefault((action.peer, rank), (deque(), deque()))[1].append(action)
                cross(action.peer, rank)
        elif action.kind is Kind.FREE and (action.payload in coming[rank] or action.payload in leaving[rank]):
            return False
        at[rank] += 1
        return True

    moved = True
    while moved:
        moved = False
        for rank, program in enumerate(programs):
            while at[rank] < len(program) and goes(rank):
                moved = True
    return [program[place] for program, place in zip(programs, at, strict=True) if place < len(program)]
