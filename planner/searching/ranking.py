"""The table of what else was tried, best first, and why each lost."""

from __future__ import annotations

from collections.abc import Sequence

from planner.objective import score
from planner.patterns import tolerates
from planner.plan import Alternative, Objective
from planner.searching.explore import BEATEN, Tried
from planner.searching.finish import Finished

ROWS = 30  # besides the published schedules, which always stand in the table


def ranking(best: Finished, tried: Sequence[Tried], objective: Objective) -> tuple[Alternative, ...]:
    """The plan first, then the others by value, then what could not be had; published schedules under their names."""
    value = score(best.figures, objective)
    rows: list[tuple[float, Alternative]] = []
    for item in tried:
        mine = item.case is not None and item.eligible and _same(item, best)
        if mine:
            continue
        got = None if item.case is None else score(item.case.figures, objective)
        rows.append((float("inf") if got is None else got, _row(item, got, value, best)))
    rows.sort(key=lambda row: (row[0], row[1].pattern, row[1].placement))
    named = [row for _, row in rows if row.name]
    others = [row for _, row in rows if not row.name][: max(0, ROWS)]
    first = Alternative(
        pattern=str(best.case.pattern),
        placement=str(best.case.placement),
        devices=best.figures.devices,
        value=value,
        lost="",
    )
    kept = [row for _, row in rows if row in named or row in others]
    return (first, *kept)


def _same(item: Tried, best: Finished) -> bool:
    return item.pattern == best.case.pattern and item.placement == best.case.placement


def _row(item: Tried, got: float | None, value: float, best: Finished) -> Alternative:
    return Alternative(
        pattern=str(item.pattern),
        placement=str(item.placement),
        name=item.name,
        devices=0 if item.case is None else item.case.figures.devices,
        value=got,
        lost=_lost(item, got, value, best),
    )


def _lost(item: Tried, got: float | None, value: float, best: Finished) -> str:
    if item.refused == BEATEN:
        return f"not laid out: at best {item.at_best / value:.2f} times the plan's value" if value else "not laid out"
    if item.refused:
        return item.refused
    assert got is not None
    assert item.costs is not None
    if item.name and _same(item, best):
        return "the same schedule as the plan"
    asked = (
        "" if item.eligible or tolerates(item.costs.spec, item.pattern) else "; the checkpoint is not known to bear it"
    )
    if got > value:
        return f"{got / value:.2f} times the plan's value{asked}"
    if got < value:
        return (
            f"breaks a limit, or only its first schedule was timed{asked}"
            if item.eligible
            else f"better by {1 - got / value:.0%}{asked}"
        )
    if item.pattern != best.case.pattern:
        return f"as good, but reads noisier context{asked}"
    return f"as good, but longer, or later with its blocks{asked}"
