"""The demo's report: one table of what was planned, simulated and measured."""

from __future__ import annotations

from collections.abc import Sequence

from executor.demo import PROMPT, Case, Demo
from models.spec import ModelSpec
from planner.action import TimedAction
from planner.cost import costs
from planner.expand import expand
from planner.flow import Flow
from planner.passes import at
from planner.placement import Placement
from planner.profile import Profile
from planner.streams.loop import Period, steady_period
from planner.streams.steady import loop_of, settled_blocks

COLUMNS = (
    "pattern",
    "ranks",
    "bound ms",
    "gap",
    "planned fps",
    "simulated fps",
    "measured fps",
    "error",
    "period error",
    "speed-up",
)


def timelines(demo: Demo) -> dict[str, Sequence[Sequence[TimedAction]]]:
    """Planned and executed timelines by title, in the order to show them."""
    shown: dict[str, Sequence[Sequence[TimedAction]]] = {}
    for case in demo.cases:
        shown[f"{case.name}: planned"] = case.plan.ranks
        shown[f"{case.name}: executed"] = case.clip.trace.ranks
    return shown


def table_rows(demo: Demo) -> list[tuple[str, ...]]:
    """One row per case, as text under COLUMNS."""
    base = demo.cases[0].measured_metrics.fps
    return [_row(case, base) for case in demo.cases]


def report(demo: Demo) -> str:
    """Markdown: the table, what it means, and where the numbers come from."""
    return "\n".join([*_speeds(demo), *_periods(demo), *_profiles(demo)])


def _speeds(demo: Demo) -> list[str]:
    return [
        "# Block cascade demo",
        "",
        f"Prompt: *{PROMPT}*, {len(demo.cases[0].plan.finished_us)} blocks. fps and speed-up include decoding; each "
        "measured row is the run of median length. Every video equals the single-process reference bit for bit.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join("---" for _ in COLUMNS) + " |",
        *("| " + " | ".join(row) + " |" for row in table_rows(demo)),
        "",
        "- *bound*: no schedule of that pattern on those ranks can be shorter; *gap*: the plan's distance from it.",
        "- *error*: measured fps against planned; *period error*: the same for the time between finished blocks.",
        "",
    ]


def _periods(demo: Demo) -> list[str]:
    return [
        "| | planned period ms | measured period ms | endless stream at best ms | set by | first block ms |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_period_line(case) for case in demo.cases),
        "",
    ]


def _profiles(demo: Demo) -> list[str]:
    return [
        "## Profiles",
        "",
        "| busy ranks | pass ms, no context | pass ms, full context | decode ms | decode share | link |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_profile_line(measured, demo.cases[0].problem.model) for measured in demo.profiles),
        "",
        f"Measured with {demo.profiles[0].software}.",
        "",
    ]


def _profile_line(measured: Profile, spec: ModelSpec) -> str:
    full, decode = at(measured.denoise, spec.window_blocks - 1), measured.decode.median_us
    clean = at(measured.clean, spec.window_blocks - 1) if measured.clean else 0
    block = spec.steps * full + clean + decode
    return (
        f"| {measured.busy_ranks} | {measured.denoise[0].median_us / 1000:.2f} | {full / 1000:.2f} "
        f"| {decode / 1000:.2f} | {decode / block:.0%} "
        f"| {measured.link_latency_us} us + {measured.link_bandwidth_gbps:.2f} GB/s |"
    )


def _row(case: Case, base_fps: float) -> tuple[str, ...]:
    planned, simulated, measured = case.planned_metrics, case.simulated_metrics, case.measured_metrics
    return (
        str(case.plan.pattern) + (", decoder apart" if case.plan.placement.endswith("+decoder") else ""),
        str(len(case.plan.ranks)),
        f"{case.plan.evidence.bound / 1000:.1f}",
        f"{case.plan.evidence.gap or 0:.1%}",
        f"{planned.fps:.1f}",
        f"{simulated.fps:.1f}",
        f"{measured.fps:.1f}",
        f"{measured.fps / planned.fps - 1:+.1%}",
        f"{measured.period_us / planned.period_us - 1:+.1%}",
        f"{measured.fps / base_fps:.2f}x",
    )


def _period_line(case: Case) -> str:
    best = _endless(case)
    planned, measured = case.planned_metrics, case.measured_metrics
    return (
        f"| {case.name} | {planned.period_us / 1000:.1f} | {measured.period_us / 1000:.1f} "
        f"| {float(best.value) / 1000:.1f} | {best.limit} | {measured.first_frame_us / 1000:.1f} |"
    )


def _endless(case: Case) -> Period:
    """How often the case's pattern and placement could finish a block if the clip never ended."""
    problem, pattern, placement = case.problem, case.plan.pattern, Placement.parse(case.plan.placement)
    blocks = settled_blocks(Flow(problem, pattern, placement)) + 3
    workload = problem.workload.model_copy(update={"blocks": blocks})
    endless = problem.model_copy(update={"workload": workload})
    timing = costs(endless, Flow(endless, pattern, placement))
    return steady_period(loop_of(expand(timing), timing.flow))
