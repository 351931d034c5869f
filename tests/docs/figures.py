"""The figures of the docs; `python -m tests.docs.write` draws them."""

from __future__ import annotations

from pathlib import Path

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.conditions import Conditions, Straggler
from planner.patterns import Pattern
from planner.pictures.dependencies import plot_dependencies
from planner.pictures.timeline import plot_timeline, plot_timelines
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.simulate import simulate
from planner.workload import Workload
from tests.docs.page import DOCS

FOLDER = DOCS / "figures"
STAIRCASES = {
    "offsets": ("sequential", "cascade:3", "cascade:2", "cascade:1"),
    "live": ("cascade:2:live-causal", "cascade:1:live-joint"),
}


def draw(folder: Path = FOLDER) -> None:
    """Writes every figure of the pages."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = load_spec("self-forcing-1.3b")
    for name, patterns in STAIRCASES.items():
        plot_dependencies(spec, [Pattern.parse(text, spec) for text in patterns], folder / f"{name}.svg", blocks=4)
    problem = Problem(model=spec, cluster=Cluster.of("h100", 4), workload=Workload(blocks=7))
    ways = {"sequential": "free+decoder@2", "cascade:2": "block+decoder"}
    ranks = {
        f"{text} on {placement}": plan(
            problem, pattern=Pattern.parse(text, spec), placement=Placement.parse(placement)
        ).ranks
        for text, placement in ways.items()
    }
    plot_timelines(ranks, folder / "bounds.svg")
    two = problem.model_copy(update={"cluster": problem.cluster.first(2)})
    slow = Conditions(stragglers=(Straggler(rank=0, factor=1.2),))
    best = plan(two)
    plot_timeline(best, simulate(best, two, slow), path=folder / "run.svg")
