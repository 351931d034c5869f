"""The cascade grid: N blocks of 5 passes of 10 and a decode of 7 on G equal devices, free of transfers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from planner.instance import ANY, ORDER, Instance, Schedule
from tests.benchmarks import peers, raw_cpsat
from tests.benchmarks.ours import Outcome, answer, listed
from tests.benchmarks.raw_cpsat import Answer
from tests.benchmarks.record import Details, Line, Section, median_ms
from tests.instances import cascade_grid
from tests.planner.validity import faults


def free_decodes(blocks: int, units: int) -> Instance:
    """The grid's instance with each decode on any device, as in the literature's task graphs."""
    grid = cascade_grid(blocks, units)
    inputs = [tuple(read for read in reads if read[1] != ORDER) for reads in grid.inputs]
    return grid._replace(inputs=inputs, stays=[ANY] * grid.size)


MAKERS: dict[str, Callable[[int, int], Instance]] = {
    "decodes on any device": free_decodes,
    "decoder on one device": lambda blocks, units: cascade_grid(blocks, units),
}


# -- list + bound + gap --------------------------------------------------------------------------------------------


class Timed(NamedTuple):
    blocks: int
    units: int
    ms: float
    gap: float


def timed(make: Callable[[int, int], Instance], blocks: range, units: range, repeats: int) -> list[Timed]:
    """List rules, bound and gap of each size; every schedule is checked."""
    found = []
    for n in blocks:
        for g in units:
            instance = make(n, g)
            ms = median_ms(lambda instance=instance: listed(instance), repeats)  # type: ignore[misc]
            schedule, bound = listed(instance)
            assert n > 100 or not faults(instance, schedule)
            found.append(Timed(n, g, ms, schedule.makespan_us / bound - 1))
    return found


def short_clips(quick: bool) -> Section:
    lines: list[Line] = []
    details: Details = [("", "gap 0", "gap <= 1 %", "gap <= 5 %", "worst gap", "mean gap", "median ms", "worst ms")]
    for what, make in MAKERS.items():
        found = timed(make, range(7, 21, 5 if quick else 1), range(1, 9), 3 if quick else 7)
        ms, gaps = [row.ms for row in found], [row.gap for row in found]
        worst = max(found, key=lambda row: row.ms)
        measured = f"median {statistics.median(ms):.2f} ms, worst {worst.ms:.2f} ms (N={worst.blocks}, G={worst.units})"
        lines.append(Line(f"list + bound + gap, {what}", "< 5 ms each", measured, worst.ms < 5))
        loose = max(found, key=lambda row: row.gap)
        counts = [f"{sum(gap <= most for gap in gaps)}/{len(gaps)}" for most in (0, 0.01, 0.05)]
        name = f"{loose.gap:.2%} (N={loose.blocks}, G={loose.units})"
        times = (f"{statistics.median(ms):.2f}", f"{max(ms):.2f}")
        details.append((what, *counts, name, f"{statistics.mean(gaps):.3%}", *times))
    return Section("Cascade grid, N=7..20, G=1..8", lines, [details])


def long_clips(quick: bool) -> Section:
    lines: list[Line] = []
    details: Details = [("", "G", "ms", "gap")]
    for what, make in MAKERS.items():
        found = timed(make, range(1000, 1001), range(2, 9), 1 if quick else 3)
        slow, loose = max(found, key=lambda row: row.ms), max(found, key=lambda row: row.gap)
        slowest, loosest = f"worst {slow.ms:.0f} ms (G={slow.units})", f"worst {loose.gap:.3%} (G={loose.units})"
        lines.append(Line(f"N=1000, {what}: time", "< 100 ms", slowest, slow.ms < 100))
        lines.append(Line(f"N=1000, {what}: gap", "<= 0.1 %", loosest, loose.gap <= 0.001))
        details += [(what, str(row.units), f"{row.ms:.1f}", f"{row.gap:.4%}") for row in found]
    return Section("Long clips, N=1000, G=2..8", lines, [details])


# -- against other solvers -------------------------------------------------------------------------------------------


class Duel(NamedTuple):
    """One instance, one rival. `ratio`: rival's time to a proven optimum over ours; it is `at_least` that if the rival
    was stopped, and unknown (None) if we did not prove ours.
    """

    rival: str
    ours_us: int
    ours_bound_us: int
    rival_us: int | None
    rival_bound_us: int
    ours_ms: float
    rival_ms: float
    ratio: float | None
    at_least: bool


def rivals() -> dict[str, Callable[[Instance, float], Answer]]:
    """The rivals that are installed here: each takes an instance and a limit in seconds."""
    found: dict[str, Callable[[Instance, float], Answer]] = {
        "raw CP-SAT, default workers": raw_cpsat.solve,
        "raw CP-SAT, 8 workers": lambda instance, limit_s: raw_cpsat.solve(instance, limit_s, workers=8),
    }
    if peers.installed("pyjobshop"):
        found["PyJobShop, 8 workers"] = lambda instance, limit_s: peers.pyjobshop(instance, limit_s, workers=8)
    if peers.installed("saga"):
        found["SAGA HEFT"] = lambda instance, _: peers.saga_heft(instance)
    return found


def duels(blocks: int, units: int, limit_s: float) -> list[Duel]:
    """Ours against every rival on one instance, in one run; times are medians where they are short."""
    instance = free_decodes(blocks, units)
    ours = _median(lambda: answer(instance, limit_s))
    assert not faults(instance, ours.schedule)
    # A rival may take just over 100 times as long as we did, so that a ratio can be told.
    rival_s = max(limit_s, min(3 * limit_s, 101 * ours.seconds)) if ours.how != "open" else limit_s
    found = []
    for name, rival in rivals().items():
        theirs = _median(lambda rival=rival: rival(instance, rival_s))  # type: ignore[misc]
        makespan = _checked(instance, theirs.schedule)
        comparable = ours.how != "open" and name != "SAGA HEFT"
        ratio = theirs.seconds / ours.seconds if comparable else None
        times = (ours.seconds * 1e3, theirs.seconds * 1e3)
        stopped = theirs.status != "OPTIMAL"
        figures = (ours.schedule.makespan_us, ours.bound_us, makespan, theirs.bound_us)
        found.append(Duel(name, *figures, *times, ratio, stopped))
    return found


REPEATS = 5
T = TypeVar("T", Answer, Outcome)


def _median(call: Callable[[], T]) -> T:
    """The answer of median time; of one run where that takes a second or more."""
    answers = [call()]
    if answers[0].seconds < 1:
        answers += [call() for _ in range(REPEATS - 1)]
    return sorted(answers, key=lambda one: one.seconds)[len(answers) // 2]


def _checked(instance: Instance, schedule: Schedule | None) -> int | None:
    if schedule is None:
        return None
    assert not faults(instance, schedule)
    return schedule.makespan_us


def contest(quick: bool) -> Section:
    limit_s = 2.0 if quick else 20.0
    sizes = [(7, 5), (20, 5)] if quick else [(7, 5), (20, 3), (20, 5), (50, 5), (100, 5)]
    found = {size: duels(*size, limit_s) for size in sizes}
    lines = []
    for name in rivals():
        rows = {size: duel for size, duels_ in found.items() for duel in duels_ if duel.rival == name}
        worse = [size for size, duel in rows.items() if duel.rival_us is not None and duel.rival_us < duel.ours_us]
        told = f"worse on {_sizes(worse)}" if worse else f"never worse on {len(rows)} instances"
        lines.append(Line(f"makespan against {name}", "never worse", told, not worse))
        if name.startswith("raw"):
            lines.append(_ratio_line(name, {size: duel for size, duel in rows.items() if size[0] >= 20}))
    for module in (module for module in peers.PACKAGES if not peers.installed(module)):
        lines.append(Line(peers.PACKAGES[module], "never worse", "not installed here"))
    note = f"Rivals are stopped after {limit_s:.0f} s or more; then `>` gives what the ratio is at least."
    return Section("Against other solvers", lines, [_duel_rows(found)], note)


def _ratio_line(name: str, rows: dict[tuple[int, int], Duel]) -> Line:
    what, goal = f"time to a proven optimum against {name}, N >= 20", ">= 100 x"
    ratios = {size: duel.ratio for size, duel in rows.items() if duel.ratio is not None}
    told = []
    if ratios:
        least = min(ratios, key=ratios.__getitem__)
        told.append(f"least ratio {'> ' if rows[least].at_least else ''}{ratios[least]:,.0f} x ({_sizes([least])})")
    if len(ratios) < len(rows):
        told.append(f"ours not proven on {_sizes([size for size in rows if size not in ratios])}")
    return Line(what, goal, "; ".join(told), len(ratios) == len(rows) and min(ratios.values()) >= 100)


def _sizes(sizes: list[tuple[int, int]]) -> str:
    return ", ".join(f"N={n} G={g}" for n, g in sizes)


def _duel_rows(found: dict[tuple[int, int], list[Duel]]) -> Details:
    rows: Details = [
        ("N, G", "rival", "ours", "our bound", "rival's", "rival's bound", "ours, ms", "rival's, ms", "ratio")
    ]
    for size, duels_ in found.items():
        for duel in duels_:
            ratio = "" if duel.ratio is None else f"{'> ' if duel.at_least else ''}{duel.ratio:,.1f}"
            makespans = (
                str(duel.ours_us),
                str(duel.ours_bound_us),
                str(duel.rival_us or "none"),
                str(duel.rival_bound_us or ""),
            )
            times = (f"{duel.ours_ms:.1f}", f"{duel.rival_ms:.1f}")
            rows.append((_sizes([size]), duel.rival, *makespans, *times, ratio))
    return rows
