"""Block Cascading's own figures: two rates on five GPUs from two on one."""

from __future__ import annotations

from functools import cache
from typing import Any

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.metrics import metrics
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.cases.case import Case, Row, by_hand, facts, planned, steady_fps

NAME = "block-cascading-headline"
JOINT = "cascade:1:live-joint"


def case() -> Case:
    found = facts(NAME)
    overhead, stretch = fitted()
    rows: list[Row] = []
    for model in found["models"]:
        name, latencies = model["name"], model["latency_s"]
        alone, five = problem(model, 1, overhead, stretch), problem(model, 5, overhead, stretch)
        rows += [
            Row(f"{name}, one GPU, fps", steady_fps(alone, "sequential", "free"), model["fps_sequential"], 0.01),
            Row(f"{name}, five GPUs, fps", steady_fps(five, JOINT, "block"), model["fps_cascade"], 0.01),
            Row(f"{name}, one GPU, block latency, s", latency_s(alone, "sequential", "free"), latencies[0], 0.02),
            Row(f"{name}, five GPUs, block latency, s", latency_s(five, JOINT, "block"), latencies[1], 0.02),
        ]
    return Case(
        name=NAME,
        source=found["source"],
        given="the rate on one GPU, from which a pass follows: 12 frames / fps / 5 passes",
        fitted=f"what a joint tick costs on top, {overhead:.0f} ms, and how much its passes are stretched, "
        f"{stretch:.2f} times: two numbers for both models, on the two rates of five GPUs",
        rows=tuple(rows),
        note="The rates of five GPUs are fitted, two numbers on two figures; the rates of one GPU are given. What is "
        "foretold are the four latencies. A tick of 2.67 passes at 1.3B is far from the ideal 1: other runtimes of the "
        "same schedule reach less than half of this overhead (see wavert-matrix).",
    )


def problem(model: dict[str, Any], ranks: int, overhead_ms: float, stretch: float) -> Problem:
    spec = load_spec(model["name"])
    profile = by_hand(
        spec, "h100", pass_ms=pass_ms(model), tick_overhead_ms=round(overhead_ms, 3), joint_stretch=stretch
    )
    workload = Workload(blocks=21, decode=False)
    return Problem(model=spec, cluster=Cluster.of("h100", ranks), workload=workload, profile=profile)


def pass_ms(model: dict[str, Any]) -> float:
    found = facts(NAME)
    return float(1000 * found["frames_per_block"] / model["fps_sequential"] / (found["denoise_steps"] + 1))


@cache
def fitted() -> tuple[float, float]:
    """(tick overhead in milliseconds, stretch): two unknowns from the two published cascade rates."""
    models = facts(NAME)["models"]
    # What the cost model adds to a tick by itself: the collectives of its layers.
    beside = [12_000 / steady_fps(problem(model, 5, 0, 1), JOINT, "block") - pass_ms(model) for model in models]
    small, large = (pass_ms(model) for model in models)
    wanted = [12_000 / model["fps_cascade"] - extra for model, extra in zip(models, beside, strict=True)]
    stretch = (wanted[1] - wanted[0]) / (large - small)
    return wanted[0] - stretch * small, stretch


def latency_s(asked: Problem, pattern: str, placement: str) -> float:
    found = planned(asked, pattern, placement)
    return metrics(asked.model, asked.cluster, found.ranks).block_latency_us / 1e6
