"""The dependency graph: by hand, the chain rule of the patterns, and graphs of one's own."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.action import Action, Kind
from planner.bounds.makespan import makespan_bound
from planner.cluster import Cluster
from planner.cost import Costs
from planner.errors import InputError
from planner.graph import MAX_TASKS, MAX_UNITS, MAX_US, build_graph, instance_of
from planner.instance import ANY, Wire
from planner.patterns import Pattern, all_patterns
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, list_schedule
from planner.workload import Workload
from tests.planner.clips import KV_BYTES, LATENT_BYTES, cascade, clip, costed, model
from tests.planner.validity import faults
from tests.strategies import costings

TWO = model(2, clean=True)


def edges(costs: Costs) -> dict[tuple[str, str], tuple[str, int, bool]]:
    """(maker, reader) -> (payloads as text, bytes, live)."""
    return {
        (str(maker), str(reader)): (", ".join(map(str, data["payloads"])), data["bytes"], data["live"])
        for maker, reader, data in build_graph(costs).edges(data=True)
    }


def test_a_clip_with_clean_passes_by_hand() -> None:
    costs = costed(clip(model(1, clean=True), 3), cascade(1))
    graph = build_graph(costs)
    assert {str(action): data["duration_us"] for action, data in graph.nodes(data=True)} == {
        "denoise b0.s0": 100,
        "commit b0": 80,
        "decode b0": 40,
        "denoise b1.s0": 150,
        "commit b1": 80,
        "decode b1": 60,
        "denoise b2.s0": 200,
        "decode b2": 60,
    }
    assert edges(costs) == {
        ("denoise b0.s0", "commit b0"): ("latents b0.s0", 1_024, False),
        ("denoise b0.s0", "decode b0"): ("latents b0.s0", 1_024, False),
        ("denoise b0.s0", "denoise b1.s0"): ("kv b0.s0", 147_456, False),
        ("denoise b1.s0", "commit b1"): ("latents b1.s0", 1_024, False),
        ("commit b0", "commit b1"): ("kv b0.c", 147_456, False),
        ("denoise b1.s0", "decode b1"): ("latents b1.s0", 1_024, False),
        ("decode b0", "decode b1"): ("", 0, False),
        ("denoise b0.s0", "denoise b2.s0"): ("kv b0.s0", 147_456, False),
        ("denoise b1.s0", "denoise b2.s0"): ("kv b1.s0", 147_456, False),
        ("denoise b2.s0", "decode b2"): ("latents b2.s0", 1_024, False),
        ("decode b1", "decode b2"): ("", 0, False),
    }


def test_a_sequential_clip_without_decoding_by_hand() -> None:
    problem = clip(model(2, window=2), 3, decode=False)
    assert edges(costed(problem, Pattern.sequential(problem.model))) == {
        ("denoise b0.s0", "denoise b0.s1"): ("latents b0.s0", 1_024, False),
        ("denoise b0.s1", "denoise b1.s0"): ("kv b0.s1", 147_456, False),
        ("denoise b0.s1", "denoise b1.s1"): ("kv b0.s1", 147_456, False),
        ("denoise b1.s0", "denoise b1.s1"): ("latents b1.s0", 1_024, False),
        ("denoise b1.s1", "denoise b2.s0"): ("kv b1.s1", 147_456, False),
        ("denoise b1.s1", "denoise b2.s1"): ("kv b1.s1", 147_456, False),
        ("denoise b2.s0", "denoise b2.s1"): ("latents b2.s0", 1_024, False),
    }


def test_a_live_cascade_by_hand() -> None:
    problem = clip(model(2, clean=True, window=2), 2, decode=False)
    assert edges(costed(problem, cascade(1, "live-causal"))) == {
        ("denoise b0.s0", "denoise b0.s1"): ("latents b0.s0", 1_024, False),
        ("denoise b0.s1", "commit b0"): ("latents b0.s1", 1_024, False),
        ("denoise b0.s1", "denoise b1.s0"): ("kv b0.s1", 147_456, True),
        ("commit b0", "denoise b1.s1"): ("kv b0.c", 147_456, True),
        ("denoise b1.s0", "denoise b1.s1"): ("latents b1.s0", 1_024, False),
    }


def test_a_joint_cascade_by_hand() -> None:
    costs = costed(clip(model(1, clean=True), 2), cascade(1, "live-joint"), "batched")
    assert edges(costs) == {
        ("tick 0", "tick 1"): ("", 0, False),
        ("tick 0", "decode b0"): ("latents b0.s0", 1_024, False),
        ("tick 1", "decode b1"): ("latents b1.s0", 1_024, False),
        ("decode b0", "decode b1"): ("", 0, False),
    }


def test_a_batch_hands_several_payloads_to_the_next() -> None:
    costs = costed(clip(TWO, 3, 2), cascade(1), "batched")
    both = "latents b0.s1, kv b0.s1", LATENT_BYTES + KV_BYTES, False
    assert edges(costs)["batch 1.0 b0.s1", "batch 2.1 b0.c b1.s1"] == both


@pytest.mark.parametrize(("blocks", "forwards"), [(1, 4), (7, 34), (27, 134)])
def test_forwards_of_self_forcing(blocks: int, forwards: int) -> None:
    """27 x 4 + 26 = 134: FlashForward's count (published.yaml, forward-counts)."""
    spec = load_spec("self-forcing-1.3b")
    problem = Problem(model=spec, cluster=Cluster.of("h100"), workload=Workload(blocks=blocks))
    for pattern in all_patterns(spec):
        if pattern.name in ("sequential", "cascade") and not pattern.is_joint:
            graph = build_graph(costed(problem, pattern))
            passes = [action for action in graph if action.kind in (Kind.DENOISE, Kind.COMMIT)]
            assert len(passes) == forwards == spec.forward_count(blocks)
            assert sum(action.kind is Kind.DECODE for action in graph) == blocks


