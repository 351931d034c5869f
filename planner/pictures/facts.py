"""A report's tables: what is planned and measured, why the plan was chosen, and what its length hangs on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from planner.calibrate import calibrate
from planner.calibrating.script import MOST_ROWS
from planner.errors import InfeasibleError, InputError, MismatchError
from planner.measures import measure
from planner.measuring.blocks import counted
from planner.pictures.markup import folded, ms, paragraph, percent, section, table
from planner.pictures.scene import Scene
from planner.pictures.sensitivity import Effect, sensitivity
from planner.plan import Evidence, Plan, Steady
from planner.problem import Problem
from planner.rows import finished_us
from planner.streams.unroll import unroll
from planner.trace import Trace

SHOWN = 12  # alternatives before the fold
# The figures of Measures as tables have them: what, of which field, in ms or as it is.
FIGURES = (
    ("clip, ms", "makespan_us"),
    ("time to first frame, ms", "first_frame_us"),
    ("time between blocks, ms", "period_us"),
    ("fps, whole clip", "fps"),
    ("fps, steady", "steady_fps"),
    ("block latency, ms", "block_latency_us"),
    ("control to output at worst, ms", "control_us"),
    ("money a minute of video", "money_per_minute"),
)


def value_text(value: float, objective: str) -> str:
    """An objective's value with its unit."""
    if objective == "devices":
        return f"{value:.0f}"
    return f"{value:.4g}" if objective == "money" else f"{ms(value)} ms"


def figures(plan: Plan, trace: Trace | None, problem: Problem | None) -> str:
    """Planned beside measured, of the whole clip. Without a problem, only what the times alone tell."""
    columns = ["", "planned", *([] if trace is None else [trace.kind, "difference"])]
    # Of a run that stopped there are only the times of what was done.
    known = None if trace is not None and trace.stopped else problem
    runs = [_figures(plan, one, known) for one in ((None,) if trace is None else (None, trace))]
    rows = []
    for name in runs[0]:
        planned, *seen = [run[name] for run in runs if name in run]
        cells = [_shown(name, value) for value in (planned, *seen)]
        rows.append([name, *cells, *([percent(seen[0] / planned - 1) if planned else "-"] if seen else [])])
    return section(
        "Figures", table(columns, [row for row in rows if len(row) == len(columns)], numbers=len(columns) - 1)
    )


def _figures(plan: Plan, trace: Trace | None, problem: Problem | None) -> dict[str, float]:
    if problem is not None:
        found = measure(problem, plan, trace)
        values = ((name, getattr(found, field)) for name, field in FIGURES)
        return {name: float(value) for name, value in values if value is not None}
    told = {"clip, ms": float(plan.whole_us if trace is None else trace.makespan_us)}
    if trace is None and _is_long(plan):
        return told | {"time to first frame, ms": float(plan.finished_us[0])}
    finished = finished_us(unroll(plan), plan.last_step) if trace is None else trace.finished_us
    if finished:
        told["time to first frame, ms"] = float(finished[0])
    if len(finished) > 1:
        told["time between blocks, ms"] = (finished[-1] - finished[0]) / (len(finished) - 1)
    return told


def _is_long(plan: Plan) -> bool:
    return sum(often.times for program in counted(plan) for often in program) > MOST_ROWS


def _shown(name: str, value: float) -> str:
    return ms(value) if name.endswith(", ms") else f"{value:.4g}"


def ranks(scenes: Sequence[Scene]) -> str:
    """How each rank spends each timeline: busy, and idle before, between and after what it does."""
    columns = [" ", *(word for one in scenes for word in (f"{one.title} busy", "idle before", "between", "after"))]
    most = max((one.ranks for one in scenes), default=0)
    rows = [[f"rank\u00a0{rank}", *(cell for one in scenes for cell in _rank(one, rank))] for rank in range(most)]
    return section("Ranks", table(columns, rows, numbers=len(columns) - 1))


def _rank(one: Scene, rank: int) -> Iterator[str]:
    bars = [bar for bar in one.bars if bar.rank == rank]
    if not bars or not one.end_us:
        return iter(("0%", "100%", "0%", "0%"))
    busy = sum(bar.end_us - bar.start_us for bar in bars)
    before, after = bars[0].start_us, one.end_us - max(bar.end_us for bar in bars)
    parts = busy, before, one.end_us - busy - before - after, after
    return (f"{part / one.end_us:.0%}" for part in parts)


def proof(plan: Plan) -> str:
    """Why to believe the plan, and what limits the stream behind it."""
    found = plan.evidence
    parts = [paragraph(_proof_text(found)), _gap_bar(found)]
    if plan.steady is not None:
        parts.append(paragraph(_steady_text(plan.steady)))
    return section("Bound and gap", *parts)


