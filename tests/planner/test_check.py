"""A checker is worth what it refuses.

Claims: nothing the planner makes is refused; each way of spoiling a plan is, by a line that names the action and the
rule; nonsense is refused without a crash; the dry run and `retime` agree on which orders of actions can finish.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.action import Action, Kind, TimedAction
from planner.check import check, violations
from planner.cluster import Cluster
from planner.cost import costs
from planner.errors import CheckError, InfeasibleError, MismatchError
from planner.graph import build_graph
from planner.patterns import Pattern
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.profile import Profile, Timing
from planner.rows import makespan_us, rows_from_text
from planner.timing import retime
from planner.workload import Workload
from tests.mutants import MUTANTS, Draft
from tests.strategies import planned

# Enough ranks and blocks for most plans to hold a transfer; where one does not, the example does not count.
busy_plans = planned(min_devices=2, min_blocks=3)
few = settings(max_examples=20, suppress_health_check=[HealthCheck.filter_too_much])


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


def test_what_a_rank_will_make_it_may_not_receive() -> None:
    spoilt = "r0 0 109 recv kv b2.s0 from r1\n" + GOOD_TRIO.lstrip()
    assert violations(by_hand(TRIO, spoilt), TRIO) == [
        "R8 r0 denoise b2.s0: makes kv b2.s0, which the rank received before",
        "R8 r0 recv kv b2.s0 from r1: no matching send on r1",
        "R10 r0 denoise b2.s0: waits forever for kv b1.s0 to arrive",
    ]


def test_latents_that_are_the_clip_are_not_freed() -> None:
    spoilt = GOOD_TRIO.rstrip() + "\n    r0 618 618 free latents b2.s0"
    assert violations(by_hand(TRIO, spoilt), TRIO) == ["R9 r0 free latents b2.s0: frees the clip's output"]


def test_memory_to_the_byte() -> None:
    payloads = 2 * 147456 + 1024  # r1, after its pass: K/V of both blocks and latents of its own
    weights = costs(PAIR).resident_bytes(denoises=True, decodes=False)
    enough, short = (with_memory(PAIR, 1, weights + payloads - lacking) for lacking in (0, 1))
    check(by_hand(enough, GOOD_PAIR), enough)
    assert violations(by_hand(short, GOOD_PAIR), short) == [
        f"R11 r1 memory: {weights} bytes of weights and working memory and {payloads} bytes of payloads at "
        f"'denoise b1.s0' are more than the device's {weights + payloads - 1} bytes"
    ]


def with_memory(problem: Problem, rank: int, memory_bytes: int) -> Problem:
    devices = list(problem.cluster.devices)
    devices[rank] = devices[rank].model_copy(update={"memory_bytes": memory_bytes})
    cluster = problem.cluster.model_copy(update={"devices": tuple(devices)})
    return problem.model_copy(update={"cluster": cluster})


# -- spoilt --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
@few
@given(st.data(), busy_plans)
def test_a_spoilt_plan_is_named(
    mutant: Callable[[Draft], str], data: st.DataObject, made: tuple[Problem, Plan]
) -> None:
    problem, plan = made
    draft = Draft(data, problem, plan, [list(rows) for rows in plan.ranks])
    expected = mutant(draft)
    found = violations(plan.model_copy(update={"ranks": tuple(map(tuple, draft.programs))}), problem)
    pattern = re.escape(expected).replace(re.escape(" ... "), ".* ")
    assert any(re.search(pattern, line) for line in found), f"{expected!r} is not in {found}"


@few
@given(st.data(), busy_plans)
def test_too_little_memory_is_named(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    problem, plan = made
    rank = data.draw(st.sampled_from([rank for rank, rows in enumerate(plan.ranks) if rows]))
    kinds = {row.action.kind for row in plan.ranks[rank]}
    denoises, decodes = bool(kinds & {Kind.DENOISE, Kind.COMMIT}), Kind.DECODE in kinds
    weights = costs(problem).resident_bytes(denoises=denoises, decodes=decodes)
    small = with_memory(problem, rank, weights)
    with pytest.raises(
        CheckError, match=rf"R11 r{rank} memory: {weights} bytes of weights .* the device's {weights} b"
    ):
        check(plan.model_copy(update={"problem_digest": small.digest}), small)


@pytest.mark.parametrize(
    ("plan_changes", "evidence_changes", "expected"),
    [
        ({}, {"value_us": 431}, "R12 evidence: value is 431 us, the last row ends at 430 us"),
        ({}, {"bound_us": 431}, "R12 evidence: bound of 431 us is above the value of 430 us"),
        ({}, {"bound_us": 430}, "R12 evidence: FEASIBLE with value 430 us, bound 430 us"),
        ({}, {"status": "OPTIMAL"}, "R12 evidence: OPTIMAL with value 430 us, bound 429 us"),
        ({"last_step": 1}, {}, "R12 last step: is 1, tiny has 1 steps from 0"),
        ({"pattern": Pattern(name="cascade", offset=2)}, {}, "R12 pattern: offset 2 is beyond the 1 passes of tiny"),
    ],
)
def test_wrong_evidence_is_named(
    plan_changes: dict[str, object], evidence_changes: dict[str, object], expected: str
) -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    evidence = good.evidence.model_copy(update=evidence_changes)
    assert violations(good.model_copy(update={"evidence": evidence, **plan_changes}), PAIR) == [expected]


def test_a_sequential_pattern_has_the_offset_of_all_passes() -> None:
    problem = Problem(model=load_spec("toy"), cluster=Cluster.of("cpu-core"), workload=Workload(blocks=1))
    lying = by_hand(problem, "r0 0 1 decode b0").model_copy(update={"pattern": Pattern(name="sequential", offset=2)})
    assert "R12 pattern: sequential is offset 5 for toy, not 2" in violations(lying, problem)


# -- nonsense ------------------------------------------------------------------------------------

small = st.integers(-1, 7)
anything = st.builds(
    TimedAction,
    st.builds(
        Action,
        st.sampled_from(Kind),
        small,
        st.none() | small,
        st.sampled_from([None, "kv", "latents"]),
        st.none() | small,
    ),
    st.integers(-10, 10**15),
    st.integers(-10, 10**15),
)


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        (Action(Kind.DENOISE, -1, 0), "blocks and steps count from 0"),
        (Action(Kind.DENOISE, 0, -1), "blocks and steps count from 0"),
        (Action(Kind.DENOISE, 0), "step None, payload None, peer None do not make a denoise"),
        (Action(Kind.COMMIT, 0, 0), "step 0, payload None, peer None do not make a commit"),
        (Action(Kind.DECODE, 0, None, "kv"), "step None, payload kv, peer None do not make a decode"),
        (Action(Kind.SEND, 0, 0, "kv"), "step 0, payload kv, peer None do not make a send"),
        (Action(Kind.RECV, 0, 0, None, 1), "step 0, payload None, peer 1 do not make a recv"),
        (Action(Kind.FREE, 0, 0, "kv", 1), "step 0, payload kv, peer 1 do not make a free"),
    ],
    ids=str,
)
def test_an_action_has_the_fields_of_its_kind(action: Action, fault: str) -> None:
    good = by_hand(PAIR, GOOD_PAIR)
    spoilt = good.model_copy(update={"ranks": ((*good.ranks[0], TimedAction(action, 0, 0)), good.ranks[1])})
    assert violations(spoilt, PAIR) == [f"R1 r0 {action}: {fault}"]


@given(busy_plans, st.lists(st.lists(anything, max_size=8), min_size=1, max_size=6))
def test_nonsense_is_refused_without_a_crash(made: tuple[Problem, Plan], rows: list[list[TimedAction]]) -> None:
    problem, plan = made
    assert violations(plan.model_copy(update={"ranks": tuple(map(tuple, rows))}), problem)
    appended = tuple((*old, *new) for old, new in zip(plan.ranks, rows, strict=False))
    assert isinstance(violations(plan.model_copy(update={"ranks": appended}), problem), list)


# -- order alone ---------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.data(), busy_plans)
def test_any_order_it_allows_can_be_timed(data: st.DataObject, made: tuple[Problem, Plan]) -> None:
    """Rows moved about: the order either can never finish, for `retime` too, or has times that break no rule."""
    problem, plan = made
    found: list[str] = []
    for _ in range(8):
        moved = data.draw(one_row_moved(plan))
        lines = violations(moved, problem)
        if not any(re.search("R5|crossed|double free|neither made", line) for line in lines):
            plan, found = moved, lines
    timing = costs(problem)
    graph = build_graph(problem, plan.pattern, timing)
    try:
        rows = retime([[row.action for row in program] for program in plan.ranks], graph, timing)
    except InfeasibleError:
        assert any(line.startswith("R10") for line in found)
        return
    evidence = plan.evidence.model_copy(update={"value_us": makespan_us(rows), "bound_us": 0, "status": "FEASIBLE"})
    timed = violations(plan.model_copy(update={"ranks": rows, "evidence": evidence}), problem)
    assert [line for line in timed if not line.startswith("R7")] == []


@st.composite
def one_row_moved(draw: st.DrawFn, plan: Plan) -> Plan:
    programs = [list(rows) for rows in plan.ranks]
    rows = draw(st.sampled_from([rows for rows in programs if rows]))
    row = rows.pop(draw(st.integers(0, len(rows) - 1)))
    rows.insert(draw(st.integers(0, len(rows))), row)
    return plan.model_copy(update={"ranks": tuple(map(tuple, programs))})
