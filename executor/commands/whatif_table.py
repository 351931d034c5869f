"""How `blockcascade whatif` tells what it found: an answer in a line, then tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.sweeping.row import OK

if TYPE_CHECKING:
    from planner.objective import Limits
    from planner.plan import Objective
    from planner.sweeping.row import Row
    from planner.sweeping.sensitivity import Figure, Influence
    from planner.sweeping.sweep import Sweep

COLUMNS = ("devices", "what runs", "fps, steady (low-high)", "first frame s", "control s", "memory GB")
BEST = {
    "period": "quickest",
    "makespan": "quickest for the clip",
    "first-frame": "soonest first frame",
    "control": "quickest to react",
    "devices": "fewest devices",
    "money": "cheapest",
}
VARIED = ("model", "width", "height", "steps", "decode", "kv_transfer", "profile", "link", "per_node", "blocks")
SHOWN = 3  # rows of each kind of device


def answer_lines(sweep: Sweep) -> Iterator[str]:
    """The best row in words, where its figures come from, and what could not be had."""
    rows, objective = ranked(sweep.rows, sweep.grid.objective), sweep.grid.objective
    several = len({row.model for row in sweep.rows}) > 1
    limits = _limits_text(sweep.grid.limits)
    ok = [row for row in rows if row.is_ok]
    if ok:
        clip = f", {ok[0].fps:.1f} fps over the whole clip" if objective == "makespan" else ""
        yield f"{BEST[objective]}{limits}: {row_text(ok[0], model=several)}{clip}"
        yield f"from: {ok[0].source}; {ok[0].method}"
        if "tolerate" in ok[0].verdict:
            yield f"warning: {ok[0].verdict.partition('; ')[2]}"
        if _is_unsure(ok[0], sweep.grid.limits):
            yield "unsure: at the low end of the interval it misses the fps asked for; a measured profile would tell"
    elif rows:
        yield f"nothing{limits}; nearest: {row_text(rows[0], model=several)}: {rows[0].verdict}"
    misses, impossible = len(rows) - len(ok), [row for row in sweep.rows if not row.is_possible]
    yield f"{len(sweep.rows):,} of {sweep.grid.size:,} points: {len(ok):,} ok, {misses:,} miss a limit, " + (
        f"{len(impossible):,} cannot run" if impossible else "all can run"
    )
    if impossible:
        yield f"such as {impossible[0].count} x {impossible[0].device}: {impossible[0].verdict}"


def ranked(rows: Sequence[Row], objective: Objective) -> list[Row]:
    """The possible rows, best first: those within the limits by the objective, then the quickest others."""
    return sorted(
        (row for row in rows if row.is_possible),
        key=lambda row: (not row.is_ok, _value(row, objective) if row.is_ok else row.figure("period_us"), row.point),
    )


def best_rows(sweep: Sweep, shown: int = SHOWN) -> list[Row]:
    """The best few of each model and device, in the order of the best; rows that differ only in idle devices once."""
    by_kind: dict[tuple[str, str], list[Row]] = {}
    seen = set()
    for row in ranked(sweep.rows, sweep.grid.objective):
        key = row._replace(point=0, count=0, per_node=None, network=None, asked="", sessions_as_placed=0)
        if key not in seen:
            seen.add(key)
            by_kind.setdefault((row.model, row.device), []).append(row)
    return [row for rows in by_kind.values() for row in rows[:shown]]


def row_text(row: Row, *, model: bool = False) -> str:
    """A row in one line, its model's name in it if it could be another's."""
    name = f"{row.model} on " if model else ""
    money = "" if not row.price_per_hour else f", money {row.money_per_minute:.3g} a minute of video"
    return (
        f"{name}{row.devices} x {row.device} with {row.pattern} on {row.placement}: {row.steady_fps:.1f} fps "
        f"({row.steady_fps_low:.1f}-{row.steady_fps_high:.1f}), first frame after {_s(row.first_frame_us)} s{money}"
    )


def table(rows: Sequence[Row], *, sessions: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells; what is the same in all rows has no column."""
    varied = [name for name in VARIED if _varies(rows, name)]
    flawed = any(row.verdict != OK for row in rows)
    paid = any(row.price_per_hour for row in rows)
    head = (
        *varied,
        *COLUMNS,
        *(("money a minute",) if paid else ()),
        *(("sessions as placed",) if sessions else ()),
        *(("verdict",) if flawed else ()),
    )
    return head, [_cells(row, varied, paid=paid, sessions=sessions)[: len(head)] for row in rows]


def _varies(rows: Sequence[Row], name: str) -> bool:
    """Whether a column says more than the kind of device does."""
    by_kind: dict[str, set[object]] = {}
    for row in rows:
        by_kind.setdefault(row.device, set()).add(getattr(row, name))
    alone = name == "link" or len(set.union(*by_kind.values())) == 1
    return any(len(values) > 1 for values in by_kind.values()) or not alone


def _cells(row: Row, varied: Sequence[str], *, paid: bool, sessions: bool) -> tuple[str, ...]:
    assert row.peak_memory_bytes is not None, "a row with figures"
    first = f"{_s(row.first_frame_us)} ({_s(row.first_frame_low_us)}-{_s(row.first_frame_high_us)})"
    money = (f"{row.money_per_minute:.3g}",) if paid else ()
    held = (str(row.sessions_as_placed),) if sessions else ()
    return (
        *(str(getattr(row, name)) for name in varied),
        f"{row.devices} x {row.device}",
        f"{row.pattern} on {row.placement}",
        f"{row.steady_fps:.1f} ({row.steady_fps_low:.1f}-{row.steady_fps_high:.1f})",
        first,
        _s(row.control_us),
        f"{row.peak_memory_bytes / 1e9:.1f}",
        *money,
        *held,
        row.verdict,
    )


def influence_rows(found: Sequence[Influence], figure: Figure) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A tornado table: what moves the figure most comes first."""
    head = ("input", "change", f"{figure}: less", "now", "more", "moves it by", "elasticity")
    rows = []
    for item in found:
        slope = item.elasticity(figure)
        figures = (None if each is None else each.of(figure) for each in (item.less, item.now, item.more))
        shown = ["-" if value is None else _figure(value, figure) for value in figures]
        rows.append(
            (item.name, item.change, *shown, f"{item.swing(figure):.1%}", "-" if slope is None else f"{slope:+.2f}")
        )
    return head, rows


def _figure(value: float, figure: Figure) -> str:
    return f"{value:.2f}" if figure == "fps" else f"{value:.4g}" if figure == "money" else f"{_s(value)} s"


def _value(row: Row, objective: Objective) -> float:
    names = {
        "period": "period_us",
        "first-frame": "first_frame_us",
        "control": "control_us",
        "devices": "devices",
        "money": "money_per_minute",
    }
    return -row.figure("fps") if objective == "makespan" else row.figure(names[objective])


def _is_unsure(row: Row, limits: Limits) -> bool:
    return limits.fps is not None and row.figure("steady_fps_low") < limits.fps


def _limits_text(limits: Limits) -> str:
    asked = [limit.text() for limit in limits.asked()]
    return f" with {' and '.join(asked)}" if asked else ""


def _s(us: float | None) -> str:
    if us is None:
        raise InputError("a row without figures has no times")
    return f"{us / 1e6:.2f}"
