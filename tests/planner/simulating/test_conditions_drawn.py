"""What holds of every plan under whatever conditions."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.action import LEAVING, Action
from planner.conditions import Conditions, Outage, Player, SlowLink, StartUp, Straggler
from planner.cost import costs
from planner.errors import InfeasibleError
from planner.flow import Flow
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from planner.trace import Trace
from tests.planner.simulating.conditions_drawn import conditions
from tests.strategies import listed

Made = tuple[Problem, Plan]
TURNS = st.sampled_from(["planned", "ready", "fair"])
SLOTS = st.none() | st.integers(1, 3)


@st.composite
def worse(draw: st.DrawFn, made: Made) -> Conditions:
    """One thing that goes wrong."""
    problem, plan = made
    rank, until = st.integers(0, problem.cluster.size - 1), max(2, plan.makespan_us)
    at, factor = draw(st.integers(0, until)), draw(st.sampled_from([1.0, 1.01, 1.7, 30.0]))
    later = at + draw(st.integers(1, until))
    faults: list[dict[str, object]] = [
        {
            "stragglers": [
                Straggler(rank=draw(rank), factor=factor, from_us=at, until_us=draw(st.sampled_from([None, later])))
            ]
        },
        {"slow_links": [SlowLink(factor=factor, source=draw(st.none() | rank))]},
        {"outages": [Outage(rank=draw(rank), at_us=at, back_us=later)]},
        {"start_up": StartUp(ready_us=at, compile_us=draw(st.integers(0, until)))},
        {"player": Player(queue_blocks=draw(st.integers(1, 3)))},
    ]
    return Conditions.model_validate(draw(st.sampled_from(faults)))


def played(made: Made, given_conditions: Conditions, run: int = 0) -> Trace:
    """One run; plans that finish later blocks first, which a short queue brings to a halt, are passed over."""
    problem, plan = made
    try:
        return simulate(plan, problem, given_conditions, run=run)
    except InfeasibleError as error:
        assume(given_conditions.player.queue_blocks is None or plan.finished_us == sorted(plan.finished_us))
        raise AssertionError(error) from error


def out(given_conditions: Conditions, rank: int, start: int, end: int) -> bool:
    """Whether an outage of the rank falls into the time."""
    return any(
        o.rank == rank and o.at_us < end and (o.back_us is None or o.back_us > start) for o in given_conditions.outages
    )


def require_sound(made: Made, given_conditions: Conditions, trace: Trace) -> None:
    """Rows that keep the plan's order, and in which nobody works who is out."""
    problem, plan = made
    gangs: dict[Action, set[tuple[int, int]]] = defaultdict(set)
    moves: dict[object, list[tuple[int, int]]] = defaultdict(list)
    for rank, (rows, planned) in enumerate(zip(trace.ranks, plan.ranks, strict=True)):
        done = [row.action for row in rows]
        assert done == [row.action for row in planned if row.action in set(done)]
        taken = [row for row in rows if row.action.peer is None]
        assert all(before.end_us <= after.start_us for before, after in pairwise(taken))
        for action, start, end in rows:
            if action.is_compute:
                gangs[action.gang].add((start, end))
            elif action.peer is not None:
                way = (rank, action.peer) if action.kind in LEAVING else (action.peer, rank)
                moves[action.payload, way].append((start, end))
            if not plan.pattern.is_live and end > start:
                assert not out(given_conditions, rank, start, end)
    assert all(len(spans) == 1 for spans in gangs.values())
    assert all(len(spans) == 2 and spans[0] == spans[1] for spans in moves.values())
    if not trace.stopped:
        assert [len(rows) for rows in trace.ranks] == [len(rows) for rows in plan.ranks]
        assert len(trace.finished_us) == problem.workload.blocks
    else:
        assert any(outage.back_us is None for outage in given_conditions.outages)
        assert len(trace.finished_us) == trace.finished_blocks


@settings(max_examples=120, deadline=None)
@given(st.data(), listed(), TURNS, SLOTS)
def test_every_run_is_sound_and_its_own_again(data: st.DataObject, made: Made, turns: str, slots: int | None) -> None:
    problem, plan = made
    drawn = data.draw(conditions(problem.cluster.size, plan.makespan_us))
    given_conditions = Conditions.model_validate(drawn.model_dump() | {"turns": turns, "host_slots": slots})
    trace = played(made, given_conditions, run=2)
    require_sound(made, given_conditions, trace)
    again = Conditions.from_json(given_conditions.to_json())
    assert simulate(plan, problem, again, run=2).to_json() == trace.to_json()
    assert Trace.from_json(trace.to_json()) == trace


@settings(max_examples=80, deadline=None)
@given(st.data(), listed())
def test_nothing_that_goes_wrong_makes_a_run_shorter(data: st.DataObject, made: Made) -> None:
    _, plan = made
    trace = played(made, data.draw(worse(made)))
    assert trace.makespan_us >= plan.makespan_us
    for found, planned in zip(trace.ranks, plan.ranks, strict=True):
        assert all(row.end_us >= before.end_us for row, before in zip(found, planned, strict=True))


@settings(max_examples=60, deadline=None)
@given(listed(min_devices=2, min_blocks=2), st.sampled_from([1.0, 1.3, 5.0]))
def test_where_lanes_are_free_all_turns_are_one(made: Made, factor: float) -> None:
    """A transfer takes no less beside others than alone; where none ever waits or meets another, no more either."""
    problem, plan = made
    base = Conditions(stragglers=(Straggler(rank=0, factor=factor),))
    found = {
        turns: simulate(plan, problem, base.model_copy(update={"turns": turns}))
        for turns in ("planned", "ready", "fair")
    }
    if not contended(made, found["fair"]):
        assert found["fair"].ranks == found["ready"].ranks


def contended(made: Made, trace: Trace) -> bool:
    """Whether two transfers were under way on one lane at once."""
    problem, plan = made
    timing = costs(problem, Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks))
    lanes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for rank, rows in enumerate(trace.ranks):
        for action, start, end in rows:
            if action.kind in LEAVING and action.peer is not None:
                for lane in timing.wire(rank, action.peer).lanes:
                    lanes[lane].append((start, end))
    return any(before[1] > after[0] for spans in lanes.values() for before, after in pairwise(sorted(spans)))


@settings(max_examples=40, deadline=None)
@given(listed(min_devices=2, min_blocks=2))
def test_a_shared_lane_carries_no_more_than_its_bandwidth(made: Made) -> None:
    """However the ways share, the bytes over a lane take at least as long as they would one after the other."""
    problem, plan = made
    timing = costs(problem, Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks))
    if plan.pattern.is_live:
        return
    begun, over, work = defaultdict[int, int](lambda: 10**15), defaultdict[int, int](int), defaultdict[int, int](int)
    for rank, rows in enumerate(simulate(plan, problem, Conditions(turns="fair")).ranks):
        for action, start, end in rows:
            if action.kind in LEAVING and action.peer is not None:
                wire = timing.wire(rank, action.peer)
                alone = timing.transfer_us(action.payload, rank, action.peer)
                assert end - start >= alone
                for lane in wire.lanes:
                    begun[lane], over[lane] = min(begun[lane], start), max(over[lane], end)
                    work[lane] += max(0, alone - wire.latency_us)
    assert all(over[lane] - begun[lane] >= work[lane] for lane in work)
