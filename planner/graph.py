"""The dependency graph of a clip: compute actions as nodes, what one hands to another on the edges.

Edge attributes: `payload`, what travels if the two run on different ranks (None for the decoder's state, which never
travels), and `bytes`, its size.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from planner.action import Action, Kind, Payload
from planner.cost import Costs
from planner.patterns import Pattern, reads
from planner.problem import Problem


def compute_action(problem: Problem, block: int, stage: int) -> Action:
    """The pass of `block` at `stage`: a denoise step, or the clean pass after the last one."""
    if stage < problem.model.steps:
        return Action(Kind.DENOISE, block, stage)
    return Action(Kind.COMMIT, block)


def stages(problem: Problem, block: int) -> range:
    """The stages a block goes through: no clean pass after the last block, as nothing would read it."""
    last = block == problem.workload.blocks - 1
    return range(problem.model.steps if last else problem.model.passes)


def kv_version(problem: Problem, block: int, level: int) -> Payload:
    """The K/V of a block at a noise level, named by the pass that made it."""
    return Payload("kv", block, level if level < problem.model.steps else None)


def inputs(problem: Problem, pattern: Pattern, action: Action) -> Iterator[tuple[Action, Payload | None]]:
    """What a compute action needs: (the action that makes it, the payload), latents first, then K/V oldest first."""
    spec, block = problem.model, action.block
    if action.kind is Kind.DECODE:
        yield Action(Kind.DENOISE, block, spec.steps - 1), Payload("latents", block, spec.steps - 1)
        if block:
            yield Action(Kind.DECODE, block - 1), None
        return
    stage = spec.steps if action.step is None else action.step
    if stage:
        yield Action(Kind.DENOISE, block, stage - 1), Payload("latents", block, stage - 1)
    for earlier, level in reads(pattern, spec, block, stage):
        yield compute_action(problem, earlier, level), kv_version(problem, earlier, level)


def build_graph(problem: Problem, pattern: Pattern, costs: Costs) -> nx.DiGraph[Action]:
    """The graph of a problem under a pattern; nodes are added block by block, each after what it needs."""
    graph: nx.DiGraph[Action] = nx.DiGraph()
    for block in range(problem.workload.blocks):
        actions = [compute_action(problem, block, stage) for stage in stages(problem, block)]
        if problem.workload.decode:
            actions.append(Action(Kind.DECODE, block))
        for action in actions:
            graph.add_node(action)
            for maker, payload in inputs(problem, pattern, action):
                size = 0 if payload is None else costs.payload_bytes(payload)
                graph.add_edge(maker, action, payload=payload, bytes=size)
    return graph
