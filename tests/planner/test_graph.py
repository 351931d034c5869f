"""The dependency graph: by hand, against the definition, and the chain rule of the patterns."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.action import Action, Kind, Payload
from planner.cluster import Cluster
from planner.cost import costs
from planner.graph import build_graph, compute_action, stages
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import cascade, clip, model
from tests.strategies import patterns, problems


def edges(problem: Problem, pattern: Pattern) -> dict[tuple[str, str], tuple[str, int]]:
    """(maker, reader) -> (payload, bytes), all as text."""
    graph = build_graph(problem, pattern, costs(problem))
    return {
        (str(maker), str(reader)): (str(data["payload"]), data["bytes"])
        for maker, reader, data in graph.edges(data=True)
    }


def test_a_clip_with_clean_passes_by_hand() -> None:
    problem = clip(model(1, clean=True), 3)
    graph = build_graph(problem, cascade(1), costs(problem))
    assert [str(action) for action in graph] == [
        "denoise b0.s0",
        "commit b0",
        "decode b0",
        "denoise b1.s0",
        "commit b1",
        "decode b1",
        "denoise b2.s0",
        "decode b2",
    ]
    assert edges(problem, cascade(1)) == {
        ("denoise b0.s0", "commit b0"): ("latents b0.s0", 1_024),
        ("denoise b0.s0", "decode b0"): ("latents b0.s0", 1_024),
        ("denoise b0.s0", "denoise b1.s0"): ("kv b0.s0", 147_456),
        ("denoise b1.s0", "commit b1"): ("latents b1.s0", 1_024),
        ("commit b0", "commit b1"): ("kv b0.c", 147_456),
        ("denoise b1.s0", "decode b1"): ("latents b1.s0", 1_024),
        ("decode b0", "decode b1"): ("None", 0),
        ("denoise b0.s0", "denoise b2.s0"): ("kv b0.s0", 147_456),
        ("denoise b1.s0", "denoise b2.s0"): ("kv b1.s0", 147_456),
        ("denoise b2.s0", "decode b2"): ("latents b2.s0", 1_024),
        ("decode b1", "decode b2"): ("None", 0),
    }


def test_a_sequential_clip_without_decoding_by_hand() -> None:
    problem = clip(model(2, window=2), 3, decode=False)
    assert edges(problem, Pattern.sequential(problem.model)) == {
        ("denoise b0.s0", "denoise b0.s1"): ("latents b0.s0", 1_024),
        ("denoise b0.s1", "denoise b1.s0"): ("kv b0.s1", 147_456),
        ("denoise b0.s1", "denoise b1.s1"): ("kv b0.s1", 147_456),
        ("denoise b1.s0", "denoise b1.s1"): ("latents b1.s0", 1_024),
        ("denoise b1.s1", "denoise b2.s0"): ("kv b1.s1", 147_456),
        ("denoise b1.s1", "denoise b2.s1"): ("kv b1.s1", 147_456),
        ("denoise b2.s0", "denoise b2.s1"): ("latents b2.s0", 1_024),
    }


@pytest.mark.parametrize(("blocks", "forwards"), [(1, 4), (7, 34), (27, 134)])
def test_forwards_of_self_forcing(blocks: int, forwards: int) -> None:
    spec = load_spec("self-forcing-1.3b")
    problem = Problem(model=spec, cluster=Cluster.of("h100"), workload=Workload(blocks=blocks))
    graph = build_graph(problem, Pattern.sequential(spec), costs(problem))
    passes = [action for action in graph if action.kind in (Kind.DENOISE, Kind.COMMIT)]
    assert len(passes) == forwards == spec.forward_count(blocks)
    assert sum(action.kind is Kind.DECODE for action in graph) == blocks


@settings(max_examples=50)
@given(st.data(), problems())
def test_edges_are_what_the_definition_says(data: st.DataObject, problem: Problem) -> None:
    pattern, spec = data.draw(patterns(problem.model)), problem.model
    expected: dict[tuple[str, str], tuple[str, int]] = {}
    last = problem.workload.blocks - 1
    names = [f"s{step}" for step in range(spec.steps)] + ["c"] * spec.clean_pass

    def action(block: int, name: str) -> str:
        return f"commit b{block}" if name == "c" else f"denoise b{block}.{name}"

    for block in range(last + 1):
        for stage, name in enumerate(names[: spec.steps] if block == last else names):
            if stage:
                before = names[stage - 1]
                latents = (f"latents b{block}.{before}", spec.latent_bytes_per_block)
                expected[action(block, before), action(block, name)] = latents
            for j in spec.context_blocks(block):
                read = names[min(stage + (block - j) * (pattern.offset - 1), len(names) - 1)]
                expected[action(j, read), action(block, name)] = (f"kv b{j}.{read}", spec.kv_bytes_per_block)
        if problem.workload.decode:
            final = f"s{spec.steps - 1}"
            latents = (f"latents b{block}.{final}", spec.latent_bytes_per_block)
            expected[action(block, final), f"decode b{block}"] = latents
            if block:
                expected[f"decode b{block - 1}", f"decode b{block}"] = ("None", 0)
    assert edges(problem, pattern) == expected


@settings(max_examples=50)
@given(st.data(), problems())
def test_the_order_of_nodes_is_one_to_run_in(data: st.DataObject, problem: Problem) -> None:
    graph = build_graph(problem, data.draw(patterns(problem.model)), costs(problem))
    assert nx.is_directed_acyclic_graph(graph)
    place = {action: i for i, action in enumerate(graph)}
    for maker, reader, edge in graph.edges(data=True):
        assert place[maker] < place[reader]
        payload = edge["payload"]
        if payload is None:
            assert (maker.kind, reader.kind) == (Kind.DECODE, Kind.DECODE)
        else:
            assert payload == Payload(payload.carries, maker.block, maker.step)
            assert payload.carries == ("latents" if maker.block == reader.block else "kv")


@settings(max_examples=50)
@given(st.data(), problems(min_blocks=2))
def test_each_pass_waits_for_its_chain(data: st.DataObject, problem: Problem) -> None:
    """Where a block reads the one before, pass k comes after pass min(k + offset - 1, n) of that block."""
    pattern, spec = data.draw(patterns(problem.model)), problem.model
    graph = build_graph(problem, pattern, costs(problem))
    for block in range(1, problem.workload.blocks):
        if block - 1 not in spec.context_blocks(block):
            continue
        for stage in stages(problem, block):
            before = compute_action(problem, block - 1, min(stage + pattern.offset - 1, spec.passes - 1))
            assert before in nx.ancestors(graph, compute_action(problem, block, stage))


@given(st.integers(0, 9), st.integers(1, 4), st.booleans())
def test_actions_of_stages(block: int, steps: int, clean: bool) -> None:
    problem = clip(model(steps, clean=clean), 10)
    made = [compute_action(problem, block, stage) for stage in stages(problem, block)]
    expected = [Action(Kind.DENOISE, block, step) for step in range(steps)]
    assert made == expected + [Action(Kind.COMMIT, block)] * (clean and block < 9)
