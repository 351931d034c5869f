"""`montecarlo()`: many runs of a fixed plan under the same conditions, and how far apart they come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from planner.conditions import Conditions
from planner.errors import InputError
from planner.measuring.blocks import Often, block_times, quantile_us
from planner.measuring.labels import DEFINED, LABELS, Label, written
from planner.measuring.loads import rank_load
from planner.measuring.playing import Times
from planner.plan import Plan
from planner.problem import Problem
from planner.simulate import simulate
from planner.simulating.maxplus import Program
from planner.simulating.maxplus_play import UNKNOWN, Played
from planner.simulating.required import require_ranks, require_run
from planner.simulating.run_figures import run_figures
from planner.trace import Trace
from planner.value import Document, Value

MOST_RUNS = 1_000_000
RANGE_COLUMNS = ("figure", "field", "mean", "least", "p05", "p50", "p95", "p99", "most", "runs")
Method = Literal["max-plus", "event by event"]
# What says something of runs that stopped, too: the others would make them look quick.
OF_ALL_RUNS = frozenset({"blocks", "frames", "deadline_attainment"})


class Range(Value):
    """How a figure comes out over as many `runs` as have it; nine in ten of them lie from `p05` to `p95`."""

    runs: int
    mean: float
    least: float
    p05: float
    p50: float
    p95: float
    p99: float
    most: float


class Summary(Document):
    """The figures of many runs by their names in docs/metrics.md, each as its range over the runs that came to their
    end; blocks, frames and deadline attainment over all. A figure that no run has is left out.
    """

    schema_name: Literal["blockcascade.runs/1"] = "blockcascade.runs/1"
    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    conditions: Conditions
    first: int
    runs: int
    stopped: int
    method: Method
    figures: Mapping[str, Range]
    utilization: tuple[Range, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: how far apart the figures come out."""
        from planner.pictures.inline import Table, listing

        rows = [range_row(label, self.figures[label.field]) for label in LABELS if label.field in self.figures]
        stopped = [f"{self.stopped:,} of them stopped for good"] if self.stopped else []
        return listing(f"{self.runs:,} runs", Table(RANGE_COLUMNS, rows), notes=[*stopped, DEFINED], most=len(LABELS))


@dataclass(frozen=True, eq=False)
class Runs:
    """What runs `first` to before `first + len(runs)` of the conditions' seed came to; arrays cannot be written to.

    Microseconds, UNKNOWN (-1) from the first block on that a run never finishes. `whole` tells which runs came to
    their end: one that an outage stopped for good has the makespan of what it did, and of the summary's figures only
    those of OF_ALL_RUNS (blocks, frames, deadline attainment) are made of it.
    """

    plan: Plan
    problem: Problem
    conditions: Conditions
    first: int
    method: Method
    played: Played

    def __len__(self) -> int:
        return len(self.played.makespan_us)

    def _repr_html_(self) -> str:
        """What a notebook shows: that of `summary`."""
        return self.summary()._repr_html_()

    @property
    def makespan_us(self) -> Times:
        """End of the last action: [runs]."""
        return self.played.makespan_us

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which runs came to their end: [runs]."""
        return self.played.whole

    @property
    def stopped(self) -> int:
        """How many runs did not come to their end."""
        return len(self) - int(self.whole.sum())

    @property
    def begun_us(self) -> Times:
        """When each block's first pass begins: [runs, blocks]."""
        return self.played.begun_us

    @property
    def clean_us(self) -> Times:
        """When each block's last step is done: [runs, blocks]."""
        return self.played.clean_us

    @property
    def finished_us(self) -> Times:
        """When each block is finished: [runs, blocks]."""
        return self.played.finished_us

    @property
    def first_frame_us(self) -> Times:
        """When the first block is finished: [runs]."""
        return self.finished_us[:, 0]

    @property
    def busy_us(self) -> Times:
        """Each rank's time in compute actions: [runs, ranks]."""
        return self.played.busy_us

    @property
    def span_us(self) -> Times:
        """From each rank's first compute action to the end of its last: [runs, ranks]."""
        return self.played.span_us

    @cached_property
    def figures(self) -> Mapping[str, NDArray[np.float64]]:
        """Each figure of docs/metrics.md that belongs to the whole clip, of each run: [runs]; not a number where a run
        has no such figure.
        """
        found = run_figures(self.problem, self.conditions.player, self.played)
        for values in found.values():
            values.flags.writeable = False
        return MappingProxyType(found)

    def range(self, figure: str) -> Range | None:
        """How a figure comes out over the runs that came to their end (see OF_ALL_RUNS); None if none has it.

        Raises InputError naming the figures there are.
        """
        if figure not in self.figures:
            raise InputError(f"figure {figure!r}: is not one of {', '.join(sorted(self.figures))}")
        values = self.figures[figure]
        return _range(values if figure in OF_ALL_RUNS else values[self.whole])

    def summary(self) -> Summary:
        """All figures with their ranges, as a document."""
        ranges = ((name, self.range(name)) for name in self.figures)
        shares = (self.busy_us / np.maximum(1, self.makespan_us)[:, None])[self.whole]
        return Summary(
            plan_digest=self.plan.digest,
            conditions=self.conditions,
            first=self.first,
            runs=len(self),
            stopped=self.stopped,
            method=self.method,
            figures={name: found for name, found in ranges if found is not None},
            utilization=tuple(found for share in shares.T if (found := _range(share)) is not None),
        )

    def trace(self, number: int) -> Trace:
        """All that happened in one of the runs, counted from 0. Raises InputError if there is none of that number."""
        if not 0 <= number < len(self):
            raise InputError(f"run {number}: there are runs 0 to {len(self) - 1}")
        return simulate(self.plan, self.problem, self.conditions, run=self.first + number)


