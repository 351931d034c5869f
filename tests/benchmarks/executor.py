"""The executor's benchmark: `python -m tests.benchmarks.executor [--quick] [--out FILE]`.

Prints what was wanted, what was measured and whether it is met, and puts it in `tests/benchmarks/RECORD.md`. Takes
about two minutes, with `--quick` a quarter of that. Ranks are processes of one thread; wants two idle cores.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from executor.launch import execute
from models.loaded import LoadedModel
from models.random_weights import random_model
from models.spec import ModelSpec
from planner.calibrate import calibrate
from planner.cluster import Cluster
from planner.metrics import metrics
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import finished_us
from planner.search import plan
from planner.simulate import simulate
from planner.trace import Trace
from planner.workload import Workload
from tests.benchmarks.empty_rank import us_per_action
from tests.benchmarks.record import Benchmark, Details, Line, Section
from tests.tiny import TINY_SPEC

RECORD = Path(__file__).with_name("RECORD.md")
TITLE = "Executor benchmark"
PACKAGES = ("torch", "diffusers", "numpy")

SPEEDUP, OVERHEAD_US, OFF = 1.7, 50.0, 0.05  # the goals
BLOCKS = 12
# A pass is some tens of milliseconds on one core, and what ranks send a few percent of that.
SPEC = ModelSpec.model_validate(
    TINY_SPEC.model_dump()
    | {"name": "bench", "layers": 2, "heads": 16, "head_dim": 48, "ffn_dim": 3072, "freq_dim": 64}
    | {"latent_height": 12, "latent_width": 12, "text_length": 16, "text_dim": 64}
)


class Case(NamedTuple):
    """A plan of the clip and the problem it is of."""

    problem: Problem
    plan: Plan


def case(ranks: int, pattern: str, placement: str = "free", blocks: int | None = None) -> Case:
    cluster, workload = Cluster.of("cpu-core", ranks), Workload(blocks=blocks or BLOCKS, decode=False)
    problem = Problem(model=SPEC, cluster=cluster, workload=workload)
    return Case(problem, planned(problem, pattern, placement))


def planned(problem: Problem, pattern: str, placement: str) -> Plan:
    return plan(problem, pattern=Pattern.parse(pattern, problem.model), placement=Placement.parse(placement))


def run(case: Case, model: LoadedModel) -> Trace:
    clip = execute(case.plan, case.problem, model, prompts="a benchmark")
    assert clip is not None, "local ranks return their clip here"
    return clip.trace


def period_us(trace: Trace) -> float:
    """Mean time between finished blocks."""
    finished = finished_us(trace.ranks, trace.last_step)
    return (finished[-1] - finished[0]) / (len(finished) - 1)


# -- sections --------------------------------------------------------------------------------------------------------


def cascades(quick: bool) -> Section:
    """One rank, sequential, against two in a cascade: in turns, so that what else the machine does falls on both."""
    model, repeats = random_model(SPEC), 3 if quick else 9
    cases = {"sequential, 1 rank": case(1, "sequential"), "sequential, 2 ranks": case(2, "sequential")}
    cases |= {f"cascade:{offset}, 2 ranks": case(2, f"cascade:{offset}") for offset in (1, 2, 3)}
    traces: dict[str, list[Trace]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, item in cases.items():
            traces[name].append(run(item, model))
    ms = {name: statistics.median(t.makespan_us for t in found) / 1e3 for name, found in traces.items()}
    alone = ms["sequential, 1 rank"]
    rows: Details = [("", "median ms", "quickest ms", "slowest ms", "of 1 rank")]
    for name, found in traces.items():
        least, most = (pick(t.makespan_us for t in found) / 1e3 for pick in (min, max))
        rows.append((name, f"{ms[name]:.0f}", f"{least:.0f}", f"{most:.0f}", f"{alone / ms[name]:.2f} x"))
    best = min((name for name in cases if "cascade" in name), key=lambda name: ms[name])
    quickest = {name: min(t.makespan_us for t in found) / 1e3 for name, found in traces.items()}
    passes = SPEC.forward_count(BLOCKS)
    measured = f"{alone / ms[best]:.2f} x ({best}; medians of {repeats})"
    undisturbed = f"{quickest['sequential, 1 rank'] / min(us for n, us in quickest.items() if 'cascade' in n):.2f} x"
    lines = [
        Line("cascade on 2 ranks against 1 rank", f">= {SPEEDUP} x", measured, alone / ms[best] >= SPEEDUP),
        Line("the same, the quickest run of each: least disturbed by others", "", undisturbed),
        Line("a pass on 1 rank", "", f"{alone / passes:.1f} ms ({passes} in a clip of {BLOCKS} blocks)"),
    ]
    return Section("Cascade on two ranks of one thread", lines, [rows])


def overhead(quick: bool) -> Section:
    repeats, blocks = 3 if quick else 9, 50
    plans = {"1 rank": case(1, "sequential", blocks=blocks), "2 ranks as threads": case(2, "cascade:1", blocks=blocks)}
    lines = []
    for name, item in plans.items():
        us_per_action(item.plan, item.problem)
        us = statistics.median(us_per_action(item.plan, item.problem) for _ in range(repeats))
        actions = sum(map(len, item.plan.ranks))
        told = f"{us:.1f} us ({actions} actions, median of {repeats})"
        lines.append(Line(f"an action without work, {name}", f"< {OVERHEAD_US:.0f} us", told, us < OVERHEAD_US))
    return Section("Executor's own time", lines)


def forecast(quick: bool) -> Section:
    """Runs calibrate the profile; what it then foretells is held against other runs."""
    model, repeats = random_model(SPEC), 3 if quick else 7
    lines: list[Line] = []
    rows: Details = [("", "simulated ms", "measured ms", "off", "before calibration")]
    for ranks, pattern in ((1, "sequential"), (2, "cascade:1"), (2, "cascade:2")):
        first = case(ranks, pattern)
        fitted = calibrate(first.problem, first.plan, *(run(first, model) for _ in range(repeats)))
        problem = fitted.calibrated(first.problem)
        again = Case(problem, planned(problem, pattern, "free"))
        measured = statistics.median(period_us(run(again, model)) for _ in range(repeats))
        simulated = period_us(simulate(again.plan, problem))
        off, before = measured / simulated - 1, measured / metrics(SPEC, problem.cluster, first.plan.ranks).period_us
        name = f"{pattern}, {ranks} rank(s)"
        rows.append((name, f"{simulated / 1e3:.1f}", f"{measured / 1e3:.1f}", f"{off:+.1%}", f"{before - 1:+.0%}"))
        told = f"{off:+.1%} of {simulated / 1e3:.1f} ms"
        lines.append(Line(f"period of {name}", f"within {OFF:.0%}", told, abs(off) <= OFF))
    note = f"Medians of {repeats} runs; as many before them calibrated the profile that was planned and simulated with."
    return Section("Measured period against simulated", lines, [rows], note)


SECTIONS = {
    "Cascade on two ranks of one thread": (f">= {SPEEDUP} x", cascades),
    "Executor's own time": (f"< {OVERHEAD_US:.0f} us", overhead),
    "Measured period against simulated": (f"within {OFF:.0%}", forecast),
}


def main(arguments: list[str]) -> None:
    Benchmark("executor", TITLE, __doc__ or "", PACKAGES, RECORD, "fewer repeats").main(SECTIONS, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
