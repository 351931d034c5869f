"""Every scheduler on one instance: list rules, the improvement pass and, if there is time for it, the exact solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from planner.bounds.makespan import makespan_bound
from planner.bounds.tight import tight_bound
from planner.instance import Instance, Schedule
from planner.schedulers.improve import improve
from planner.schedulers.list_schedule import RULES, list_schedule

Progress = Callable[[int, int, float], None]  # best and bound in microseconds, seconds gone


class Solved(NamedTuple):
    """The best schedule found, a bound of what any schedule of the instance can reach, and who found them."""

    schedule: Schedule
    bound_us: int
    bound_by: str
    solver: str


def solve(
    instance: Instance,
    *,
    budget: int = 50,
    limit_s: float = 0.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Solved:
    """The best schedule of all rules, improved in at most `budget` rounds; then exactly for up to `limit_s` seconds.

    Stops as soon as the schedule meets the bound. With `limit_s` 0 the result depends on nothing but the arguments.
    """
    bound = makespan_bound(instance)
    best, solver = list_schedule(instance, RULES[0]), f"list scheduling, {RULES[0]}"
    for rule in RULES[1:]:
        if best.makespan_us <= bound.value_us:
            break
        found = list_schedule(instance, rule)
        if found.makespan_us < best.makespan_us:
            best, solver = found, f"list scheduling, {rule}"
    if best.makespan_us > bound.value_us and budget:
        bound = max(bound, tight_bound(instance))
    if best.makespan_us > bound.value_us and budget:
        found = improve(instance, best, bound.value_us, budget)
        if found.makespan_us < best.makespan_us:
            best, solver = found, "list scheduling, improved"
    if best.makespan_us <= bound.value_us or limit_s <= 0:
        return Solved(best, bound.value_us, bound.name, solver)
    from planner.schedulers.exact import solve as solve_exactly

    exact = solve_exactly(
        instance, hint=best, bound_us=bound.value_us, limit_s=limit_s, seed=seed, on_progress=on_progress
    )
    name = bound.name if exact.bound_us <= bound.value_us else exact.bound_by
    if exact.schedule.makespan_us < best.makespan_us:
        solver = exact.schedule_by
    return Solved(exact.schedule, max(exact.bound_us, bound.value_us), name, solver)
