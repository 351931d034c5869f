"""The committed grid: how much of it is proven, how fast, and whether raw CP-SAT finds anything better in that time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from tests.benchmarks import raw_cpsat
from tests.benchmarks.grid import Row, build, load
from tests.benchmarks.ours import HOWS, Outcome, answer
from tests.benchmarks.record import Details, Line, Section
from tests.planner.validity import faults

LIMIT_S = 1.0
EXACT_S = 0.9  # of it, for the exact solver
LEAST_RIVAL_S = 0.05  # CP-SAT needs this to start at all


class Result(NamedTuple):
    """One row of the grid. `rival_us` is None where raw CP-SAT was not asked or found nothing, `asked` tells which."""

    row: Row
    outcome: Outcome
    asked: bool
    rival_us: int | None
    rival_proven: bool

    @property
    def proven(self) -> bool:
        return self.outcome.how != "open"

    @property
    def lost(self) -> bool:
        return self.rival_us is not None and self.rival_us < self.outcome.schedule.makespan_us


def results(rows: Sequence[Row]) -> list[Result]:
    """Every row solved, every schedule checked. The rival gets as long as we took, where lists and bound left a gap."""
    return [_result(row) for row in rows]


def _result(row: Row) -> Result:
    instance = build(row)
    outcome = answer(instance, EXACT_S)
    assert not faults(instance, outcome.schedule), row.name
    assert outcome.schedule.makespan_us >= outcome.bound_us, row.name
    if outcome.how == "list":
        return Result(row, outcome, False, None, False)
    rival = raw_cpsat.solve(instance, max(LEAST_RIVAL_S, outcome.seconds), workers=8)
    if rival.schedule is None:
        return Result(row, outcome, True, None, False)
    assert not faults(instance, rival.schedule), row.name
    assert rival.schedule.makespan_us >= outcome.bound_us, f"{row.name}: our bound is wrong"
    return Result(row, outcome, True, rival.schedule.makespan_us, rival.status == "OPTIMAL")


def varied_grid(quick: bool) -> Section:
    rows = load()
    found = results(rows[:: 8 if quick else 1])
    asked = [one for one in found if one.asked]
    lost = [one for one in asked if one.lost]
    late = [one for one in found if one.outcome.seconds > LIMIT_S]
    proven = [one for one in found if one.proven and one.outcome.seconds <= LIMIT_S]
    share = len(proven) / len(found)
    gaps = [one.outcome.gap for one in found if not one.proven]
    rest = f"{len(gaps)} open" + (f", gap median {statistics.median(gaps):.2%}, worst {max(gaps):.2%}" if gaps else "")
    beaten = sum(one.rival_us is None or one.rival_us > one.outcome.schedule.makespan_us for one in asked)
    contest = f"{len(lost)} worse, {beaten} better, {len(asked) - beaten - len(lost)} equal of {len(asked)}"
    theirs = sum(one.rival_proven for one in asked)
    ours = sum(one.proven for one in asked)
    lines = [
        Line("proven optimal in under 1 s each", ">= 95 %", f"{share:.1%} of {len(found)}", share >= 0.95),
        Line("the rest has a bound", "all", rest, all(one.outcome.bound_us > 0 for one in found)),
        Line("longest answer", "about 1 s", f"{_slowest(found):.2f} s; {len(late)} over 1 s"),
        Line("plans against raw CP-SAT, same time, 8 workers", "none worse", contest, not lost),
        Line("proven of those that list + bound left open", "", f"ours {ours}, raw CP-SAT {theirs} of {len(asked)}"),
    ]
    return Section("Varied grid", lines, [_strata(found), _named_rows(found, rows)])


def _slowest(found: Sequence[Result]) -> float:
    return max(one.outcome.seconds for one in found)


def _strata(found: Sequence[Result]) -> Details:
    table: Details = [
        ("stratum", "rows", "by list", "by improve", "by exact", "open", "worst gap", "lost", "median ms")
    ]
    for stratum in dict.fromkeys(one.row.stratum for one in found):
        mine = [one for one in found if one.row.stratum == stratum]
        counts = [sum(one.outcome.how == how for one in mine) for how in HOWS]
        gap = max(one.outcome.gap for one in mine)
        ms = statistics.median(one.outcome.seconds for one in mine) * 1e3
        lost = sum(one.lost for one in mine)
        table.append((stratum, str(len(mine)), *map(str, counts), f"{gap:.2%}", str(lost), f"{ms:.1f}"))
    return table


def _named_rows(found: Sequence[Result], rows: Sequence[Row]) -> Details:
    """The rows that are open, late or lost, by their index in the file."""
    table: Details = [("row", "instance", "ours, us", "bound, us", "gap", "raw CP-SAT, us", "s")]
    for one in found:
        if not one.proven or one.lost or one.outcome.seconds > LIMIT_S:
            makespan, bound = one.outcome.schedule.makespan_us, one.outcome.bound_us
            rival = str(one.rival_us or "none") + (" (proven)" if one.rival_proven else "")
            figures = (str(makespan), str(bound), f"{one.outcome.gap:.3%}", rival, f"{one.outcome.seconds:.2f}")
            table.append((str(rows.index(one.row)), one.row.name, *figures))
    return table
