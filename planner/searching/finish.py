"""From a case to the rows of a plan: the best schedule that can be had, lowered, timed anew and held against memory."""

from __future__ import annotations

from typing import NamedTuple

from planner.action import Action
from planner.cost import Costs
from planner.draft import draft
from planner.instance import Schedule
from planner.lower import lower
from planner.memory import kept_bytes, peak_bytes
from planner.metrics import Metrics, metrics
from planner.objective import score
from planner.plan import Objective
from planner.rows import Rows, finished_us
from planner.schedulers.portfolio import Progress, Solved, solve
from planner.searching.case import Case, by_rules
from planner.timing import retime


class Finished(NamedTuple):
    """A case with the rows that its best schedule comes to, and their metrics."""

    case: Case
    rows: Rows
    figures: Metrics
    solved: Solved | None = None

    def merit(self, objective: Objective) -> tuple[float, int, int]:
        """What plans of one pattern are compared by: the objective, makespan, how early the blocks are finished."""
        ends = finished_us(self.rows, self.case.costs.spec.steps - 1)
        return score(self.figures, objective), self.figures.makespan_us, sum(ends)


def finish(
    case: Case,
    objective: Objective,
    *,
    budget: int,
    solve_s: float = 0.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Finished | str:
    """The best rows found for a case, or why there are none. Makespans are improved; other objectives take the best
    list rule.
    """
    options = [case, *by_rules(case.costs, case.tasks)]
    solved = None
    if objective == "makespan":
        solved = solve(case.tasks.instance, budget=budget, limit_s=solve_s, seed=seed, on_progress=on_progress)
        options.append(case.with_schedule(solved.schedule, solved.solver))
    options = _distinct(options)
    best: Finished | None = None
    refused = ""
    for option in sorted(options, key=lambda item: (score(item.figures, objective), item.figures.makespan_us)):
        if best is not None and score(option.figures, objective) > best.merit(objective)[0]:
            break
        found = rows_of(option)
        if isinstance(found, str):
            refused = refused or found
        elif best is None or found.merit(objective) < best.merit(objective):
            best = found._replace(solved=solved)
    return best or refused


def _distinct(options: list[Case]) -> list[Case]:
    seen: list[Schedule] = []
    kept = []
    for option in options:
        if option.schedule not in seen:
            seen.append(option.schedule)
            kept.append(option)
    return kept


def rows_of(case: Case) -> Finished | str:
    """The rows that a case's schedule comes to, or which rank lacks the memory for them."""
    costs = case.costs
    programs = lower(draft(case.schedule, case.tasks, costs), costs.flow)
    refused = over_memory(programs, costs)
    if refused:
        return refused
    rows = retime(programs, costs)
    return Finished(case, rows, metrics(costs.spec, costs.problem.cluster, rows))


def over_memory(programs: list[list[Action]], costs: Costs) -> str:
    """Which rank needs more memory than it has, with the numbers; empty if none does."""
    for rank, (program, device) in enumerate(zip(programs, costs.problem.cluster.devices, strict=True)):
        need = peak_bytes(program, costs)
        if need > device.memory_bytes:
            kept = kept_bytes(program, costs)
            held = ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in sorted(kept.items()) if size >= 10**7)
            resident = costs.resident_bytes(program)
            return (
                f"memory: rank {rank} needs {need / 1e9:.1f} GB (weights and working memory {resident / 1e9:.1f} GB; "
                f"at their peaks {held}) > {device.memory_bytes / 1e9:.1f} GB of {device.kind}"
            )
    return ""
