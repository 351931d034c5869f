"""The planner's benchmark: `python -m tests.benchmarks.planner [--quick] [--out FILE]`.

Prints what was wanted, what was measured and whether it is met, and writes that as `tests/benchmarks/RECORD.md`. Takes
about a quarter of an hour, with `--quick` a minute. PyJobShop and SAGA are compared with where they are installed.
"""

from __future__ import annotations

import logging
import sys
from fractions import Fraction
from pathlib import Path

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.problem import Problem
from planner.streams.loop import Loop, Precedence, Resource, steady_period
from planner.workload import Workload
from tests.benchmarks.cascades import contest, long_clips, short_clips
from tests.benchmarks.record import Benchmark, Line, Section, median_ms
from tests.benchmarks.varied import varied_grid

RECORD = Path(__file__).with_name("RECORD.md")
TITLE = "Planner benchmark"
PACKAGES = ("ortools", "numpy", "networkx", "pyjobshop", "anrg-saga")


# -- streams ---------------------------------------------------------------------------------------------------------


def stream(passes: int, offset: int, units: int) -> tuple[Loop, Fraction]:
    """An endless cascade of equal passes of 10 and chained decodes of 7, and its period in closed form."""
    own = [Precedence(step, step + 1, 10, 0) for step in range(passes)]
    across = [Precedence(min(step + offset - 1, passes - 1), step, 10, 1) for step in range(passes)]
    work = (*[(step, 10) for step in range(passes)], (passes, 7))
    loop = Loop(
        tasks=(*[f"s{step}" for step in range(passes)], "decode"),
        durations_us=tuple(us for _, us in work),
        edges=(*own, *across, Precedence(passes, passes, 7, 1)),
        resources=(Resource("devices", "devices", work, units),),
    )
    return loop, max(Fraction(10 * offset), Fraction(10 * passes + 7, units), Fraction(7))


def streams(quick: bool) -> Section:
    sizes = [(s, o, g) for s in range(3, 7) for o in range(1, s + 1) for g in range(1, 9)]
    times = {}
    for size in sizes[:: 8 if quick else 1]:
        loop, period = stream(*size)
        assert steady_period(loop).value == period, size
        times[size] = median_ms(lambda loop=loop: steady_period(loop), 5)  # type: ignore[misc]
    worst = max(times, key=times.__getitem__)
    measured = f"worst of {len(times)} streams {times[worst]:.2f} ms (passes, offset, G = {worst})"
    lines = [
        Line("period and certificate", "< 5 ms", measured, times[worst] < 5),
        Line("equal to the closed form", "all", f"{len(times)} of {len(times)}", True),
    ]
    return Section("Endless streams", lines)


# -- the whole planner: imported where it is measured, so that what is broken there spoils one section --------------


def search(quick: bool) -> Section:
    from planner.search import plan

    problem = Problem(model=load_spec("self-forcing-1.3b"), cluster=Cluster.of("h100", 8), workload=Workload(blocks=7))
    ms = median_ms(lambda: plan(problem), 1 if quick else 3)
    found = plan(problem)
    how = f"{found.pattern}, {found.placement}, {found.evidence.status}, gap {found.evidence.gap:.2%}"
    line = Line("plan() of 7 blocks for 8 devices", "< 2 s", f"{ms / 1e3:.2f} s ({how})", ms < 2000)
    return Section("Search", [line])


def checker(quick: bool) -> Section:
    from planner.check import violations
    from planner.search import plan

    problem = Problem(
        model=load_spec("self-forcing-1.3b"), cluster=Cluster.of("h100", 5), workload=Workload(blocks=120)
    )
    found = plan(problem)
    actions = sum(len(rank) for rank in found.ranks)
    assert not violations(found, problem)
    ms = median_ms(lambda: violations(found, problem), 3 if quick else 7)
    rate = actions / ms * 1e3
    line = Line(
        "check", "> 1 M actions/s", f"{rate / 1e6:.2f} M actions/s ({actions} actions, {ms:.1f} ms)", rate > 1e6
    )
    return Section("Checker", [line])


# -- main ------------------------------------------------------------------------------------------------------------


SECTIONS = {
    "Cascade grid": ("< 5 ms each", short_clips),
    "Varied grid": (">= 95 % proven", varied_grid),
    "Long clips": ("< 100 ms, gap <= 0.1 %", long_clips),
    "Endless streams": ("< 5 ms", streams),
    "Search": ("< 2 s", search),
    "Checker": ("> 1 M actions/s", checker),
    "Against other solvers": ("never worse; >= 100 x", contest),
}


def main(arguments: list[str]) -> None:
    logging.disable(logging.WARNING)  # SAGA warns of each clip that ends in several tasks
    Benchmark("planner", TITLE, __doc__ or "", PACKAGES, RECORD, "a sample, in about a minute").main(
        SECTIONS, arguments
    )


if __name__ == "__main__":
    main(sys.argv[1:])
