"""Lower bounds: below every schedule there is, by exhaustion; and as tight as they should be, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.action import Action, Kind
from planner.bounds import Bound, Period, makespan_bound, steady_period
from planner.cluster import DEVICES, LINKS, Cluster
from planner.cost import costs
from planner.graph import build_graph
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.workload import Workload
from tests.planner.clips import cascade, clip, grid, model
from tests.strategies import problems


def graph_of(problem: Problem, pattern: Pattern) -> nx.DiGraph[Action]:
    return build_graph(problem, pattern, costs(problem))


def bound_of(problem: Problem, pattern: Pattern) -> Bound:
    return makespan_bound(graph_of(problem, pattern), costs(problem), problem.cluster.size)


def optimum_us(graph: nx.DiGraph[Action], work: Mapping[Action, int], ranks: int) -> int:
    """The least makespan of all schedules on equal ranks without transfers, by trying every order.

    Some optimal schedule starts its actions in the order of a list, each as soon as its inputs are there and the
    rank that is free first allows, none before its predecessor in the list.
    """
    best = sum(work.values())

    def extend(ends: dict[Action, int], free: tuple[int, ...], since: int) -> None:
        nonlocal best
        if len(ends) == len(work):
            best = min(best, max(ends.values()))
            return
        for action in work:
            inputs = [ends.get(maker) for maker in graph.predecessors(action)]
            if action in ends or None in inputs:
                continue
            start = max(free[0], *(end for end in inputs if end is not None), 0)
            if start >= since and start + work[action] <= best:
                end = start + work[action]
                extend({**ends, action: end}, tuple(sorted((*free[1:], end))), start)

    extend({}, (0,) * ranks, 0)
    return best


@st.composite
def small_clips(draw: st.DrawFn) -> tuple[Problem, Pattern]:
    """At most eight actions on one to three equal ranks, transfers as short as can be."""
    steps, clean, blocks, decode = (
        draw(st.integers(1, 4)),
        draw(st.booleans()),
        draw(st.integers(1, 5)),
        draw(st.booleans()),
    )
    assume(blocks * steps + (blocks - 1) * clean + blocks * decode <= 8)
    window = draw(st.integers(1, 4))
    spec = model(steps, clean=clean, window=window, sink=draw(st.integers(0, min(1, window - 1))))
    durations = st.integers(1, 30)
    problem = clip(
        spec,
        blocks,
        draw(st.integers(1, 3)),
        decode=decode,
        denoise_us=draw(st.lists(durations, min_size=1, max_size=3)),
        clean_us=draw(st.lists(durations, min_size=1, max_size=2)),
        decode_us=(draw(durations), draw(durations)),
        latency_us=0,
        bandwidth_gbps=1e9,
    )
    return problem, draw(st.sampled_from(all_patterns(spec)))


@settings(max_examples=150)
@given(small_clips())
def test_no_schedule_beats_the_bound(drawn: tuple[Problem, Pattern]) -> None:
    problem, pattern = drawn
    graph, timing, ranks = graph_of(problem, pattern), costs(problem), problem.cluster.size
    best = optimum_us(graph, {action: timing.compute_us(action, 0) for action in graph}, ranks)
    bound = bound_of(problem, pattern).value_us
    assert bound <= best <= plan(problem, pattern=pattern).makespan_us
    if ranks == 1:
        assert bound == best


def test_the_exhaustive_search_by_hand() -> None:
    graph: nx.DiGraph[Action] = nx.DiGraph()
    actions = [Action(Kind.DENOISE, 0, step) for step in range(5)]
    work = dict(zip(actions, (3, 3, 2, 2, 2), strict=True))
    graph.add_nodes_from(actions)
    # Longest first would take 7 on two ranks: 3 2 2 and 3 2; 3 3 and 2 2 2 take 6.
    assert [optimum_us(graph, work, ranks) for ranks in (1, 2, 3)] == [12, 6, 5]
    graph.add_edge(actions[0], actions[4])
    graph.add_edge(actions[4], actions[1])
    assert optimum_us(graph, work, 2) == 8


def test_critical_path_by_hand() -> None:
    problem = clip(model(1, clean=True), 2, 2)
    # denoise b0.s0, commit b0, denoise b1.s0, decode b1
    assert bound_of(problem, Pattern.sequential(problem.model)) == Bound(100 + 80 + 150 + 60, "critical path")
    # At the same level block 1 starts beside block 0's clean pass: denoise b0.s0, denoise b1.s0, decode b1.
    assert bound_of(problem, cascade(1)) == Bound(100 + 150 + 60, "critical path")


def test_area_by_hand() -> None:
    # Work of 7 x 57; at the start a rank idles for the first pass, at the end one for the last decode.
    assert bound_of(grid(2), cascade(1)) == Bound((399 + 10 + 7 + 1) // 2, "device area")
    assert bound_of(grid(1), cascade(1)) == Bound(399, "device area")
    # Three ranks: heads 0, 10, 10 or 20; tails 0, 7 and 14 or 17.
    assert bound_of(grid(3), cascade(1)) == Bound(-(-(399 + 0 + 10 + 20 + 0 + 7 + 7) // 3), "device area")
    # Five ranks never fill: one pass of each block but the last, the last block's five, its decode.
    assert bound_of(grid(5), cascade(1)) == Bound(6 * 10 + 5 * 10 + 7, "critical path")


def test_area_of_few_actions_by_hand() -> None:
    # Three passes that need nothing, on two ranks.
    problem = clip(model(1, window=1), 3, 2, decode=False)
    assert bound_of(problem, cascade(1)) == Bound(150, "device area")


def test_the_grid_with_free_decodes_has_the_optimum_that_solvers_found() -> None:
    # 205 for two devices, where decodes do not wait for one another.
    graph = graph_of(grid(2), cascade(1))
    chained = [(a, b) for a, b in graph.edges if a.kind is b.kind is Kind.DECODE]
    graph.remove_edges_from(chained)
    assert len(chained) == 6
    assert makespan_bound(graph, costs(grid(2)), 2) == Bound(205, "device area")


def test_area_of_a_part_by_hand() -> None:
    # Blocks 1 to 5 read block 0 alone. The whole clip: (0 + 100 + 1700 + 0 + 0) / 2 = 900, but none of the 1500 us
    # after block 0 begins before 200 us: (200 + 200 + 1500) / 2.
    problem = clip(model(2, window=2, sink=1), 6, 2, decode=False)
    pattern = Pattern.sequential(problem.model)
    assert bound_of(problem, pattern) == Bound(950, "device area")
    mirrored = graph_of(problem, pattern).reverse()
    assert makespan_bound(mirrored, costs(problem), 2) == Bound(950, "device area")


@settings(max_examples=50)
@given(st.data(), problems(decode=False))
def test_a_clip_played_backwards_has_the_same_bound(data: st.DataObject, problem: Problem) -> None:
    pattern = data.draw(st.sampled_from(all_patterns(problem.model)))
    graph, timing, ranks = graph_of(problem, pattern), costs(problem), problem.cluster.size
    assert makespan_bound(graph.reverse(), timing, ranks) == makespan_bound(graph, timing, ranks)


@settings(max_examples=50)
@given(st.data(), problems())
def test_bounds_fall_as_ranks_are_added(data: st.DataObject, problem: Problem) -> None:
    graph, timing = graph_of(problem, data.draw(st.sampled_from(all_patterns(problem.model)))), costs(problem)
    bounds = [makespan_bound(graph, timing, ranks).value_us for ranks in range(1, problem.cluster.size + 1)]
    assert bounds == sorted(bounds, reverse=True)


def test_unequal_ranks_are_taken_for_the_fastest() -> None:
    def on(*kinds: str) -> Problem:
        cluster = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=LINKS["pcie4"])
        return Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=3))

    pattern = Pattern.sequential(load_spec("toy"))
    fast, mixed = on("h200", "h200"), on("cpu-core", "h200")
    assert bound_of(mixed, pattern) == bound_of(fast, pattern)
    assert bound_of(on("cpu-core", "cpu-core"), pattern).value_us > bound_of(mixed, pattern).value_us


# -- endless streams -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "ranks", "decode_us", "value", "limit"),
    [
        (1, 1, 7, Fraction(57), "devices"),
        (1, 2, 7, Fraction(57, 2), "devices"),
        (1, 5, 7, Fraction(57, 5), "devices"),
        (1, 6, 7, Fraction(10), "dependencies"),
        (1, 60, 7, Fraction(10), "dependencies"),
        (2, 6, 7, Fraction(20), "dependencies"),
        (2, 2, 7, Fraction(57, 2), "devices"),
        (5, 1, 7, Fraction(57), "devices"),
        (5, 2, 7, Fraction(50), "dependencies"),
        (1, 20, 60, Fraction(60), "decoder"),
        (1, 2, 60, Fraction(60), "decoder"),
        (1, 1, 60, Fraction(110), "devices"),
    ],
)
def test_period_of_the_grid_by_hand(offset: int, ranks: int, decode_us: int, value: Fraction, limit: str) -> None:
    problem = grid(ranks, decode_us=decode_us)
    assert steady_period(problem, cascade(offset), costs(problem), ranks) == (value, limit)


def test_period_of_unequal_passes_by_hand() -> None:
    # With a full context of two blocks: passes of 200, 200 and a clean one of 80; a decode of 60.
    problem = clip(model(2, clean=True, window=3), 9, 9)
    periods = [steady_period(problem, cascade(offset), costs(problem), 9).value_us for offset in (1, 2, 3)]
    assert periods == [200, 400, 480]
    assert steady_period(problem, cascade(1), costs(problem), 2) == (Fraction(540, 2), "devices")
    silent = clip(model(2, clean=True, window=3), 9, 9, decode=False)
    assert steady_period(silent, cascade(1), costs(silent), 2) == (Fraction(480, 2), "devices")


def test_period_of_a_roofline() -> None:
    problem = Problem(model=load_spec("toy"), cluster=Cluster.of("h100"), workload=Workload(blocks=2))
    timing = costs(problem)
    # A full context is three blocks, as block 3 has.
    passes = timing.compute_us(Action(Kind.DENOISE, 3, 0), 0) * 4 + timing.compute_us(Action(Kind.COMMIT, 3), 0)
    decode = timing.compute_us(Action(Kind.DECODE, 3), 0)
    assert steady_period(problem, Pattern.sequential(problem.model), timing, 1) == Period(
        Fraction(passes + decode), "devices"
    )
    assert steady_period(problem, Pattern.sequential(problem.model), timing, 2) == Period(
        Fraction(passes), "dependencies"
    )


@pytest.mark.parametrize(("offset", "ranks"), [(1, 2), (1, 3), (1, 6), (2, 3), (5, 2)])
def test_long_clips_approach_the_period_from_above(offset: int, ranks: int) -> None:
    def per_block(blocks: int) -> float:
        problem = clip(
            model(5, window=3),
            blocks,
            ranks,
            denoise_us=(1000,),
            decode_us=(700, 700),
            latency_us=0,
            bandwidth_gbps=1e9,
        )
        found = plan(problem, pattern=cascade(offset), placement=Placement())
        period = steady_period(problem, cascade(offset), costs(problem), ranks).value_us
        return found.makespan_us / blocks / float(period)

    short, long = per_block(12), per_block(60)
    assert 1 <= long < short
    assert long < 1.12


@pytest.mark.parametrize(("window", "sink"), [(1, 0), (2, 1)])
def test_a_stream_of_independent_blocks_is_limited_by_devices(window: int, sink: int) -> None:
    problem = clip(model(2, window=window, sink=sink), 9, 9, denoise_us=(100,), decode=False)
    assert steady_period(problem, cascade(2), costs(problem), 9) == (Fraction(200, 9), "devices")
