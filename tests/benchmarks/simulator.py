"""The simulator's benchmark: `python -m tests.benchmarks.simulator [--quick] [--out FILE]`.

Prints what was wanted, what was measured and whether it is met, and puts it in `tests/benchmarks/RECORD.md`. Takes
about half a minute, with `--quick` a few seconds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from planner.conditions import Conditions, Jitter, Outage, Player, SlowLink, Spread, StartUp, Straggler
from planner.montecarlo import montecarlo, runs_of
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from planner.simulating.maxplus import Program
from tests.benchmarks.record import Benchmark, Details, Line, Section, median_ms
from tests.planner.clips import cascade, clip, costed, model, plan_of

RECORD = Path(__file__).with_name("RECORD.md")
TITLE = "Simulator benchmark"
PACKAGES = ("numpy", "simpy")

GOAL_S, RUNS, ACTIONS = 1.0, 1000, 6000
RANKS = 5
NOISY = Conditions(jitter=Jitter.of(0.05), seed=1)
# A rank is slow for a while, another goes away and comes back, one link is slow, all have to start up first.
EVENTFUL = NOISY.model_copy(
    update={
        "jitter": NOISY.jitter.model_copy(update={"ranks": Spread(sigma=0.02), "runs": Spread(sigma=0.02)}),
        "stragglers": (Straggler(rank=1, factor=1.5, from_us=5_000_000, until_us=9_000_000),),
        "slow_links": (SlowLink(source=2, factor=3.0),),
        "outages": (Outage(rank=3, at_us=7_000_000, back_us=8_000_000),),
        "start_up": StartUp(ready_us=100_000, compile_us=200_000, spread=Spread(sigma=0.1)),
        "player": Player(start_blocks=2, queue_blocks=8),
    }
)


class Case(NamedTuple):
    problem: Problem
    plan: Plan

    @property
    def actions(self) -> int:
        return sum(map(len, self.plan.ranks))


def case(actions: int) -> Case:
    """A cascade of four steps and a clean pass on five ranks, at least so many actions long."""
    spec = model(4, clean=True, window=7)
    for blocks in range(actions // 40, actions):
        problem = clip(
            spec, blocks, RANKS, denoise_us=(100_000, 110_000), clean_us=(80_000,), decode_us=(40_000, 60_000)
        )
        found = Case(problem, plan_of(costed(problem, cascade(1))))
        if found.actions >= actions:
            return found
    raise AssertionError("each block has actions")


def many(quick: bool) -> Section:
    """All runs at once: the whole call, and without compiling the plan, which is done once for many conditions."""
    item, runs, repeats = case(300 if quick else ACTIONS), 50 if quick else RUNS, 1 if quick else 5
    program = Program.of(item.plan, item.problem, EVENTFUL.player)
    plain = Program.of(item.plan, item.problem)
    whole = median_ms(lambda: montecarlo(item.plan, item.problem, NOISY, runs), repeats) / 1e3
    eventful = median_ms(lambda: montecarlo(item.plan, item.problem, EVENTFUL, runs), repeats) / 1e3
    played = median_ms(lambda: runs_of(plain, item.plan, item.problem, NOISY, runs), repeats) / 1e3
    again = median_ms(lambda: runs_of(program, item.plan, item.problem, EVENTFUL, runs), repeats) / 1e3
    still = median_ms(lambda: runs_of(plain, item.plan, item.problem, Conditions(), runs), repeats) / 1e3
    made = montecarlo(item.plan, item.problem, NOISY, runs)
    told = median_ms(made.summary, 1) / 1e3
    what = f"{runs:,} runs of {item.actions:,} actions"
    return Section(
        "Many runs at once",
        [
            Line(f"{what}, jitter", f"< {GOAL_S:g} s", f"{whole:.2f} s", whole < GOAL_S),
            Line(f"{what}, all conditions", f"< {GOAL_S:g} s", f"{eventful:.2f} s", eventful < GOAL_S),
            Line("the same, plan compiled before: jitter", "", f"{played:.2f} s"),
            Line("the same, plan compiled before: all conditions", "", f"{again:.2f} s"),
            Line("the same, plan compiled before: no conditions, so no random numbers", "", f"{still:.2f} s"),
            Line("ranges of all figures", "", f"{told:.3f} s"),
        ],
        note=f"Medians of {repeats}. A cascade of four steps and a clean pass on {RANKS} ranks, blocks decoded there.",
    )


def one_by_one(quick: bool) -> Section:
    """Against the event-by-event simulation, whose runs must be the same to the microsecond."""
    item, count = case(300 if quick else ACTIONS), 2 if quick else 6
    rows: Details = [("", "a run event by event", f"of {RUNS:,} at once", "quicker", "equal runs")]
    lines = []
    for name, conditions in (("jitter", NOISY), ("all conditions", EVENTFUL)):
        found = montecarlo(item.plan, item.problem, conditions, RUNS)
        alone, equal = [], 0
        for run in range(count):
            begun = time.perf_counter()
            trace = simulate(item.plan, item.problem, conditions, run=run)
            alone.append(time.perf_counter() - begun)
            equal += trace.finished_us == found.finished_us[run].tolist()
        at_once = timed(lambda c=conditions: montecarlo(item.plan, item.problem, c, RUNS)) / RUNS  # type: ignore[misc]
        each = statistics.median(alone)
        lines.append(Line(f"runs equal to the simulation's, {name}", f"{count} of {count}", f"{equal}", equal == count))
        row = f"{each * 1e3:.0f} ms", f"{at_once * 1e3:.2f} ms", f"{each / at_once:.0f} x", f"{equal} of {count}"
        rows.append((name, *row))
    return Section(f"Against the simulation, {item.actions:,} actions", lines, [rows])


def timed(call: Callable[[], object]) -> float:
    return median_ms(call, 3) / 1e3


SECTIONS: dict[str, tuple[str, Callable[[bool], Section]]] = {
    "Many runs at once": (f"< {GOAL_S:g} s", many),
    "Against the simulation": ("equal", one_by_one),
}


def main(arguments: list[str]) -> None:
    Benchmark("simulator", TITLE, __doc__ or "", PACKAGES, RECORD, "short clips, few runs").main(SECTIONS, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
