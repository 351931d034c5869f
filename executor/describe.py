"""What the command tells about plans and traces, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from planner.calibrate import Calibration
from planner.metrics import Metrics, metrics
from planner.pareto import Point
from planner.plan import Plan
from planner.problem import Problem
from planner.trace import Trace

SHOWN = 8  # alternatives in the short table, besides the published schedules
POINT_COLUMNS = ("devices", "pattern", "placement", "fps", "first ms", "control ms", "clip ms", "money a minute")
ACTION_COLUMNS = ("action", "count", "planned us", "median us", "p95 us", "ratio", "worst", "us")
RANK_COLUMNS = ("rank", "planned busy ms", "busy ms", "waiting ms", "gaps ms", "idle ms")
LOSS_COLUMNS = ("cause", "makespan us", "of the plan", "period us")
COLUMNS = ("", "pattern", "placement", "devices", "value", "why not")


def plan_lines(found: Plan, problem: Problem) -> Iterator[str]:
    """A plan's figures, its proof, what limits it and its warnings."""
    evidence = found.evidence
    if found.repeat is None:
        figures = metrics(problem.model, problem.cluster, found.ranks)
        yield f"{found.pattern} on {found.placement}: {figures_text(figures)}"
    if found.steady is not None:
        steady = found.steady
        period = float(Fraction(steady.period))
        fps = problem.model.pixel_frames(1) * 1e6 / period
        useful = "" if steady.most_useful is None else f"; more than {steady.most_useful} unit(s) would not help"
        yield (
            f"{found.pattern} on {found.placement}, endless: {fps:.1f} fps, a block every {period / 1000:.1f} ms, "
            f"{steady.gap:.2%} above the bound set by {steady.limit} ({', '.join(steady.certificate)}){useful}"
        )
    gap = "no bound" if evidence.gap is None else f"gap {evidence.gap:.2%}"
    yield (
        f"{evidence.objective}: {shown(evidence.value, evidence.objective)}, bound "
        f"{shown(evidence.bound, evidence.objective)} ({evidence.bound_by}), {gap}, "
        f"{evidence.status} over all schedules of this {evidence.proves}; {evidence.solver}"
    )
    yield from (f"warning: {warning}" for warning in found.warnings)


def figures_text(figures: Metrics) -> str:
    """The figures of a clip in one line."""
    money = f", {figures.money_per_minute:.3g} a minute of video" if figures.money else ""
    return (
        f"{figures.fps:.1f} fps ({figures.steady_fps:.1f} steady), first block after "
        f"{figures.first_frame_us / 1000:.0f} ms, a block every {figures.period_us / 1000:.0f} ms, control to output "
        f"{figures.control_us / 1000:.0f} ms at worst, {figures.devices} device(s) busy{money}"
    )


def alternatives(found: Plan) -> Iterator[tuple[str, ...]]:
    """Rows under COLUMNS: the plan, the best of what else was tried, and the published schedules."""
    listed = 0
    for item in found.alternatives:
        listed += not item.name
        if item.name or listed <= SHOWN + 1:
            value = "-" if item.value is None else shown(item.value, found.evidence.objective)
            devices = str(item.devices) if item.devices else "-"
            yield item.name, item.pattern, item.placement, devices, value, item.lost or "chosen"


def point_row(point: Point) -> tuple[str, ...]:
    """A point of a Pareto set under POINT_COLUMNS."""
    figures = point.figures
    return (
        str(figures.devices),
        point.pattern,
        point.placement,
        f"{figures.steady_fps:.1f}",
        f"{figures.first_frame_us / 1000:.0f}",
        f"{figures.control_us / 1000:.0f}",
        f"{figures.makespan_us / 1000:.0f}",
        f"{figures.money_per_minute:.3g}" if figures.money else "-",
    )


def shown(value: float, objective: str) -> str:
    """An objective's value with its unit."""
    if objective == "devices":
        return f"{value:.0f}"
    return f"{value:.4g}" if objective == "money" else f"{value / 1000:.1f} ms"


def trace_line(trace: Trace, chosen: Plan, problem: Problem) -> str:
    """What a run came to beside its plan."""
    figures = metrics(problem.model, problem.cluster, trace.ranks)
    busy = ", ".join(f"r{rank} {share:.0%}" for rank, share in enumerate(trace.utilization))
    return (
        f"{trace.kind}: {figures.fps:.1f} fps, first block after {figures.first_frame_us / 1000:.0f} ms, "
        f"makespan {trace.makespan_us / 1000:.1f} ms ({trace.makespan_us / chosen.whole_us - 1:+.1%} "
        f"of the plan); busy {busy}"
    )


def action_rows(found: Calibration) -> list[tuple[str, ...]]:
    """Planned against measured under ACTION_COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for item in found.actions:
        head = item.what, str(item.count), str(item.planned_us)
        if item.median_us is None:
            rows.append((*head, "-", "-", "-", "hidden by others", ""))
        else:
            figures = str(item.median_us), str(item.p95_us), f"{item.ratio:.2f}"
            rows.append((*head, *figures, f"r{item.worst_rank} {item.worst}", str(item.worst_us)))
    return rows


def rank_rows(found: Calibration) -> list[tuple[str, ...]]:
    """What each rank did with the median run's makespan, under RANK_COLUMNS."""
    return [
        (
            f"r{rank.rank}",
            *(
                f"{us / 1000:.1f}"
                for us in (rank.planned_busy_us, rank.busy_us, rank.waiting_us, rank.gaps_us, rank.idle_us)
            ),
        )
        for rank in found.losses.ranks
    ]


def loss_rows(found: Calibration) -> list[tuple[str, ...]]:
    """The median run against the plan under LOSS_COLUMNS: what was planned, each cause, what was measured."""
    losses = found.losses
    blocks = max(1, losses.blocks - 1)

    def row(name: str, makespan_us: int, steady_us: int, sign: str = "") -> tuple[str, ...]:
        share = f"{makespan_us / max(1, losses.planned_us):{sign}.1%}"
        return name, f"{makespan_us:{sign}}", share, f"{steady_us / blocks:{sign}.1f}"

    return [
        row("planned", losses.planned_us, losses.planned_steady_us),
        *(row(part.cause, part.makespan_us, part.steady_us, "+") for part in losses.parts),
        row(found.kind, losses.measured_us, losses.measured_steady_us),
    ]
