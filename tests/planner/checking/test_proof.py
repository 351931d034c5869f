"""What is proven on arrays is what the walk row by row finds nothing wrong with."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.check import check, violations
from planner.checking.explain import explain
from planner.checking.proof import proven
from planner.cluster import Cluster
from planner.errors import CheckError
from planner.patterns import Pattern
from planner.placement import all_placements
from planner.problem import Problem
from planner.rows import rows_from_text
from planner.workload import Workload
from tests.mutants.shake import shaken
from tests.planner.check_plans import KINDS, made
from tests.planner.clips import costed, plan_of
from tests.planner.hand_plans import GOOD_TRIO, TRIO, by_hand, priced, tiny, with_memory

UNLIKE = Cluster.of("h100", 2).model_copy(
    update={"devices": (*Cluster.of("h100", 2).devices, *Cluster.of("a100", 2).devices)}
)


@pytest.mark.parametrize("text", ["same-level", "cascade:2:live-causal", "cascade:2:live-joint", "layers"])
def test_long_clips_on_unlike_devices(text: str) -> None:
    """Long enough for rows to be priced by what they have in common."""
    spec = load_spec("longlive-1.3b")
    problem = Problem(model=spec, cluster=UNLIKE, workload=Workload(blocks=22))
    pattern = Pattern.parse(text, spec)
    for placement in all_placements(pattern, spec, UNLIKE, decode=True, parts=2):
        plan = plan_of(costed(problem, pattern, placement))
        assert proven(plan, problem) is not None, placement
        assert explain(plan, problem) == []


@settings(max_examples=200)
@given(st.sampled_from(list(KINDS)), st.randoms(use_true_random=False))
def test_what_is_proven_is_what_nothing_is_wrong_with(kind: str, chance: Random) -> None:
    problem, plan = made(kind)
    spoilt = shaken(plan, chance)
    assert (proven(spoilt, problem) is None) == bool(explain(spoilt, problem))


def test_what_was_received_may_be_sent_on_once_it_is_there() -> None:
    """Not as the planner does it, but no rule is against it: then the rows have to be walked."""
    problem = tiny(2, decode=False).model_copy(update={"cluster": Cluster.of("cpu-core", 3)})
    text = """
        r0 0 100 denoise b0.s0
        r0 100 209 send kv b0.s0 to r1
        r0 209 209 free kv b0.s0
        r1 100 209 recv kv b0.s0 from r0
        r1 209 318 send kv b0.s0 to r2
        r1 318 318 free kv b0.s0
        r2 209 318 recv kv b0.s0 from r1
        r2 318 468 denoise b1.s0
        r2 468 468 free kv b0.s0
        r2 468 468 free kv b1.s0
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    rows = rows_from_text(iter(enumerate(lines, start=1)), 3)
    plan = by_hand(TRIO, GOOD_TRIO).model_copy(update={"problem_digest": problem.digest, "ranks": rows})
    plan = plan.model_copy(update={"evidence": plan.evidence.model_copy(update={"value": 468, "bound": 0})})
    assert proven(plan, problem) is None
    assert violations(plan, problem) == []
    early = tuple(
        tuple(row if row[1:] != (209, 318) else row._replace(start_us=208, end_us=317) for row in r) for r in rows
    )
    assert violations(plan.model_copy(update={"ranks": early}), problem) == [
        "R6 r1 send kv b0.s0 to r2: starts at 208 us, sends kv b0.s0, which is here at 209 us",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_too_little_memory_is_named(kind: str) -> None:
    problem, plan = made(kind)
    timing = priced(problem, plan)
    for rank, rows in enumerate(plan.ranks):
        weights = timing.resident_bytes([row.action for row in rows])
        if rows:
            small = with_memory(problem, rank, max(1, weights))
            assert proven(plan, small) is None
            line = rf"R11 r{rank} memory: {weights} bytes of weights .* the device's {max(1, weights)} b"
            with pytest.raises(CheckError, match=line):
                check(plan.model_copy(update={"problem_digest": small.digest}), small)