def montecarlo(
    plan: Plan,
    problem: Problem,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen value
    runs: int = 1000,
    *,
    first: int = 0,
) -> Runs:
    """Runs `first` to before `first + runs`: run k is what `simulate(..., run=k)` gives, to the microsecond.

    All at once (max-plus), or where the order of things depends on the run (`turns` other than "planned", or
    `host_slots`) one by one, which takes as long as simulating each; `Runs.method` says which.

    Raises InputError for no runs or too many, a `first` that is no run's number, conditions of ranks that there are not
    and a stream too long to be unrolled; MismatchError for a plan of another problem; InfeasibleError if the plan never
    finishes.
    """
    if not 1 <= runs <= MOST_RUNS:
        raise InputError(f"runs: must be 1 to {MOST_RUNS}, not {runs}")
    require_run(first, "first")
    if conditions.turns == "planned" and conditions.host_slots is None:
        program = Program.of(plan, problem, conditions.player)
        return runs_of(program, plan, problem, conditions, runs, first=first)
    plan.require(problem)
    require_ranks(conditions, problem.cluster.size)
    rows = [_row(plan, problem, conditions, run) for run in range(first, first + runs)]
    return _runs(plan, problem, conditions, first, "event by event", Played.joined(rows))


def runs_of(
    program: Program, plan: Plan, problem: Problem, conditions: Conditions, runs: int = 1000, *, first: int = 0
) -> Runs:
    """Runs of a plan that was compiled before, which is most of the work for few runs: see `Program.of`.

    Raises InputError for conditions that cannot be played many runs at once, or of ranks that there are not.
    """
    return _runs(plan, problem, conditions, first, "max-plus", program.play(conditions, runs, first))


def range_row(label: Label, found: Range) -> tuple[str, ...]:
    """A figure's range under RANGE_COLUMNS."""
    values = (found.mean, found.least, found.p05, found.p50, found.p95, found.p99, found.most)
    return label.label, label.field, *(written(label, value) for value in values), f"{found.runs:,}"


def _runs(plan: Plan, problem: Problem, conditions: Conditions, first: int, method: Method, played: Played) -> Runs:
    for array in played:
        array.flags.writeable = False
    return Runs(plan, problem, conditions, first, method, played)


def _row(plan: Plan, problem: Problem, conditions: Conditions, run: int) -> Played:
    """One run played event by event."""
    trace = simulate(plan, problem, conditions, run=run)
    times = block_times(problem, plan, trace.ranks)
    loads = [rank_load(program, 0) for program in _once(trace)]
    missing = np.full(problem.workload.blocks - len(times.finished), UNKNOWN)
    begun, clean, finished = (np.concatenate([blocks, missing])[None] for blocks in times)
    return Played(
        np.array([trace.makespan_us]),
        np.array([not trace.stopped]),
        begun,
        clean,
        finished,
        np.array([[load.busy_us for load in loads]]),
        np.array([[load.span_us for load in loads]]),
    )


def _once(trace: Trace) -> Iterator[tuple[Often, ...]]:
    return (tuple(Often(row, 1) for row in rows) for rows in trace.ranks)


def _range(values: NDArray[np.float64]) -> Range | None:
    there = values[~np.isnan(values)]
    if not there.size:
        return None
    p05, p50, p95, p99 = (float(quantile_us(there, share)) for share in (0.05, 0.5, 0.95, 0.99))
    least, most, mean = float(there.min()), float(there.max()), float(there.mean())
    return Range(runs=there.size, mean=mean, least=least, p05=p05, p50=p50, p95=p95, p99=p99, most=most)
