"""What is tried: every tolerated pattern on every placement that makes sense, and nothing that could win is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from models.spec import ModelSpec
from planner.cluster import LINKS, Cluster, Device
from planner.errors import InputError
from planner.objective import OBJECTIVES, Limits, score
from planner.patterns import Pattern, all_patterns, tolerates
from planner.placement import Placement
from planner.plan import Objective
from planner.problem import Problem
from planner.searching.explore import BEATEN, Tried, by_promise, chosen_patterns, explore, priced_cases
from planner.workload import Workload
from tests.planner.clips import cascade, clip, grid, model
from tests.strategies import problems

ALL = ("sequential", "cascade", "cascade-live-joint", "cascade-live-causal", "layers", "sequential-recompute")
GRID = grid(4, blocks=4, steps=3)


def tolerating(problem: Problem, *names: str) -> Problem:
    spec = ModelSpec.model_validate(problem.model.model_dump() | {"tolerates": names})
    return problem.model_copy(update={"model": spec})


def tried(problem: Problem, objective: Objective = "makespan", **limits: object) -> list[Tried]:
    return explore(problem, chosen_patterns(problem, None), None, objective, Limits.model_validate(limits))


def test_the_patterns_that_the_checkpoint_tolerates() -> None:
    spec = model(2, clean=True, tolerates=("sequential", "cascade-live-joint"))
    problem = clip(spec, 2)
    names = ["sequential", "cascade:2:live-joint", "cascade:1:live-joint"]
    assert [str(pattern) for pattern in chosen_patterns(problem, None)] == names
    # One that is asked for is taken whatever the checkpoint bears.
    assert chosen_patterns(problem, cascade(1)) == [cascade(1)]
    assert chosen_patterns(clip(model(2, tolerates=("none of ours",)), 2), None) == []


def test_pixels_are_read_only_where_they_are_made() -> None:
    for decode in (True, False):
        problem = tolerating(clip(model(2), 2, decode=decode), *ALL)
        named = {pattern.name for pattern in chosen_patterns(problem, None)}
        assert ("sequential-recompute" in named) == decode


@pytest.mark.parametrize(
    ("objective", "counts"), [("makespan", {4}), ("devices", {1, 2, 3, 4}), ("money", {1, 2, 3, 4})]
)
def test_fewer_devices_are_tried_where_they_may_be_better(objective: Objective, counts: set[int]) -> None:
    problem = tolerating(GRID, "cascade", "cascade-live-joint")
    ranks = {item.placement.ranks or 4 for item in tried(problem, objective) if item.eligible}
    assert counts <= ranks


def test_no_more_devices_are_tried_than_the_limit_allows() -> None:
    for objective in ("makespan", "devices"):
        found = [item for item in tried(GRID, objective, devices=2) if item.eligible and item.costs]
        kept = [item for item in found if item.case is not None and item.case.figures.devices <= 2]
        assert kept, "what keeps the limit is tried"


def test_published_schedules_are_there_to_compare() -> None:
    named = {item.name: item for item in tried(GRID) if item.name}
    assert len(named) == 8
    assert not any(item.eligible for item in named.values())
    # Every one is timed, or says why it cannot be.
    assert all((item.case is None) == bool(item.refused) for item in named.values())
    assert named["n+1 ranks and VAE stages (WaveForcing)"].refused == "asks for 6 rank(s), the cluster has 4"


def test_a_placement_that_goes_with_no_pattern_is_refused() -> None:
    for text, message in (
        ("ring", "'ring' belongs to pattern 'layers'"),
        ("free@9", r"asks for 9 rank\(s\), the cluster has 4"),
        ("free+decoder:4", "needs at least 5 ranks, not 4"),
        ("free*ulysses:3", "4 attention heads, not divisible by 3"),
    ):
        with pytest.raises(InputError, match=message):
            explore(GRID, [cascade(1)], Placement.parse(text), "makespan", Limits())
    with pytest.raises(InputError, match="ask for block, step or batched, not free"):
        explore(GRID, [cascade(1, "live-joint")], Placement.parse("free"), "makespan", Limits())


def test_a_placement_is_tried_with_each_pattern_it_goes_with() -> None:
    problem = tolerating(GRID, *ALL)
    found = explore(problem, chosen_patterns(problem, None), Placement.parse("batched"), "makespan", Limits())
    assert {str(item.pattern) for item in found} == {str(pattern) for pattern in all_patterns(problem.model)}
    timed = {str(item.pattern) for item in found if item.case is not None or item.refused == BEATEN}
    assert timed == {"cascade:2", "cascade:1", "cascade:2:live-joint", "cascade:1:live-joint"}


def test_memory_that_cannot_do_is_told_before_anything_is_laid_out() -> None:
    device = Device(kind="small", peak_tflops=100, memory_bytes=45 * 10**9, memory_gbps=1000)
    problem = Problem(
        model=load_spec("wan-14b"), cluster=Cluster(devices=(device,), link=LINKS["pcie4"]), workload=Workload(blocks=9)
    )
    (item,) = explore(problem, [Pattern.sequential(problem.model)], Placement(), "makespan", Limits())
    assert item.case is None
    # A window's K/V of 26.8 GB beside 28.6 GB of weights.
    assert item.refused.startswith(
        "memory: weights and working memory 29.3 GB + K/V of one pass 26.8 GB > 45.0 GB of small"
    )


@settings(max_examples=8, derandomize=True)
@given(problems(), st.sampled_from([objective for objective in OBJECTIVES if objective != "period"]))
def test_what_is_not_laid_out_could_not_have_won(problem: Problem, objective: Objective) -> None:
    problem = tolerating(problem, "sequential", "cascade", "cascade-live-joint", "cascade-live-causal")
    patterns = chosen_patterns(problem, None)
    pruned = explore(problem, patterns, None, objective, Limits())
    whole = explore(problem, patterns, None, objective, Limits(), prune=False)

    def values(items: list[Tried]) -> list[float]:
        return sorted(score(item.case.figures, objective) for item in items if item.case is not None and item.eligible)

    assert values(pruned)[:1] == values(whole)[:1]
    left = [place for place, item in enumerate(pruned) if item.refused == BEATEN]
    for place in left:
        found = whole[place].case
        assert found is not None
        assert score(found.figures, objective) > values(pruned)[0]


def test_the_most_promising_come_first() -> None:
    items = priced_cases(tolerating(GRID, *ALL), list(all_patterns(GRID.model)), None, "makespan", Limits())
    order = by_promise(items)
    promised = [items[place].at_best for place in order]
    assert promised == sorted(promised)
    assert {place for place, item in enumerate(items) if not item.refused and item.costs} == set(order)
    assert not any(tolerates(GRID.model, item.pattern) is False and item.eligible for item in tried(GRID))