@settings(max_examples=100)
@given(costings())
def test_the_order_of_nodes_is_one_to_run_in(costs: Costs) -> None:
    graph = build_graph(costs)
    assert nx.is_directed_acyclic_graph(graph)
    place = {action: at for at, action in enumerate(graph)}
    for maker, reader, edge in graph.edges(data=True):
        assert place[maker] < place[reader]
        assert edge["bytes"] == sum(costs.payload_bytes(payload) for payload in edge["payloads"])
        made = {p for share in _shares(maker, costs) for p in costs.flow.makes(share)}
        read = {p for share in _shares(reader, costs) for p in costs.flow.needs(share)}
        assert made & read >= set(edge["payloads"])
        if edge["live"]:
            assert costs.flow.beside(reader) & set(edge["payloads"])


def _shares(action: Action, costs: Costs) -> list[Action]:
    if action.kind is not Kind.TICK:
        return [action]
    return [action._replace(batch=share) for share in costs.flow.shares(action.block)]


@settings(max_examples=100)
@given(costings(min_blocks=2))
def test_each_pass_waits_for_its_chain(costs: Costs) -> None:
    """Where a block reads the one before, pass k comes after pass min(k + offset - 1, n) of that block, live or not."""
    flow, spec, offset = costs.flow, costs.spec, costs.flow.pattern.offset
    if flow.recomputes or flow.recached or flow.placement.passes in ("ring", "batched") or flow.pattern.is_joint:
        return
    graph = build_graph(costs)

    def action(block: int, stage: int) -> Action:
        step = flow.as_pass(block, stage)[1]
        return Action(Kind.COMMIT if step is None else Kind.DENOISE, block, step)

    for block in range(1, flow.blocks):
        if block - 1 not in spec.context_blocks(block):
            continue
        for stage in flow.stages(block):
            before = spec.stage_at(block - 1, min(stage + offset - 1, spec.passes - 1))
            assert action(block - 1, before) in nx.ancestors(graph, action(block, stage))


# -- graphs of one's own -------------------------------------------------------------------------


def own(durations: dict[str, Any], *links: tuple[str, str, Any]) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, us in durations.items():
        graph.add_node(name, **({} if us is None else {"duration_us": us}))
    for maker, reader, size in links:
        graph.add_edge(maker, reader, **({} if size is None else {"bytes": size}))
    return graph


def test_a_diamond_by_hand() -> None:
    graph = own(
        {"d": 5, "a": 10, "b": 20, "c": 7}, ("a", "b", None), ("a", "c", None), ("b", "d", None), ("c", "d", None)
    )
    instance, nodes = instance_of(graph, 2)
    assert nodes[0] == "a"
    assert nodes[-1] == "d"
    assert instance.durations[0] == (10, 10)
    assert (instance.units, instance.wires, instance.stays) == (2, None, [ANY] * 4)
    schedule = list_schedule(instance)
    assert schedule.makespan_us == makespan_bound(instance).value_us == 35
    ends = dict(zip(nodes, schedule.ends_us, strict=True))
    assert (ends["b"], ends["c"], ends["d"]) == (30, 17, 35)


