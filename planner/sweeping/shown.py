"""A sweep's rows as cells of text, figures with their interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.measuring.labels import UNKNOWN

if TYPE_CHECKING:
    from planner.sweeping.row import Row
    from planner.sweeping.sweep import Sweep

COLUMNS = (
    "model",
    "device",
    "count",
    "pattern",
    "placement",
    "fps, steady [low-high]",
    "first frame s [low-high]",
    "money a minute of video",
    "sessions as placed",
    "verdict",
)


def shown(row: Row) -> tuple[str, ...]:
    """A row that can run, under COLUMNS."""
    placement = row.placement or UNKNOWN
    # Those beyond its ranks are idle.
    placement += f"@{row.ranks}" if row.ranks != row.count else ""
    return (
        row.model,
        row.device,
        str(row.count),
        row.pattern or UNKNOWN,
        placement,
        _around(1, row.steady_fps, row.steady_fps_low, row.steady_fps_high),
        _around(2, _s(row.first_frame_us), _s(row.first_frame_low_us), _s(row.first_frame_high_us)),
        UNKNOWN if row.money_per_minute is None else f"{row.money_per_minute:.3g}",
        UNKNOWN if row.sessions_as_placed is None else str(row.sessions_as_placed),
        row.verdict,
    )


def summed_up(sweep: Sweep) -> list[str]:
    """How many points were answered, how many can run, and why the first of the others cannot."""
    can = [row for row in sweep.rows if row.is_possible]
    ok, missing = sum(row.is_ok for row in can), len(can) - sum(row.is_ok for row in can)
    parts = [f"{len(sweep.rows):,} answered", f"{ok:,} ok"]
    parts += [f"{missing:,} miss a limit"] if missing else []
    cannot = next((row for row in sweep.rows if not row.is_possible), None)
    parts += [f"{len(sweep.rows) - len(can):,} cannot run"] if cannot else []
    why = [] if cannot is None else [f"{cannot.count} x {cannot.device}, {cannot.model}: {cannot.verdict}"]
    return [", ".join(parts), *why]


def _around(digits: int, value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return UNKNOWN
    return f"{value:.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]"


def _s(us: float | None) -> float | None:
    return None if us is None else us / 1e6