def _proof_text(found: Evidence) -> str:
    value, bound = value_text(found.value, found.objective), value_text(found.bound, found.objective)
    gap = "no bound is known" if found.gap is None else f"at most {found.gap:.2%} above the best possible"
    proven = "proven optimal" if found.status == "OPTIMAL" else gap
    return (
        f"{found.objective}: {value}, {proven}. No schedule of this {found.proves} can have less than {bound} "
        f"(by {found.bound_by}). Found by {found.solver}."
    )


def _gap_bar(found: Evidence) -> str:
    if not found.gap or not found.value:
        return ""
    wide = round(600 * found.bound / found.value)
    return (
        '<svg width="600" height="16" role="img" aria-label="The bound as a share of the value">'
        '<rect width="600" height="16" rx="3" fill="#E69F00"/>'
        f'<rect width="{wide}" height="16" rx="3" fill="#0072B2"/></svg>'
        + paragraph("blue: the bound; orange: the gap, what a better schedule could save at most", "soft")
    )


def _steady_text(found: Steady) -> str:
    periods = [ms(float(Fraction(text))) for text in (found.period, found.bound)]
    useful = "" if found.most_useful is None else f" More than {found.most_useful} unit(s) would not help."
    certificate = f" ({', '.join(found.certificate)})" if found.certificate else ""
    return (
        f"As an endless stream: a block every {periods[0]} ms, {found.gap:.2%} above the bound of {periods[1]} ms "
        f"set by {found.limit}{certificate}.{useful}"
    )


def alternatives(plan: Plan) -> str:
    """What else was tried, and why it lost."""
    best, objective = plan.evidence.value, plan.evidence.objective
    rows, chosen = [], -1
    for number, item in enumerate(plan.alternatives):
        value = "-" if item.value is None else value_text(item.value, objective)
        times = "-" if item.value is None or not best else f"{item.value / best:.2f}"
        chosen = number if not item.lost else chosen
        devices = str(item.devices) if item.devices else "-"
        rows.append([item.name, item.pattern, item.placement, item.lost or "chosen", devices, value, times])
    columns = ["published as", "pattern", "placement", "why not", "devices", objective, "times the plan's"]
    if not rows:
        return ""
    first = table(columns, rows[:SHOWN], numbers=3, chosen=chosen)
    more = folded(f"and {len(rows) - SHOWN} more", table(columns, rows[SHOWN:], numbers=3, chosen=chosen - SHOWN))
    return section("Alternatives", first, more if len(rows) > SHOWN else "")


def lost_time(plan: Plan, trace: Trace | None, problem: Problem | None) -> str:
    """Where a run's time went, by cause."""
    if trace is None or problem is None or trace.stopped:
        return ""
    try:
        found = calibrate(problem, plan, trace).losses
    except (InputError, MismatchError, InfeasibleError) as error:
        return section("Where the time went", paragraph(f"Not told: {error}", "soft"))
    whole = max(1, found.planned_us)
    rows = [["planned", ms(found.planned_us), ""]]
    rows += [
        [part.cause, f"{part.makespan_us / 1000:+,.1f}", percent(part.makespan_us / whole)] for part in found.parts
    ]
    rows.append([trace.kind, ms(found.measured_us), percent(found.measured_us / whole - 1)])
    return section("Where the time went", table(["cause", "clip, ms", "of the plan"], rows, numbers=2))


def hangs_on(plan: Plan, problem: Problem | None) -> str:
    """What the clip's length hangs on."""
    if problem is None:
        return ""
    try:
        found = sensitivity(plan, problem)
    except (InputError, InfeasibleError) as error:
        return section("Sensitivity", paragraph(f"Not told: {error}", "soft"))
    told = paragraph("The plan's order kept, and these durations changed by a tenth: what the whole clip then takes.")
    rows = [_effect_row(shorter, longer) for shorter, longer in zip(found[::2], found[1::2], strict=True)]
    columns = [
        "what changes",
        "10% shorter: clip, ms",
        "change",
        "first block",
        "10% longer: clip, ms",
        "change",
        "first block",
    ]
    return section("Sensitivity", told, table(columns, rows, numbers=6))


def _effect_row(shorter: Effect, longer: Effect) -> list[str]:
    cells = [
        cell
        for effect in (shorter, longer)
        for cell in (ms(effect.makespan_us), percent(effect.makespan_change), percent(effect.first_block_change))
    ]
    return [shorter.what, *cells]
