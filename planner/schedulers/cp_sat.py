"""Better schedules and bounds by CP-SAT."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ortools.sat.python import cp_model

from planner.bounds.heads import HeadsTails, heads_tails
from planner.bounds.sharpen import sharpen
from planner.instance import Instance
from planner.schedulers.exact_answer import schedule_of
from planner.schedulers.exact_model import ExactModel, Limits
from planner.schedulers.incumbent import Incumbent
from planner.schedulers.ticks import Ticks

NAME = "CP-SAT"
VARIABLE_S = 20e-6  # to write down a variable with its constraints


class Effort(NamedTuple):
    """How CP-SAT is run, for `limit_s` seconds with all that goes with it.

    `hinted`: it begins with the incumbent, which helps where there is much choice of units, and else hinders proofs.
    """

    limit_s: float
    workers: int
    seed: int
    hinted: bool = False


def ask(incumbent: Incumbent, ticks: Ticks, known: HeadsTails, effort: Effort, *, together: bool = False) -> None:
    """Improves the incumbent until its schedule is proven optimal, as far as the model goes, or time runs out.

    The instance of `ticks` is the incumbent's. With `together` its chains may not stay on one unit.
    """
    if incumbent.is_optimal or effort.limit_s <= 2 * _building_s(ticks.instance):
        return
    begun = time.perf_counter()
    # Not below the best: proofs come sooner once the solver has found what there is.
    limits = Limits(limit=incumbent.best_ticks + 1, bound=incumbent.bound_ticks, together=together)
    model = ExactModel(ticks, known, limits)
    if model.is_impossible:
        return
    if effort.hinted:
        model.start_from(incumbent.schedule)
    solver = _solver(effort, effort.limit_s - (time.perf_counter() - begun))
    solver.best_bound_callback = lambda bound: incumbent.raise_bound(_up(bound), NAME)
    with _interrupts_kept(solver):
        status = solver.solve(model.model, _Listener(incumbent, ticks, model))
    # The incumbent is a solution, or not better than one: were there none, what the solver says would be in doubt.
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        incumbent.raise_bound(_up(solver.best_objective_bound), NAME)


def ask_placed(incumbent: Incumbent, instance: Instance, effort: Effort) -> None:
    """Improves the incumbent's order of tasks and transfers, all tasks where they are; says nothing of the bound."""
    units = incumbent.schedule.units
    placed = instance._replace(
        durations=[
            tuple(length if unit == units[task] else 0 for unit, length in enumerate(row))
            for task, row in enumerate(instance.durations)
        ]
    )
    ticks = Ticks.of(placed)
    inner = Incumbent(incumbent.schedule, incumbent.bound_us, effort.limit_s, None, ticks.tick_us)
    ask(inner, ticks, sharpen(placed, heads_tails(placed)), effort)
    incumbent.offer(inner.schedule, NAME)


class _Listener(cp_model.CpSolverSolutionCallback):
    """Takes each solution, timed anew."""

    def __init__(self, incumbent: Incumbent, ticks: Ticks, model: ExactModel) -> None:
        super().__init__()
        self._incumbent, self._ticks, self._model = incumbent, ticks, model

    def on_solution_callback(self) -> None:
        answer = self._model.answer(self.value)
        self._incumbent.offer(schedule_of(self._ticks.instance, answer, self._ticks.tick_us), NAME)
        if self._incumbent.is_optimal:
            self.stop_search()


def _building_s(instance: Instance) -> float:
    """About how long it takes to write down the model."""
    reads = sum(map(len, instance.inputs))
    return VARIABLE_S * (instance.size * instance.units + (reads * instance.units**2 if instance.wires else 0))


def _solver(effort: Effort, limit_s: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = max(0.0, limit_s)
    solver.parameters.num_workers = effort.workers
    solver.parameters.random_seed = effort.seed
    return solver


@contextmanager
def _interrupts_kept(solver: cp_model.CpSolver) -> Iterator[None]:
    """Within, Ctrl-C ends the search; after it, it does what it did before. CP-SAT leaves SIGINT at the system's
    default, which would end the process without a word.
    """
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    solver.parameters.catch_sigint_signal = ours
    try:
        yield
    finally:
        if ours and before is not None:
            signal.signal(signal.SIGINT, before)


def _up(bound: float) -> int:
    """A bound on whole ticks; the solver's are whole but for rounding."""
    return math.ceil(bound - 1e-6)
