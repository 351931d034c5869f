"""A calibration's tables as cells of text: what the run lost, by cause, and each kind of action."""

from __future__ import annotations

from planner.calibrating.compared import Compared
from planner.calibrating.losses import Losses
from planner.measuring.labels import UNKNOWN

LOSS_COLUMNS = ("cause", "makespan us", "of the plan", "period us")
COMPARED_COLUMNS = ("action", "count", "planned us", "median us", "p95 us", "ratio", "worst", "us")


def loss_rows(found: Losses, kind: str) -> list[tuple[str, ...]]:
    """Under LOSS_COLUMNS: what was planned, what each cause adds, and what the run, `kind`, came to."""
    blocks = max(1, found.blocks - 1)

    def row(name: str, makespan_us: int, steady_us: int, sign: str = "") -> tuple[str, ...]:
        share = f"{makespan_us / max(1, found.planned_us):{sign}.1%}"
        return name, f"{makespan_us:{sign}}", share, f"{steady_us / blocks:{sign}.1f}"

    return [
        row("planned", found.planned_us, found.planned_steady_us),
        *(row(part.cause, part.makespan_us, part.steady_us, "+") for part in found.parts),
        row(kind, found.measured_us, found.measured_steady_us),
    ]


def compared_row(found: Compared) -> tuple[str, ...]:
    """Under COMPARED_COLUMNS; dashes where a kind's own time cannot be seen."""
    head = found.what, str(found.count), str(found.planned_us)
    if found.median_us is None:
        return *head, *[UNKNOWN] * 3, "hidden by others", ""
    figures = str(found.median_us), str(found.p95_us), f"{found.ratio:.2f}"
    return *head, *figures, f"r{found.worst_rank} {found.worst}", str(found.worst_us)
