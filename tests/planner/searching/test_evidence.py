"""How good a plan provably is: a bound that holds for all it names, and a status that is true."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.bounds.makespan import makespan_bound
from planner.bounds.tight import tight_bound
from planner.cluster import DEVICES, LINKS, Cluster
from planner.errors import InfeasibleError
from planner.expand import expand
from planner.objective import OBJECTIVES, Limits, score
from planner.patterns import Pattern
from planner.placement import Placement, all_placements
from planner.plan import Objective
from planner.problem import Problem
from planner.search import Ask, plan, search
from planner.searching.evidence import evidence
from planner.searching.explore import explore
from planner.searching.finish import Finished, finish
from planner.workload import Workload
from tests.planner.clips import cascade, clip, costed, grid, model
from tests.strategies import planned, problems

GRID = grid(2, blocks=3, steps=2)
TWO = model(2, clean=True)


def found(problem: Problem, objective: Objective = "makespan", pattern: Pattern | None = None) -> Finished:
    return search(problem, Ask(pattern, None, objective, Limits())).best


def test_a_bound_is_the_weakest_of_all_placements() -> None:
    """The claim is about the pattern, so the placement that is bounded least sets it."""
    problem = clip(TWO, 3, 3)
    made = plan(problem, pattern=cascade(1))
    wheres = list(all_placements(cascade(1), TWO, problem.cluster, decode=True, parts=1))
    bounds = [makespan_bound(expand(costed(problem, cascade(1), where)).instance).value_us for where in wheres]
    values = [plan(problem, pattern=cascade(1), placement=where).makespan_us for where in wheres]
    assert made.evidence.proves == "pattern"
    assert min(bounds) <= made.evidence.bound <= min(values) == made.makespan_us


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("free", clip(TWO, 3, 3)),
        ("step", clip(TWO, 3, 3)),
        ("block+decoder", clip(TWO, 3, 3)),
        ("free", clip(model(3), 5, 2, decode=False, bandwidth_gbps=3.0)),
        ("free", grid(3, blocks=7, steps=5)),
    ],
)
def test_a_placement_by_name_is_bounded_by_itself(text: str, problem: Problem) -> None:
    """As tightly as its numbers allow, and no more than that."""
    where = Placement.parse(text)
    proof = plan(problem, pattern=cascade(1), placement=where).evidence
    instance = expand(costed(problem, cascade(1), where)).instance
    assert proof.proves == "placement"
    assert makespan_bound(instance).value_us <= proof.bound <= tight_bound(instance).value_us


def test_what_is_not_proven_is_not_called_optimal() -> None:
    # 35 equal passes on three devices: twelve rounds, and ramps that an area cannot see.
    proof = plan(grid(3, decode_us=9), pattern=cascade(1), placement=Placement()).evidence
    assert proof.bound < proof.value
    assert proof.status == "FEASIBLE"
    assert proof.gap is not None
    assert 0 < proof.gap < 0.1


def test_the_exact_solver_lifts_the_bound() -> None:
    pytest.importorskip("ortools")
    problem = grid(3, blocks=5, steps=3)
    quick = plan(problem, pattern=cascade(1)).evidence
    solved = plan(problem, pattern=cascade(1), solve_s=5.0).evidence
    assert quick.bound <= solved.bound <= solved.value <= quick.value
    assert solved.status == "OPTIMAL"


@settings(max_examples=25)
@given(planned())
def test_status_and_bound_are_true(made: tuple[Problem, object]) -> None:
    proof = made[1].evidence  # type: ignore[attr-defined]
    assert 0 <= proof.bound <= proof.value
    assert (proof.status == "OPTIMAL") == (proof.value == proof.bound)
    assert (proof.gap == 0) == (proof.status == "OPTIMAL")
    assert proof.bound_by
    assert proof.solver


@settings(max_examples=10, derandomize=True)
@given(problems(), st.sampled_from([objective for objective in OBJECTIVES if objective != "period"]))
def test_no_placement_of_the_pattern_beats_the_bound(problem: Problem, objective: Objective) -> None:
    best = plan(problem, objective=objective)
    for item in explore(problem, [best.pattern], None, objective, Limits(), prune=False):
        if item.eligible and item.case is not None:
            made = finish(item.case, objective, budget=10)
            assert isinstance(made, str) or best.evidence.bound <= score(made.figures, objective) * (1 + 1e-12)


def test_devices_are_bounded_by_the_limits() -> None:
    problem = grid(4, blocks=6, steps=3)
    alone = plan(problem, objective="devices")
    assert (alone.evidence.value, alone.evidence.bound, alone.evidence.status) == (1, 1, "OPTIMAL")
    # What one device needs all by itself: anything shorter takes two.
    work = 6 * 3 * 10 + 6 * 7
    quicker = plan(problem, objective="devices", limits=Limits(makespan_us=work - 1))
    assert (quicker.evidence.value, quicker.evidence.bound, quicker.evidence.status) == (2, 2, "OPTIMAL")


@pytest.mark.parametrize("text", ["block*tensor:2", "batched*ulysses:2", "step"])
def test_sums_of_prices_come_to_the_same_in_any_order(text: str) -> None:
    """A gang keeps all its devices busy, so the bound is the plan's own money, to the last bit or not."""
    spec = ModelSpec.model_validate(load_spec("toy").model_dump() | {"timesteps": (1000,)})
    for kinds in permutations(("h200", "h100", "h100", "l40s")):
        cluster = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=LINKS["pcie4"])
        problem = Problem(model=spec, cluster=cluster, workload=Workload(blocks=2, decode=False))
        made = plan(problem, pattern=cascade(1, "live-joint"), placement=Placement.parse(text), objective="money")
        assert made.evidence.bound <= made.evidence.value


def test_a_first_frame_is_proven_where_nothing_could_come_earlier() -> None:
    made = plan(GRID, objective="first-frame")
    assert (made.evidence.value, made.evidence.bound) == (2 * 10 + 7, 27)
    assert made.evidence.bound_by == "passes of the first block"


def test_cases_without_a_say_do_not_break_the_bound() -> None:
    best = found(GRID)
    proof = evidence(best, [], "makespan", Limits(), seed=4)
    assert (proof.value, proof.bound, proof.seed) == (best.figures.makespan_us, best.figures.makespan_us, 4)
    assert proof.proves == "placement"


def test_memory_leaves_a_bound_that_still_holds() -> None:
    """What does not fit may have the lower bound: the plan that does is not called better than it is for that."""
    problem = clip(TWO, 3, 2)
    device = problem.cluster.devices[0]
    roomy = plan(problem).evidence
    refused = 0
    for megabytes in range(2, 40, 2):
        tight = device.model_copy(update={"memory_bytes": megabytes * 10**6})
        cluster = problem.cluster.model_copy(update={"devices": (tight, tight)})
        try:
            proof = plan(problem.model_copy(update={"cluster": cluster})).evidence
        except InfeasibleError:
            refused += 1
        else:
            assert roomy.bound <= proof.bound <= proof.value
            assert roomy.value <= proof.value
    assert 0 < refused < 19
