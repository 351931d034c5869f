"""The sweep's benchmark: `python -m tests.benchmarks.whatif [--quick] [--out FILE]`.

Prints what was wanted, what was measured and whether it is met, and puts it in `tests/benchmarks/RECORD.md`. Takes
about two minutes, with `--quick` a quarter of that; wants two idle cores.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from planner.sweeping.grid import Grid
from planner.sweeping.row import Row
from planner.whatif import whatif
from tests.benchmarks.record import Benchmark, Details, Line, Section

RECORD = Path(__file__).with_name("RECORD.md")
TITLE = "What-if benchmark"
PACKAGES = ("numpy", "pydantic")

POINTS, WALL_S, CORES = 1000, 5.0, 2  # the goal
# No two of these points have the same times, so nothing but the tasks' shapes can be shared.
LARGE: dict[str, Any] = {
    "model": ["self-forcing-1.3b", "krea-realtime-14b"],
    "device": ["h100", "h200", "a100", "l40s"],
    "count": "1-8",
    "pattern": ["sequential", "cascade:1:live-joint", "cascade:2:live-joint", "cascade:1"],
    "steps": [2, 4],
    "link": ["nvlink4", "pcie5"],
}
# What one asks: everything open but the devices and their price.
OPEN: dict[str, Any] = {
    "model": ["self-forcing-1.3b", "longlive-1.3b", "krea-realtime-14b", "wan-14b"],
    "device": ["h100", "h200", "a100", "l40s", "4090", "b200"],
    "count": "1-16",
    "price": [1, 2, 4],
}
# Held against plans.
SAMPLE: dict[str, Any] = {
    "model": ["self-forcing-1.3b", "krea-realtime-14b", "longlive-1.3b"],
    "device": ["h100", "l40s"],
    "count": [1, 2, 3, 5],
}
FIGURES = ("steady_fps", "fps", "first_frame_us", "control_us", "peak_memory_bytes")


def speed(quick: bool) -> Section:
    lines = []
    for name, axes, goal in (("all different", LARGE, WALL_S), ("devices and prices, all else open", OPEN, None)):
        if quick and goal is None:
            continue
        grid = Grid.from_data(axes, name)
        begun, used = time.perf_counter(), _cpu_s()
        found = whatif(grid, workers=CORES)
        wall, cpu = time.perf_counter() - begun, _cpu_s() - used
        can = sum(row.is_possible for row in found.rows)
        told = f"{wall:.1f} s ({cpu:.1f} s of processor; {can:,} can run)"
        wanted = "" if goal is None else f"< {goal:.0f} s on {CORES} cores"
        met = None if goal is None else grid.size >= POINTS and wall < goal
        lines.append(Line(f"{grid.size:,} points, {name}", wanted, told, met))
    note = "Of so many seconds of processor time, two idle cores make half as many of wall time."
    return Section("Speed", lines, note=note)


def accuracy(quick: bool) -> Section:
    """Quick layouts against plans of the same pattern and placement, and against plans that choose for themselves."""
    grid = Grid.from_data(SAMPLE | ({"count": [1, 2]} if quick else {}), "sample")
    quick_rows = [row for row in whatif(grid, workers=CORES).rows if row.is_possible]
    same = [_planned(row, pattern=[row.pattern], placement=[row.placement], count=[row.ranks]) for row in quick_rows]
    chosen = [_planned(row, count=[row.count]) for row in quick_rows]
    lines: list[Line] = []
    table: Details = [("", "median", "least", "most", "points")]
    for against, rows in (("the plan of the same", same), ("the plan that is best", chosen)):
        pairs = [(a, b) for a, b in zip(quick_rows, rows, strict=True) if b.is_possible]
        for figure in FIGURES:
            ratios = sorted(a.figure(figure) / b.figure(figure) for a, b in pairs)
            middle = statistics.median(ratios)
            name = f"{figure} against {against}"
            table.append((name, f"{middle:.3f}", f"{ratios[0]:.3f}", f"{ratios[-1]:.3f}", str(len(ratios))))
            if figure == "steady_fps":
                told = f"{middle - 1:+.1%} in the middle, {ratios[0] - 1:+.1%} to {ratios[-1] - 1:+.1%}"
                lines.append(Line(f"quick fps against {against}", "", told))
    return Section("Quick layouts against plans", lines, [table], "Ratios of the quick figure to the plan's.")


def _planned(row: Row, **axes: Any) -> Row:
    asked = {"model": [row.model], "device": [row.device], "objective": "period"} | axes
    return whatif(Grid.from_data(asked, "plan"), exact=True, workers=1).rows[0]


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


SECTIONS = {"Speed": (f"< {WALL_S:.0f} s", speed), "Quick layouts against plans": ("", accuracy)}


def main(arguments: list[str]) -> None:
    Benchmark("whatif", TITLE, __doc__ or "", PACKAGES, RECORD, "fewer points").main(SECTIONS, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
