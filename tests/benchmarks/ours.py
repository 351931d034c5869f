"""The planner's own answers: list rules and bound alone, and all its schedulers as the search uses them."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

from planner.bounds.heads import heads_tails
from planner.bounds.makespan import makespan_bound
from planner.instance import Instance, Schedule
from planner.schedulers.list_schedule import RULES, list_schedule
from planner.schedulers.portfolio import Solved, solve

How = Literal["list", "improve", "exact", "open"]
HOWS: tuple[How, ...] = ("list", "improve", "exact", "open")


class Outcome(NamedTuple):
    """A schedule, what is proven of it, and what proved it optimal (`open`: nothing did)."""

    schedule: Schedule
    bound_us: int
    how: How
    seconds: float

    @property
    def gap(self) -> float:
        """Share of the bound by which the schedule exceeds it."""
        return self.schedule.makespan_us / self.bound_us - 1


def listed(instance: Instance) -> tuple[Schedule, int]:
    """The best of the list rules, and the bound; later rules only while there is a gap."""
    heads, tails = heads_tails(instance)
    bound = makespan_bound(instance, heads, tails).value_us
    best = list_schedule(instance, RULES[0], tails)
    for rule in RULES[1:]:
        if best.makespan_us == bound:
            break
        best = min(best, list_schedule(instance, rule, tails), key=lambda schedule: schedule.makespan_us)
    return best, bound


def answer(instance: Instance, exact_s: float) -> Outcome:
    """The planner's answer; its exact solver may take `exact_s` seconds after all else."""
    begun = time.perf_counter()
    solved = solve(instance, limit_s=exact_s)
    return Outcome(solved.schedule, solved.bound_us, _how(solved), time.perf_counter() - begun)


def _how(solved: Solved) -> How:
    if solved.schedule.makespan_us > solved.bound_us:
        return "open"
    if solved.solver == "CP-SAT" or solved.bound_by == "exhaustive search":
        return "exact"
    return "improve" if "improved" in solved.solver else "list"
