"""The table of what else was tried: the plan first, then the best, and for each why it lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.objective import OBJECTIVES
from planner.placement import Placement
from planner.plan import Alternative, Objective, Plan
from planner.problem import Problem
from planner.search import plan
from planner.searching.baselines import baselines
from planner.searching.ranking import ROWS
from planner.workload import Workload
from tests.planner.clips import cascade, clip, grid, model
from tests.strategies import problems

FIVE = Problem(model=load_spec("self-forcing-1.3b"), cluster=Cluster.of("h100", 5), workload=Workload(blocks=4))


def is_in_order(rows: tuple[Alternative, ...]) -> bool:
    values = [math.inf if row.value is None else row.value for row in rows[1:]]
    return values == sorted(values)


def require_table(made: Plan, problem: Problem) -> None:
    first, *others = made.alternatives
    assert (first.pattern, first.placement, first.lost) == (str(made.pattern), made.placement, "")
    assert first.value == made.evidence.value
    assert is_in_order(made.alternatives)
    assert all(row.lost for row in others)
    assert (first.pattern, first.placement) not in {(row.pattern, row.placement) for row in others if not row.name}
    published = [item.name for item in baselines(problem.model, problem.cluster.size, decode=problem.workload.decode)]
    assert sorted(row.name for row in others if row.name) == sorted(published)
    assert sum(not row.name for row in others) <= ROWS
    assert all((row.devices == 0) == (row.value is None) for row in others)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_table_of_five_devices(objective: Objective) -> None:
    require_table(plan(FIVE, objective=objective), FIVE)


@settings(max_examples=15)
@given(problems(), st.sampled_from([objective for objective in OBJECTIVES if objective != "period"]))
def test_every_table(problem: Problem, objective: Objective) -> None:
    require_table(plan(problem, objective=objective), problem)


def test_why_each_lost() -> None:
    rows = {row.name or f"{row.pattern} {row.placement}": row for row in plan(FIVE).alternatives}
    assert rows["n+1 ranks and VAE stages (WaveForcing)"].lost == "asks for 8 rank(s), the cluster has 5"
    joint = rows["cascade, joint, a GPU a pass (Block Cascading)"]
    value = plan(FIVE).evidence.value
    assert joint.value is not None
    assert joint.lost == f"{joint.value / value:.2f} times the plan's value"
    ring = rows["layer ring (StreamDiffusionV2)"]
    assert ring.lost.endswith("; the checkpoint is not known to bear it")
    assert any(row.lost.startswith("not laid out: at best ") for row in rows.values())


def test_a_published_schedule_that_is_the_plan_itself() -> None:
    one = FIVE.model_copy(update={"cluster": FIVE.cluster.first(1)})
    made = plan(one)
    (row,) = [row for row in made.alternatives if row.name == "sequential on one GPU (Self-Forcing)"]
    assert (str(made.pattern), row.value) == ("sequential", made.evidence.value)
    assert row.lost


def test_what_a_checkpoint_does_not_bear_may_be_better() -> None:
    spec = model(2, clean=True, tolerates=("sequential",))
    problem = clip(spec, 6, 4, bandwidth_gbps=1e6, latency_us=0)
    made = plan(problem)
    assert str(made.pattern) == "sequential"
    better = [row for row in made.alternatives if row.value is not None and row.value < made.evidence.value]
    assert better
    assert all(row.name and "better by " in row.lost and "not known to bear" in row.lost for row in better)


def test_a_placement_by_name_has_nothing_to_be_held_against() -> None:
    problem = grid(3, blocks=3)
    made = plan(problem, pattern=cascade(1), placement=Placement(passes="step"))
    assert [row.lost for row in made.alternatives] == [""]
