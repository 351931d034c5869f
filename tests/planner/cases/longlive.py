"""LongLive: blocks cost more until the window is full; LongLive 2: half the steps, the same decoder."""

from __future__ import annotations

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.estimate import estimate
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.cases.case import Case, Row, by_hand, facts, planned, system

NAME = "longlive-window"


def case() -> Case:
    found = facts(NAME)
    rows = [
        Row(f"block {block}, ms", ms, published, 0.10)
        for block, (ms, published) in enumerate(zip(blocks_ms(), found["blocks"], strict=True))
    ]
    return Case(
        name=NAME,
        source=found["source"],
        given="the model's window: 12 latent frames, 3 of them a sink, blocks of 3",
        fitted="two points: the first block, which reads none, and the last, which reads three",
        rows=tuple(rows),
        note="What must come out is the shape: dearer with each block until the window is full at block 3, then flat. "
        "The measured second block is hardly dearer than the first, which a straight line cannot follow: the first "
        "carries a warm-up.",
    )


def blocks_ms() -> list[float]:
    """Milliseconds of each block's passes, five equal ones."""
    found = facts(NAME)["blocks"]
    spec = load_spec("longlive-1.3b")
    profile = by_hand(spec, "h100", pass_ms={0: found[0] / 5, 3: found[-1] / 5})
    workload = Workload(blocks=len(found) + 1, decode=False)
    problem = Problem(model=spec, cluster=Cluster.of("h100"), workload=workload, profile=profile)
    rows = [row for row in planned(problem, "sequential", "free").ranks[0] if row.action.is_compute]
    return [sum(r.end_us - r.start_us for r in rows if r.action.block == block) / 1000 for block in range(len(found))]


def second() -> Case:
    name = "longlive2-reproduced"
    found = facts(name)
    frames, four, two = found["frames_per_block"], found["b200"][4], found["b200"][2]
    pass_ms = 1000 * frames / four[0] / 5
    decode_ms = 1000 * frames * (1 / four[1] - 1 / four[0])
    parts = {"pass_ms": pass_ms, "decode_ms": decode_ms}
    made = estimate(system(model="longlive2-5b-2step", latencies=parts))
    assert made.fps_without_decode is not None
    return Case(
        name=name,
        source=found["source"],
        given="the rates of the four-step checkpoint on B200, with and without decoding",
        fitted=f"nothing else: a pass of {pass_ms:.0f} ms and a decode of {decode_ms:.0f} ms follow from them",
        rows=(
            Row("two steps, fps without decoding", made.fps_without_decode, two[0], 0.02),
            Row("two steps, fps with decoding", made.fps, two[1], 0.02),
        ),
    )