def test_bytes_take_the_wire_if_they_cross() -> None:
    wire = Wire(latency_us=3, bytes_per_us=10.0, lanes=())
    graph = own({"a": 10, "b": 20, "c": 20}, ("a", "b", 100), ("a", "c", 100))
    instance, nodes = instance_of(graph, 2, wire)
    # Both read the same payload, 13 us away.
    assert instance.payload_bytes == [100]
    assert instance.wires is not None
    ways = instance_of(graph, 3, wire)[0].wires or {}
    assert len({way.lanes for way in ways.values()}) == len(ways) == 6, "every way is its own"
    assert list_schedule(instance).makespan_us == 10 + 13 + 20
    assert instance_of(graph, 1, wire)[0].wires is None
    assert list_schedule(instance_of(graph, 2)[0]).makespan_us == 30
    assert set(nodes) == {"a", "b", "c"}


def test_a_payload_of_another_size_travels_by_itself() -> None:
    graph = own({"a": 1, "b": 1, "c": 1}, ("a", "b", 100), ("a", "c", 200))
    instance, _ = instance_of(graph, 2, Wire(0, 1.0, ()))
    assert sorted(instance.payload_bytes) == [100, 200]


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
    st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
def test_any_graph_can_be_scheduled(
    durations: list[int], pairs: set[tuple[int, int]], units: int, travels: bool
) -> None:
    graph: nx.DiGraph[int] = nx.DiGraph()
    for node, us in enumerate(durations):
        graph.add_node(node, duration_us=us)
    for maker, reader in pairs:
        if maker < reader < len(durations):
            graph.add_edge(maker, reader, bytes=40 * maker)
    instance, nodes = instance_of(graph, units, Wire(2, 5.0, ()) if travels else None)
    for rule in RULES:
        schedule = list_schedule(instance, rule)
        assert not faults(instance, schedule)
        ends, starts = (
            dict(zip(nodes, schedule.ends_us, strict=True)),
            dict(zip(nodes, schedule.starts_us, strict=True)),
        )
        assert all(ends[maker] <= starts[reader] for maker, reader in graph.edges)
        assert makespan_bound(instance).value_us <= schedule.makespan_us


@pytest.mark.parametrize(
    ("graph", "units", "message"),
    [
        (
            own({"a": 1, "b": 1}, ("a", "b", None), ("b", "a", None)),
            1,
            r"the edges are cyclic: (a -> b -> a|b -> a -> b)",
        ),
        (own({"a": 1}, ("a", "a", None)), 1, "the edges are cyclic: a -> a; take one of them away"),
        (own({"a": None}), 1, "node 'a': has no duration_us; give it whole microseconds"),
        (own({"a": float("nan")}), 1, "node 'a': duration_us must be a whole number 1..1000000000000, not nan"),
        (own({"a": float("inf")}), 1, "node 'a': duration_us must be a whole number"),
        (own({"a": -5}), 1, "not -5"),
        (own({"a": 0}), 1, "not 0"),
        (own({"a": 1.5}), 1, "not 1.5"),
        (own({"a": True}), 1, "not True"),
        (own({"a": "7"}), 1, "not '7'"),
        (own({"a": MAX_US + 1}), 1, f"not {MAX_US + 1}"),
        (own({"a": 10**400}), 1, "node 'a': duration_us must be a whole number"),
        (own({"a": 1, "b": 1}, ("a", "b", -1)), 2, "edge 'a' -> 'b': bytes must be a whole number 0.."),
        (own({"a": 1, "b": 1}, ("a", "b", float("nan"))), 2, "edge 'a' -> 'b': bytes must be"),
        (own({"a": 1}), 0, f"units: must be 1..{MAX_UNITS}, not 0"),
        (own({"a": 1}), -1, "units: must be"),
        (own({"a": 1}), MAX_UNITS + 1, "units: must be"),
    ],
)
def test_graphs_that_cannot_be_planned(graph: nx.DiGraph[str], units: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        instance_of(graph, units, Wire(0, 1.0, ()))


def test_a_cycle_far_inside_is_named() -> None:
    graph = own(dict.fromkeys("abcde", 1), *[(a, b, None) for a, b in ("ab", "bc", "cd", "db", "de")])
    with pytest.raises(InputError, match=r"cyclic: (b -> c -> d -> b|c -> d -> b -> c|d -> b -> c -> d)"):
        instance_of(graph, 2)


def test_a_whole_number_may_be_a_float() -> None:
    assert instance_of(own({"a": 3.0}), 1)[0].durations == [(3,)]
    assert instance_of(nx.DiGraph(), 3)[0].size == 0


def test_too_many_nodes_are_refused() -> None:
    class Huge(nx.DiGraph):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return MAX_TASKS + 1

    with pytest.raises(InputError, match=f"has {MAX_TASKS + 1} nodes, at most {MAX_TASKS}"):
        instance_of(Huge(), 1)
