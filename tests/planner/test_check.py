"""A checker is worth what it refuses.

Claims: nothing the planner makes is refused; each way of spoiling a plan is, by a line that names the action and the
rule; nonsense is refused without a crash; the dry run and `retime` agree on which orders of actions can finish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import COMPUTE, Action, Kind, Payload, TimedAction
from planner.check import check, violations
from planner.cluster import Cluster
from planner.cost import costs
from planner.errors import CheckError, InfeasibleError, MismatchError
from planner.graph import build_graph, inputs
from planner.patterns import Pattern
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.rows import makespan_us, rows_from_text
from planner.timing import retime
from planner.workload import Workload
from tests.strategies import planned

Programs = list[list[TimedAction]]
Mutation = Callable[[st.DataObject, Problem, Plan, Programs], str]


@given(planned())
def test_the_planners_plans_break_no_rule(made: tuple[Problem, Plan]) -> None:
    problem, plan = made
    assert violations(plan, problem) == []


def test_a_plan_of_another_problem_is_refused() -> None:
    other = PAIR.model_copy(update={"workload": Workload(blocks=3)})
    with pytest.raises(MismatchError, match="plan again"):
        check(by_hand(PAIR, GOOD_PAIR), other)


# -- by hand -------------------------------------------------------------------------------------

# A frame a block, one step, no clean pass, each block reads the one before: K/V of 147456 bytes takes
# 10 + ceil(147456 / 1500) = 109 us, latents of 1024 bytes 10 + 1 = 11 us.
TINY = ModelSpec.model_validate(
    load_spec("toy").model_dump()
    | {"name": "tiny", "frames_per_block": 1, "window": 2, "sink": 0, "timesteps": [1000], "clean_pass": False}
)


def us(median: int) -> Timing:
    return Timing(median_us=median, p95_us=median, samples=1)


def tiny(blocks: int, *, decode: bool) -> Problem:
    """On two ranks: 100 us for a first pass and 150 us after a block, 40 us for the first decode and then 60 us."""
    profile = Profile(
        model="tiny",
        device="cpu-core",
        software="invented",
        denoise=(us(100), us(150)),
        decode_first=us(40),
        decode=us(60),
        link_latency_us=10,
        link_bandwidth_gbps=1.5,
    )
    workload = Workload(blocks=blocks, decode=decode)
    return Problem(model=TINY, cluster=Cluster.of("cpu-core", 2), workload=workload, profile=profile)


def by_hand(problem: Problem, text: str) -> Plan:
    lines = [line.strip() for line in text.strip().splitlines()]
    rows = rows_from_text(iter(enumerate(lines, start=1)), 2)
    value = makespan_us(rows)
    evidence = Evidence(
        status="FEASIBLE", value_us=value, bound_us=value - 1, bound="critical path", solver="by hand", version="1"
    )
    pattern = Pattern.sequential(TINY)
    return Plan(
        problem_digest=problem.digest, pattern=pattern, placement="block", last_step=0, ranks=rows, evidence=evidence
    )


PAIR = tiny(2, decode=True)
GOOD_PAIR = """
    r0 0 100 denoise b0.s0
    r0 100 209 send kv b0.s0 to r1
    r0 100 140 decode b0
    r0 359 370 recv latents b1.s0 from r1
    r0 140 140 free latents b0.s0
    r0 209 209 free kv b0.s0
    r0 370 430 decode b1
    r0 430 430 free latents b1.s0
    r1 100 209 recv kv b0.s0 from r0
    r1 209 359 denoise b1.s0
    r1 359 370 send latents b1.s0 to r0
    r1 359 359 free kv b0.s0
    r1 359 359 free kv b1.s0
    r1 370 370 free latents b1.s0
