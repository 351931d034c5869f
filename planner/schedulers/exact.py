"""Optimal schedules with proof, or the best found and a bound when time runs out.

First a search over states, which is quick where transfers do not compete; then CP-SAT. What either finds is timed anew.
"""

from __future__ import annotations

import importlib.util
from typing import Literal, NamedTuple

from planner.bounds.candidates import candidates, is_uniform, leaders
from planner.bounds.heads import HeadsTails, heads_tails, least_work
from planner.bounds.sharpen import sharpen
from planner.errors import InputError
from planner.instance import Instance, Schedule
from planner.schedulers.incumbent import Incumbent, Progress
from planner.schedulers.pools import chained, pools
from planner.schedulers.ticks import Ticks

Status = Literal["OPTIMAL", "FEASIBLE", "UNSUPPORTED"]

# Cells that the search over states may look at for each second of the limit: so few that the clock hardly ever ends it,
# and what it finds does not depend on the clock.
CELLS_PER_S = 8_000_000
STATES_SHARE = 0.75  # of the time, at most
SHARPEN_S = 3e-4  # a task, to sharpen heads and tails
FEW_CHOICES = 0.25  # of the tasks: then CP-SAT has most of the time
ASIDE_SHARE = 0.3  # of the time left, for a simpler model that may be enough


class Exact(NamedTuple):
    """The best schedule and a proven bound, and who found them.

    `schedule_by` is `hint`, `states` or `CP-SAT`; `bound_by` may also be `critical path` or `linear program`.
    OPTIMAL: the schedule meets the bound. UNSUPPORTED: the instance has live inputs that would have to travel, and the
    schedule is the hint.
    """

    schedule: Schedule
    bound_us: int
    status: Status
    schedule_by: str
    bound_by: str
    seconds: float


def solve(
    instance: Instance,
    *,
    hint: Schedule,
    bound_us: int,
    limit_s: float,
    on_progress: Progress | None = None,
    workers: int = 8,
    seed: int = 0,
) -> Exact:
    """The best schedule found in `limit_s` seconds, never worse than the valid `hint`; ends as soon as it is proven.

    `bound_us` is a proven lower bound. `on_progress` is told of each better schedule and bound. `workers`: threads of
    CP-SAT, which needs several of different kinds even on few cores; with them, and wherever the time limit strikes,
    which of equally good schedules is found may vary from run to run; an optimal makespan does not.

    Raises InputError if OR-tools is not installed.
    """
    if importlib.util.find_spec("ortools") is None:
        raise InputError("exact: OR-tools is not installed; `pip install ortools`, or give no time for exact solving")
    ticks = Ticks.of(instance)
    incumbent = Incumbent(hint, bound_us, limit_s, on_progress, ticks.tick_us)
    incumbent.raise_bound(incumbent.bound_ticks, "hint")
    travels_live = bool(instance.live and instance.wires and instance.units > 1)
    if not travels_live and not incumbent.is_optimal and limit_s > 0:
        _improve(incumbent, ticks, workers, seed)
    status: Status = "OPTIMAL" if incumbent.is_optimal else "UNSUPPORTED" if travels_live else "FEASIBLE"
    return Exact(
        incumbent.schedule,
        incumbent.bound_us,
        status,
        incumbent.schedule_by,
        incumbent.bound_by,
        incumbent.seconds,
    )


def _improve(incumbent: Incumbent, ticks: Ticks, workers: int, seed: int) -> None:
    """Turns of both solvers: the one that is quicker for the kind of instance has most of the time."""
    from planner.schedulers import cp_sat
    from planner.schedulers.states import StateSearch

    def effort(share: float) -> cp_sat.Effort:
        return cp_sat.Effort(incumbent.left_s * share, workers, seed, hinted=free)

    instance, limit_s = ticks.instance, incumbent.left_s
    free = _choices(instance) > FEW_CHOICES
    cells, states_end_s = int(limit_s * CELLS_PER_S), limit_s * (1 - STATES_SHARE)
    known = _heads_tails(instance, limit_s)
    incumbent.raise_bound(_longest_way(ticks, known), "critical path")
    states = None if instance.live else StateSearch(incumbent, instance, known)
    if states:
        states.run(cells // 10, states_end_s)
    if not instance.wires and any(len(pool) > 1 for pool in pools(instance)):
        if chained(instance) and is_uniform(instance):
            cp_sat.ask(incumbent, ticks, known, effort(ASIDE_SHARE / 2), together=True)
        cp_sat.ask(incumbent, ticks, known, effort(ASIDE_SHARE))
    if states and free:
        states.run(cells, states_end_s)
        if instance.wires:
            cp_sat.ask_placed(incumbent, instance, effort(ASIDE_SHARE))
    cp_sat.ask(incumbent, ticks, known, effort(1.0))


def _choices(instance: Instance) -> float:
    """The share of tasks that have a choice of units; a chain of tasks that stay together has one."""
    units = candidates(instance)
    free = {lead for lead in leaders(instance) if len(units[lead]) > 1}
    return len(free) / max(1, instance.size)


def _heads_tails(instance: Instance, limit_s: float) -> HeadsTails:
    """As sharp as there is time for."""
    known = heads_tails(instance)
    return sharpen(instance, known) if instance.size * SHARPEN_S < limit_s / 4 else known


def _longest_way(ticks: Ticks, known: HeadsTails) -> int:
    least = least_work(ticks.instance, candidates(ticks.instance))
    return max((ticks.at_least(sum(way)) for way in zip(known.heads, least, known.tails, strict=True)), default=0)
