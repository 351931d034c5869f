"""Every rule that a plan breaks, each in a line that names rank, action and numbers."""

from __future__ import annotations

from planner.checking.clip import Clip
from planner.checking.dry_run import DryRun
from planner.checking.links import links
from planner.checking.shape import faults, readable
from planner.checking.walk import Walk, durations
from planner.checking.where import misplaced, strangers
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem

# A clip of so many times more blocks than rows is not told pass by pass what it lacks.
MANY = 100


def explain(plan: Plan, problem: Problem) -> list[str]:
    """What the rows break, for a clip of the problem's blocks."""
    blocks, rows = problem.workload.blocks, sum(map(len, plan.ranks))
    if blocks > MANY * (rows + MANY):
        return [f"R2 clip: has {blocks} blocks, the plan has {rows} rows"]
    try:
        clip = Clip(plan, problem)
    except InputError as error:
        return [f"R12 {error}"]
    found = faults(plan.ranks, problem.cluster.size)
    programs = readable(plan.ranks, problem.cluster.size)
    found += strangers(programs, clip)
    programs = [[row for row in rows if not row.action.is_compute or clip.has(row.action)] for rows in programs]
    found += misplaced(programs, clip)
    walks = [Walk(rank, rows, clip) for rank, rows in enumerate(programs)]
    for walk in walks:
        found += walk.broken()
    found += durations([ran for walk in walks for ran in walk.ran], clip)
    found += links(programs, clip)
    found += DryRun(programs, clip).stuck()
    return found
