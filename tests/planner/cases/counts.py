"""What needs no clock: how many forwards a clip takes and how much memory its K/V."""

from __future__ import annotations

from models.catalog import load_spec
from planner.action import Kind
from planner.cluster import Cluster
from planner.cost import costs
from planner.flow import Flow
from planner.graph import build_graph
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.cases.case import Case, Row, facts


def forwards() -> Case:
    found = facts("forward-counts")
    spec, blocks = load_spec("self-forcing-1.3b"), found["blocks"]
    return Case(
        name="forward-counts",
        source=found["source"],
        given="27 blocks of four steps",
        fitted="nothing",
        rows=(
            Row("Self-Forcing, passes in the task graph", graph_passes(blocks), found["self_forcing"], 0.0),
            Row("HiAR, four cache passes a block", spec.forward_count(blocks, cache_passes=4), found["hiar"], 0.0),
        ),
    )


def graph_passes(blocks: int) -> int:
    spec = load_spec("self-forcing-1.3b")
    problem = Problem(model=spec, cluster=Cluster.of("h100"), workload=Workload(blocks=blocks))
    graph = build_graph(costs(problem, Flow(problem, Pattern.sequential(spec), Placement())))
    return sum(action.kind in (Kind.DENOISE, Kind.COMMIT) for action in graph)


def memory() -> Case:
    found = facts("kv-memory")
    wan, krea = load_spec("wan-14b"), load_spec("krea-realtime-14b")
    gib = 2**30
    lingbot, window = 18 * wan.kv_bytes_per_frame / gib, 21 * krea.kv_bytes_per_frame / gib
    return Case(
        name="kv-memory",
        source=found["source"],
        given="the models' shapes",
        fitted="nothing",
        rows=(
            Row("14B, 18 latent frames, GiB", lingbot, found["lingbot_18_frames_gib"], 0.02),
            Row("Krea 14B, 21 latent frames, GiB", window, found["krea_14b_21_frames_gib"], 0.02),
        ),
    )
