"""Maximum cycle ratios: by hand, and against every simple cycle that networkx lists."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.streams.cycles import Cycle, Edge, earliest_starts, max_cycle_ratio

NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn, *, least_lag: int = -5, least_distance: int = 0) -> list[Edge]:
    node = st.integers(0, len(NAMES) - 1)
    edge = st.builds(Edge, node, node, st.integers(least_lag, 20), st.integers(least_distance, 3))
    return draw(st.lists(edge, max_size=10))


def all_cycles(edges: list[Edge]) -> list[Cycle]:
    """Every simple cycle, with every choice of parallel edges."""
    between: dict[tuple[int, int], list[Edge]] = {}
    for edge in edges:
        between.setdefault((edge.source, edge.target), []).append(edge)
    rings = nx.simple_cycles(nx.DiGraph(list(between)))
    return [
        Cycle(choice) for ring in rings for choice in product(*(between[way] for way in pairwise([*ring, ring[0]])))
    ]


def distance(cycle: Cycle) -> int:
    return sum(edge.distance for edge in cycle.edges)


# -- the ratio -----------------------------------------------------------------------------------


def test_the_heavier_of_two_cycles_by_hand() -> None:
    short = [Edge(0, 1, 5, 0), Edge(1, 0, 4, 1)]  # 9 a block
    long = [Edge(1, 2, 10, 0), Edge(2, 3, 10, 1), Edge(3, 1, 8, 2)]  # 28 in three blocks
    found = max_cycle_ratio(NAMES, short + long)
    assert found == Cycle(tuple(long))
    assert found.ratio == Fraction(28, 3)
    assert found.nodes == (1, 2, 3)


def test_parallel_edges_by_hand() -> None:
    edges = [Edge(0, 0, 5, 1), Edge(0, 0, 30, 4), Edge(0, 0, 16, 2)]
    assert max_cycle_ratio(NAMES, edges) == Cycle((edges[2],))


def test_of_separate_parts_the_heaviest_or_the_first() -> None:
    edges = [Edge(5, 5, 7, 1), Edge(2, 2, 7, 1), Edge(2, 5, 100, 0), Edge(0, 1, 3, 0), Edge(1, 0, 3, 1)]
    assert max_cycle_ratio(NAMES, edges) == Cycle((edges[1],))


def test_the_ratio_can_be_negative() -> None:
    edges = [Edge(0, 1, -3, 1), Edge(1, 0, 1, 1)]
    found = max_cycle_ratio(NAMES, edges)
    assert found is not None
    assert found.ratio == -1


def test_without_a_cycle_there_is_none() -> None:
    assert max_cycle_ratio(NAMES, [Edge(0, 1, 5, 0), Edge(0, 1, 5, 1), Edge(1, 2, 5, 1)]) is None
    assert max_cycle_ratio((), []) is None


def test_a_long_ring_by_hand() -> None:
    size = 600
    ring = [Edge(i, (i + 1) % size, i, i % 2) for i in range(size)]
    chords = [Edge(i, (i + 7) % size, 7 * i, 7) for i in range(0, size - 7, 3)]
    found = max_cycle_ratio([str(i) for i in range(size)], ring + chords)
    assert found is not None
    # Seven steps of the ring pass at least three blocks and take 7 * i + 21; a chord passes seven in 7 * i.
    assert found.edges == tuple(ring)
    assert found.ratio == Fraction(sum(range(size)), size // 2)


@given(graphs())
def test_equals_the_largest_of_all_simple_cycles(edges: list[Edge]) -> None:
    cycles = all_cycles(edges)
    if any(distance(cycle) == 0 for cycle in cycles):
        with pytest.raises(InputError, match="is cyclic"):
            max_cycle_ratio(NAMES, edges)
        return
    found = max_cycle_ratio(NAMES, edges)
    assert (found and found.ratio) == max((cycle.ratio for cycle in cycles), default=None)


@given(graphs(least_distance=-2))
def test_distances_may_be_negative_if_no_cycles_sum_is(edges: list[Edge]) -> None:
    cycles = all_cycles(edges)
    if any(distance(cycle) <= 0 for cycle in cycles):
        with pytest.raises(InputError, match="is cyclic"):
            max_cycle_ratio(NAMES, edges)
        return
    found = max_cycle_ratio(NAMES, edges)
    assert (found and found.ratio) == max((cycle.ratio for cycle in cycles), default=None)


@given(graphs())
def test_the_certificate_is_a_cycle_of_given_edges(edges: list[Edge]) -> None:
    try:
        found = max_cycle_ratio(NAMES, edges)
    except InputError:
        return
    if found is not None:
        assert all(edge in edges for edge in found.edges)
        assert all(one.target == two.source for one, two in pairwise((*found.edges, found.edges[0])))
        assert len(set(found.nodes)) == len(found.nodes)
        assert found.nodes[0] == min(found.nodes)


# -- deadlocks -----------------------------------------------------------------------------------


def test_a_cycle_within_a_block_is_refused_by_name() -> None:
    edges = [Edge(0, 1, 5, 1), Edge(1, 2, 5, 0), Edge(2, 3, 5, 0), Edge(3, 1, 5, 0), Edge(3, 0, 5, 0)]
    with pytest.raises(InputError, match="edges: b -> c -> d -> b is cyclic, none can start first; drop an edge"):
        max_cycle_ratio(NAMES, edges)


def test_a_cycle_back_in_time_is_refused_by_name() -> None:
    edges = [Edge(0, 1, 5, 2), Edge(1, 0, 5, -2), Edge(1, 2, 5, 1), Edge(2, 1, 5, 1)]
    with pytest.raises(InputError, match="edges: a -> b -> a is cyclic"):
        max_cycle_ratio(NAMES, edges)
    with pytest.raises(InputError, match="edges: a -> b -> a is cyclic"):
        max_cycle_ratio(NAMES, [*edges, Edge(0, 1, 0, 1)])


def test_a_task_that_waits_for_itself_is_refused() -> None:
    with pytest.raises(InputError, match="edges: c -> c is cyclic"):
        max_cycle_ratio(NAMES, [Edge(2, 2, 0, 0)])


# -- times ---------------------------------------------------------------------------------------


def test_earliest_starts_by_hand() -> None:
    edges = [Edge(0, 1, 5, 0), Edge(1, 0, 4, 1), Edge(1, 2, 3, 0), Edge(3, 2, 20, 1)]
    assert earliest_starts(4, edges, Fraction(9)) == [0, 5, 11, 0]
    assert earliest_starts(4, edges, Fraction(25, 2)) == [0, 5, 8, 0]
    with pytest.raises(InputError, match="period: 26/3 us is shorter than what the dependencies allow"):
        earliest_starts(4, edges, Fraction(26, 3))


@given(graphs(least_lag=0, least_distance=-1))
def test_all_can_repeat_every_ratio_but_not_faster(edges: list[Edge]) -> None:
    try:
        found = max_cycle_ratio(NAMES, edges)
    except InputError:
        return
    if found is None:
        return
    starts = earliest_starts(len(NAMES), edges, found.ratio)
    assert min(starts) == 0
    for edge in edges:
        assert starts[edge.target] + found.ratio * edge.distance >= starts[edge.source] + edge.lag_us
    with pytest.raises(InputError):
        earliest_starts(len(NAMES), edges, found.ratio - Fraction(1, 1000))
