"""The demo: profiles the toy here, plans it three ways, simulates and runs all three, and shows what came of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from executor.errors import ExecutorError
from executor.launch import Clip, execute
from executor.measuring.profiling import profile
from models.generate import generate
from models.loaded import LoadedModel
from models.toy.model import load_toy
from models.vae import decode_stream
from planner.cluster import Cluster
from planner.conditions import Conditions, Jitter
from planner.metrics import Metrics, metrics
from planner.patterns import Pattern, all_patterns
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.simulate import simulate
from planner.trace import Trace
from planner.value import Document
from planner.workload import Workload

PROMPT = "a red circle at the top left moving down right"
BLOCKS = 21
REPEATS = 5
SIMULATIONS = 20
# Of cascades about equally fast, the one that reads the cleanest context.
WORTH_WAITING = 0.02
PLACEMENTS = tuple(map(Placement.parse, ("free", "block", "step", "free+decoder", "block+decoder", "step+decoder")))

Say = Callable[[str], None]


class Case(NamedTuple):
    """One way to run the clip, from the plan to the run of median length."""

    name: str
    problem: Problem
    plan: Plan
    simulated: Trace
    clip: Clip

    @property
    def documents(self) -> dict[str, Document]:
        """What is written of the case, by the kind that its file is named for."""
        return {"problem": self.problem, "plan": self.plan, "simulated": self.simulated, "measured": self.clip.trace}

    @property
    def planned_metrics(self) -> Metrics:
        return metrics(self.problem.model, self.problem.cluster, self.plan.ranks)

    @property
    def simulated_metrics(self) -> Metrics:
        return metrics(self.problem.model, self.problem.cluster, self.simulated.ranks)

    @property
    def measured_metrics(self) -> Metrics:
        return metrics(self.problem.model, self.problem.cluster, self.clip.trace.ranks)


class Demo(NamedTuple):
    """All that the demo made, baseline first."""

    cases: list[Case]
    profiles: list[Profile]


def run_demo(say: Say, *, blocks: int = BLOCKS, repeats: int = REPEATS, seed: int = 0) -> Demo:
    """Profiles, plans, simulates and executes; `say` is told what goes on, a line at a time.

    Raises ExecutorError if a run's video differs from the single-process reference.
    """
    model = load_toy()
    say("profiling one rank alone, then two side by side")
    profiles = [profile(model, Cluster.of("cpu-core", n), prompt=PROMPT, busy_ranks=n) for n in (1, 2)]
    say("planning")
    planned = _plan_cases(model, profiles, blocks)
    say(f"running {len(planned)} plans {repeats} times each, in turns")
    runs: dict[str, list[Clip]] = {name: [] for name, _, _ in planned}
    for _ in range(repeats):
        for name, problem, chosen in planned:
            clip = execute(chosen, problem, model, prompts=PROMPT, seed=seed)
            assert clip is not None, "local ranks return their clip here"
            runs[name].append(clip)
    say("comparing every video with the single-process reference")
    cases = []
    for name, problem, chosen in planned:
        clip = sorted(runs[name], key=lambda run: run.trace.makespan_us)[repeats // 2]
        _compare(model, chosen.pattern, clip, blocks, seed)
        cases.append(Case(name, problem, chosen, _typical_simulation(chosen, problem), clip))
    return Demo(cases, profiles)


def _plan_cases(model: LoadedModel, profiles: list[Profile], blocks: int) -> list[tuple[str, Problem, Plan]]:
    def problem(ranks: int) -> Problem:
        return Problem(
            model=model.spec,
            cluster=Cluster.of("cpu-core", ranks),
            workload=Workload(blocks=blocks),
            profile=profiles[ranks - 1],
        )

    sequential = Pattern.sequential(model.spec)
    alone, pair = problem(1), problem(2)
    offsets = [p for p in all_patterns(model.spec) if p.name == "cascade" and p.exchange == "after"]
    cascades = [_shortest(pair, pattern) for pattern in offsets]
    fastest = min(cascade.makespan_us for cascade in cascades)
    good = [cascade for cascade in cascades if cascade.makespan_us <= fastest * (1 + WORTH_WAITING)]
    cascade = max(good, key=lambda candidate: candidate.pattern.offset)
    return [
        ("sequential-1", alone, plan(alone, pattern=sequential)),
        ("sequential-2", pair, plan(pair, pattern=sequential, placement=Placement(decoder="apart"))),
        (f"cascade-{cascade.pattern.offset}-2", pair, cascade),
    ]


def _shortest(problem: Problem, pattern: Pattern) -> Plan:
    """The shortest plan of those placements that move whole passes."""
    return min((plan(problem, pattern=pattern, placement=p) for p in PLACEMENTS), key=lambda found: found.makespan_us)


def _typical_simulation(chosen: Plan, problem: Problem) -> Trace:
    """Of simulations under the profile's own jitter, the one of median length."""
    assert problem.profile is not None
    timings = problem.profile.denoise + problem.profile.clean
    # A log-normal's 95th percentile lies 1.645 deviations above its median.
    spread = statistics.median(math.log(t.p95_us / t.median_us) / 1.645 for t in timings)
    conditions = Conditions(jitter=Jitter.of(min(spread, 1.0)))
    traces = [simulate(chosen, problem, conditions, run=run) for run in range(SIMULATIONS)]
    return sorted(traces, key=lambda trace: trace.makespan_us)[SIMULATIONS // 2]


def _compare(model: LoadedModel, pattern: Pattern, clip: Clip, blocks: int, seed: int) -> None:
    assert model.vae is not None
    threads = torch.get_num_threads()
    # Bit for bit only holds with the ranks' own thread count: sums are split by threads.
    torch.set_num_threads(1)
    try:
        text = model.wan.encode_text(model.embed_prompt(PROMPT))
        latents = generate(model.wan, text, blocks=blocks, seed=seed, offset=pattern.offset)
        expected = decode_stream(model.vae, latents)
    finally:
        torch.set_num_threads(threads)
    if clip.frames is None or not torch.equal(clip.frames, expected):
        raise ExecutorError(f"{pattern}: the executed video differs from the single-process reference")


def save_demo(demo: Demo, out: Path) -> Path:
    """Writes videos, pictures, plans, traces and `report.md` into `out`; returns the report's path."""
    from executor.output.video import SCALE, write_contact_sheet, write_mp4
    from executor.report import report, timelines
    from planner.files import write_bytes, write_document
    from planner.perfetto import to_perfetto
    from planner.pictures.timeline import plot_timelines

    out.mkdir(parents=True, exist_ok=True)
    for case in demo.cases:
        assert case.clip.frames is not None
        write_mp4(case.clip.frames, out / f"{case.name}.mp4", scale=SCALE)
        for kind, document in case.documents.items():
            write_document(document, str(out / f"{case.name}.{kind}.json"))
    for measured in demo.profiles:
        write_document(measured, str(out / f"profile-{measured.busy_ranks}.json"))
    sheet = [(case.name, case.clip.frames) for case in demo.cases if case.clip.frames is not None]
    write_contact_sheet(sheet, out / "contact-sheet.png")
    shown = timelines(demo)
    first_blocks = demo.cases[0].plan.finished_us[min(6, len(demo.cases[0].plan.finished_us) - 1)]
    executed = [title for title in shown if title.endswith("executed")]
    plot_timelines(shown, out / "timeline.png", until_us=first_blocks, unmarked=executed)
    write_bytes(to_perfetto(shown), str(out / "timeline.perfetto-trace"))
    write_bytes(report(demo).encode(), str(out / "report.md"))
    return out / "report.md"
