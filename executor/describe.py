"""What the command tells about plans and traces, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from planner.calibrate import Calibration
from planner.metrics import Metrics, metrics
from planner.pareto import Point
from planner.plan import Evidence, Plan
from planner.problem import Problem
from planner.profile import Profile, Timing, points
from planner.shipped import source_of_times
from planner.trace import Trace

SHOWN = 8  # alternatives in the short table, besides the published schedules
POINT_COLUMNS = ("devices", "pattern", "placement", "fps", "first ms", "control ms", "clip ms", "money a minute")
RANK_COLUMNS = ("rank", "planned busy ms", "busy ms", "waiting ms", "gaps ms", "idle ms")
PROFILE_COLUMNS = ("", "median ms", "quartiles ms", "samples")
COLUMNS = ("pattern", "placement", "devices", "value", "why not", "published as")


def plan_lines(found: Plan, problem: Problem) -> Iterator[str]:
    """A plan's figures, its proof, what limits it, and where its times come from."""
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
    yield _proof(evidence)
    yield source_of_times(problem)


def _proof(evidence: Evidence) -> str:
    """How far the plan can be from the best, and how it was found."""
    value = f"{evidence.objective}: {shown(evidence.value, evidence.objective)}"
    if evidence.gap is None:
        return f"{value}, no bound is known; found by {evidence.solver}"
    best = ", proven optimal" if evidence.status == "OPTIMAL" else ""
    bound = f"bound {shown(evidence.bound, evidence.objective)} ({evidence.bound_by})"
    return (
        f"{value}, {bound}, gap {evidence.gap:.2%}{best}: "
        f"no schedule of this {evidence.proves} is below the bound; found by {evidence.solver}"
    )


def figures_text(figures: Metrics) -> str:
    """The figures of a clip in one line."""
    money = f", money {figures.money_per_minute:.3g} a minute of video" if figures.money else ""
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
            yield item.pattern, item.placement, devices, value, item.lost or "chosen", item.name


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


def profile_rows(found: Profile) -> list[tuple[str, ...]]:
    """What was measured under PROFILE_COLUMNS."""
    tables = {"denoise": found.denoise, "clean pass": found.clean}
    named = [
        (f"{name}, context {context}", timing)
        for name, table in tables.items()
        for (context, _), timing in zip(points(table), table, strict=True)
    ]
    named += [("decode, first", found.decode_first), ("decode", found.decode)]
    named += [(f"{t.size_bytes / 1e6:.3f} MB r{t.source} to r{t.target}", t.timing) for t in found.transfers]
    return [(name, *_timing_cells(timing)) for name, timing in named] + _figure_rows(found)


def _timing_cells(timing: Timing) -> tuple[str, ...]:
    spread = "" if timing.lower_us is None or timing.upper_us is None else _ms(timing.lower_us, timing.upper_us)
    return _ms(timing.median_us), spread, str(timing.samples)


def _figure_rows(found: Profile) -> list[tuple[str, ...]]:
    rows = [(name, f"{us / 1000:.2f}", "", "") for name, us in _figures(found) if us is not None]
    if found.batch_share:
        shares = " ".join(f"{share:.2f}" for share in found.batch_share)
        rows.append(("further passes of a batch add", shares, "", ""))
    if found.joint_stretch is not None:
        rows.append(("passes of a joint tick stretch", f"{found.joint_stretch:.3f}", "", ""))
    link = f"{found.link_latency_us} us + {found.link_bandwidth_gbps:.3g} GB/s"
    return [*rows, ("link" if found.transfers else "link, not measured", link, "", "")]


def _figures(found: Profile) -> list[tuple[str, int | None]]:
    return [
        ("encode", found.encode_us),
        ("context made anew", found.recache_us),
        ("prompt", found.text_us),
        ("to each block's first pass", found.block_overhead_us or None),
        ("tick of several blocks in flight", found.flight_overhead_us or None),
        ("joint tick, beyond its passes", found.tick_overhead_us or None),
        ("posting a transfer", found.post_us or None),
    ]


def _ms(*times_us: int) -> str:
    return " .. ".join(f"{us / 1000:.2f}" for us in times_us)