"""

TRIO = tiny(3, decode=False)
GOOD_TRIO = """
    r0 0 100 denoise b0.s0
    r0 100 209 send kv b0.s0 to r1
    r0 359 468 recv kv b1.s0 from r1
    r0 468 618 denoise b2.s0
    r0 618 618 free kv b0.s0
    r0 618 618 free kv b1.s0
    r0 618 618 free kv b2.s0
    r1 100 209 recv kv b0.s0 from r0
    r1 209 359 denoise b1.s0
    r1 359 468 send kv b1.s0 to r0
    r1 359 359 free kv b0.s0
    r1 468 468 free kv b1.s0
"""


@pytest.mark.parametrize(("problem", "text"), [(PAIR, GOOD_PAIR), (TRIO, GOOD_TRIO)], ids=["decoded", "latents"])
def test_good_plan_by_hand(problem: Problem, text: str) -> None:
    check(by_hand(problem, text), problem)


def test_every_broken_rule_is_listed() -> None:
    spoilt = (
        GOOD_PAIR.replace("r0 209 209 free kv b0.s0", "r0 208 208 free kv b0.s0")
        .replace("r0 430 430 free latents b1.s0", "")
        .replace("r1 209 359 denoise b1.s0", "r1 208 359 denoise b1.s0")
    )
    lines = "\n".join(line for line in spoilt.splitlines() if line.strip())
    with pytest.raises(CheckError) as refused:
        check(by_hand(PAIR, lines), PAIR)
    assert refused.value.violations == (
        "R9 r0 free kv b0.s0: freed at 208 us, before 'send kv b0.s0 to r1' ends at 209 us",
        "R9 r0 latents b1.s0: never freed",
        "R4 r1 denoise b1.s0: lasts 151 us, the cost model says 150 us",
        "R6 r1 denoise b1.s0: starts at 208 us, reads kv b0.s0, which is here at 209 us",
    )


def test_a_mutual_wait_is_named_on_both_ranks() -> None:
    send, late = "    r0 100 209 send kv b0.s0 to r1\n", "    r0 468 618 denoise b2.s0\n"
    waiting = GOOD_TRIO.replace(send, "").replace(late, late + send)
    assert violations(by_hand(TRIO, waiting), TRIO) == [
        "R8 r0 send kv b0.s0 to r1: starts at 100 us, before it is posted at 618 us, when 'denoise b2.s0' ends",
        "R10 r0 denoise b2.s0: waits forever for kv b1.s0 to arrive",
        "R10 r1 denoise b1.s0: waits forever for kv b0.s0 to arrive",
    ]


def test_a_free_that_waits_for_its_send_may_not_hold_up_the_other_end() -> None:
    # r0 posts its recv only after the free, which waits for a send that r1 takes only once its own is gone.
    order = GOOD_TRIO.replace("    r0 359 468 recv kv b1.s0 from r1\n", "").replace(
        "    r0 468 618 denoise", "    r0 209 209 free kv b0.s0\n    r0 359 468 recv kv b1.s0 from r1\n    r0 468 618 denoise"
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


def test_memory_to_the_byte() -> None:
    # r0 holds K/V and latents of its pass at once, r1 K/V twice and latents once.
    timing = costs(PAIR)
    need = timing.resident_bytes(denoises=True, decodes=False) + 2 * 147456 + 1024
    assert timing.resident_bytes(denoises=True, decodes=True) > need
    for memory, expected in ((need, []), (need - 1, [f"more than the device's {need - 1} bytes"])):
        problem = with_memory(PAIR, 1, memory)
        found = violations(by_hand(problem, GOOD_PAIR), problem)
        assert len(found) == len(expected)
        assert all(line.startswith("R11 r1 memory") and line.endswith(expected[0]) for line in found)


def with_memory(problem: Problem, rank: int, memory_bytes: int) -> Problem:
    devices = list(problem.cluster.devices)
    devices[rank] = devices[rank].model_copy(update={"memory_bytes": memory_bytes})
    cluster = problem.cluster.model_copy(update={"devices": tuple(devices)})
    return problem.model_copy(update={"cluster": cluster})


# -- mutants -------------------------------------------------------------------------------------
# Each spoils the programs in one place of Hypothesis' choice, and returns part of the line that has to name it.


def somewhere(data: st.DataObject, programs: Programs, *kinds: Kind) -> tuple[int, int]:
    """(rank, index) of a row of these kinds."""
    places = [(r, i) for r, rows in enumerate(programs) for i, row in enumerate(rows) if row.action.kind in kinds]
    assume(places)
    return data.draw(st.sampled_from(places))


def other_end(programs: Programs, rank: int, action: Action) -> tuple[int, int]:
    """(rank, index) of the recv of a send, or of the send of a recv."""
    assert action.peer is not None
    kind = Kind.RECV if action.kind is Kind.SEND else Kind.SEND
    wanted = action._replace(kind=kind, peer=rank)
    (index,) = (i for i, row in enumerate(programs[action.peer]) if row.action == wanted)
    return action.peer, index


def move_to(row: TimedAction, start_us: int) -> TimedAction:
    return row._replace(start_us=start_us, end_us=start_us + row.end_us - row.start_us)


def swapped_in_the_program(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, first = somewhere(data, programs, *COMPUTE)
    later = [i for i, row in enumerate(programs[rank]) if i > first and row.action.is_compute]
    assume(later)
    second, rows = data.draw(st.sampled_from(later)), programs[rank]
    rows[first], rows[second] = rows[second], rows[first]
    return f"R3 r{rank} {rows[second].action}: starts at"


def swapped_with_what_it_reads(data: st.DataObject, problem: Problem, plan: Plan, programs: Programs) -> str:
    pairs = [
        (rank, rows.index(maker), reader, payload)
        for rank, rows in enumerate([[row.action for row in rows] for rows in programs])
        for reader, action in enumerate(rows)
        if action.is_compute
        for maker, payload in inputs(problem, plan.pattern, action)
        if payload is not None and maker in rows
    ]
    assume(pairs)
    rank, first, second, payload = data.draw(st.sampled_from(pairs))
    rows = programs[rank]
    maker, reader = rows[first], rows[second]
    rows[first], rows[second] = maker._replace(action=reader.action), reader._replace(action=maker.action)
    return f"R5 r{rank} {reader.action}: reads {payload}, which the rank has neither made nor received before"


def dropped_compute(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, *COMPUTE)
    return f"R2 {programs[rank].pop(index).action}: missing"


def dropped_send(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND)
    action = programs[rank].pop(index).action
    return f"R8 r{action.peer} recv {action.payload} from r{rank}: no matching send on r{rank}"


def dropped_recv(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.RECV)
    action = programs[rank].pop(index).action
    return f"R8 r{action.peer} send {action.payload} to r{rank}: no matching recv on r{rank}"


def dropped_send_is_waited_for(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND)
    action = programs[rank].pop(index).action
    return f"waits forever for {action.payload} to arrive"


def dropped_transfer(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND)
    action = programs[rank].pop(index).action
    target, there = other_end(programs, rank, action)
    programs[target].pop(there)
    return f"reads {action.payload}, which the rank has neither made nor received before"


def dropped_free(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.FREE)
    return f"R9 r{rank} {programs[rank].pop(index).action.payload}: never freed"


def duplicated(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, *Kind)
    row = programs[rank][index]
    programs[rank].insert(index, row)
    action = row.action
    if action.is_compute:
        return f"R2 {action}: runs 2 times, on r{rank}, r{rank}"
    if action.kind is Kind.FREE:
        return f"R9 r{rank} {action}: freed before (double free)"
    if action.kind is Kind.RECV:
        return f"R8 r{rank} {action}: the rank has received {action.payload} before"
    return f"R8 r{rank} {action}: no matching recv"


def a_microsecond_early(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, *COMPUTE, Kind.FREE)
    row = programs[rank][index]
    programs[rank][index] = move_to(row, row.start_us - 1)
    return f"r{rank} {row.action}: {'freed' if row.action.kind is Kind.FREE and False else ''}"


def transfer_a_microsecond_early(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND)
    row = programs[rank][index]
    target, there = other_end(programs, rank, row.action)
    programs[rank][index] = move_to(row, row.start_us - 1)
    programs[target][there] = move_to(programs[target][there], row.start_us - 1)
    return f": starts at {row.start_us - 1} us, "


def ends_at_different_times(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.RECV)
    row = programs[rank][index]
    programs[rank][index] = move_to(row, row.start_us + 1)
    return f"R8 r{row.action.peer} send {row.action.payload} to r{rank}: is at {row.start_us}..{row.end_us} us, its recv"


def wrong_duration(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, *Kind)
    row = programs[rank][index]
    programs[rank][index] = row._replace(end_us=row.end_us + 1)
    lasting = row.end_us - row.start_us
    return f"R4 r{rank} {row.action}: lasts {lasting + 1} us, the cost model says {lasting} us"


def two_on_a_link(data: st.DataObject, programs: Programs) -> tuple[int, int, int]:
    """(rank, index, later index) of two sends to the same rank."""
    pairs = [
        (rank, i, j)
        for rank, rows in enumerate(programs)
        for j, late in enumerate(rows)
        for i, early in enumerate(rows[:j])
        if early.action.kind is late.action.kind is Kind.SEND and early.action.peer == late.action.peer
    ]
    assume(pairs)
    return data.draw(st.sampled_from(pairs))


def link_taken_twice(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, first, second = two_on_a_link(data, programs)
    row, start = programs[rank][second], programs[rank][first].start_us
    target, there = other_end(programs, rank, row.action)
    programs[rank][second] = move_to(row, start)
    programs[target][there] = move_to(programs[target][there], start)
    return f"R8 r{rank} {row.action}: starts at {start} us, but the link is taken until"


def crossed_sends(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, first, second = two_on_a_link(data, programs)
    rows = programs[rank]
    rows[first], rows[second] = rows[second], rows[first]
    target = rows[first].action.peer
    wanted = rows[second].action.payload
    between = [row.action.payload for row in rows[:first] if row.action[0::4] == (Kind.SEND, target)]
    del between
    return f"R8 r{rank} {rows[first].action}: crossed, in its place r{target} has 'recv {wanted} from r{rank}'"


def wrong_peer(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.RECV)
    row = programs[rank][index]
    others = [peer for peer in range(len(programs)) if peer not in (rank, row.action.peer)]
    assume(others)
    peer = data.draw(st.sampled_from(others))
    programs[rank][index] = row._replace(action=row.action._replace(peer=peer))
    return f"R8 r{rank} recv {row.action.payload} from r{peer}: no matching send on r{peer}"


def peer_beyond(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND, Kind.RECV)
    row = programs[rank][index]
    action = row.action._replace(peer=len(programs))
    programs[rank][index] = row._replace(action=action)
    return f"R1 r{rank} {action}: there is no rank {len(programs)} among {len(programs)}"


def peer_itself(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND, Kind.RECV)
    row = programs[rank][index]
    action = row.action._replace(peer=rank)
    programs[rank][index] = row._replace(action=action)
    return f"R1 r{rank} {action}: a rank cannot exchange with itself"


def received_where_made(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND)
    row = programs[rank][index]
    action = row.action._replace(kind=Kind.RECV)
    programs[rank].insert(index, row._replace(action=action))
    return f"R8 r{rank} {action}: the rank has made {action.payload} before"


def _uses(problem: Problem, plan: Plan, action: Action) -> Sequence[Payload | None]:
    if action.is_compute:
        return [payload for _, payload in inputs(problem, plan.pattern, action)]
    return [action.payload] if action.kind is Kind.SEND else []


def freed_before_its_last_use(data: st.DataObject, problem: Problem, plan: Plan, programs: Programs) -> str:
    places = [
        (rank, i, j)
        for rank, rows in enumerate(programs)
        for j, late in enumerate(rows)
        if late.action.kind is Kind.FREE
        for i, user in enumerate(rows[:j])
        if late.action.payload in _uses(problem, plan, user.action)
    ]
    assume(places)
    rank, use, free = data.draw(st.sampled_from(places))
    row, user = programs[rank].pop(free), programs[rank][use]
    programs[rank].insert(use, move_to(row, user.start_us))
    verb = "reads" if user.action.is_compute else "sends"
    return f"R5 r{rank} {user.action}: {verb} {row.action.payload}, which the rank has freed before"


def freed_while_it_travels(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.SEND, Kind.RECV)
    transfer = programs[rank][index]
    payload = transfer.action.payload
    frees = [i for i, row in enumerate(programs[rank]) if row.action == Action(Kind.FREE, *payload_fields(payload))]
    assume(frees)
    row = programs[rank][frees[0]]
    programs[rank][frees[0]] = move_to(row, transfer.end_us - 1)
    return f"R9 r{rank} {row.action}: freed at {transfer.end_us - 1} us, before "


def payload_fields(payload: Payload) -> tuple[int, int | None, str]:
    return payload.block, payload.step, payload.carries


def freed_unknown(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, *COMPUTE)
    row = programs[rank][index]
    action = Action(Kind.FREE, 0, None, "latents")
    programs[rank].insert(index + 1, TimedAction(action, row.end_us, row.end_us))
    return f"R9 r{rank} {action}: the rank neither made nor received it"


def decode_moved(data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    rank, index = somewhere(data, programs, Kind.DECODE)
    row = programs[rank].pop(index)
    to = data.draw(st.sampled_from([r for r in range(len(programs)) if r != rank]))
    programs[to].append(row)
    if row.action.block:
        return f"R7 r{to} {row.action}: decode b{row.action.block - 1} is on r{rank}"
    return f"R7 r{rank} decode b1: decode b0 is on r{to}"


def unknown_action(data: st.DataObject, problem: Problem, _plan: Plan, programs: Programs) -> str:
    beyond = problem.workload.blocks
    action = data.draw(
        st.sampled_from(
            [
                Action(Kind.DENOISE, 0, problem.model.steps),
                Action(Kind.DENOISE, beyond, 0),
                Action(Kind.COMMIT, beyond - 1),
                Action(Kind.DECODE, beyond),
            ]
        )
    )
    rank = data.draw(st.integers(0, len(programs) - 1))
    programs[rank].append(TimedAction(action, 0, 1))
    return f"R2 r{rank} {action}: not an action of this clip"


def a_rank_too_many(_data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    programs.append(programs[0])
    return f"R1 ranks: {len(programs)} programs for {len(programs) - 1} devices"


def a_rank_too_few(_data: st.DataObject, _problem: Problem, _plan: Plan, programs: Programs) -> str:
    programs.pop()
    return f"R1 ranks: {len(programs)} programs for {len(programs) + 1} devices"


MUTATIONS: tuple[Mutation, ...] = (
    swapped_in_the_program,
    swapped_with_what_it_reads,
    dropped_compute,
    dropped_send,
    dropped_recv,
    dropped_send_is_waited_for,
    dropped_transfer,
    dropped_free,
    duplicated,
    a_microsecond_early,
    transfer_a_microsecond_early,
    ends_at_different_times,
    wrong_duration,
    link_taken_twice,
    crossed_sends,
    wrong_peer,
    peer_beyond,
    peer_itself,
    received_where_made,
    freed_before_its_last_use,
    freed_while_it_travels,
    freed_unknown,
    decode_moved,
    unknown_action,
    a_rank_too_many,
    a_rank_too_few,
)
