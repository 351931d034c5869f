"""`blockcascade plan`: the best schedule of a problem, and its proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.commands.shared import print_table, tells_errors
from executor.flags import LIMITS, OBJECTIVES, limit_options, limits_of, problem_of, problem_options

if TYPE_CHECKING:
    from planner.plan import Objective


@click.command()
@problem_options
@click.option("--pattern", "pattern_text", help="E.g. sequential, cascade:2, cascade:1:live-joint.  [default: best]")
@click.option("--placement", "placement_text", help="E.g. free, block+decoder, step*ulysses:2@6.  [default: best]")
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), default="makespan", show_default=True, help="What to minimise."
)
@limit_options
@click.option("--runnable", is_flag=True, help="Try only placements that 'run' can execute.")
@click.option("--solve", "solve_s", type=float, default=0.0, help="Seconds for the exact solver.  [default: 0]")
@click.option("--why", is_flag=True, help="Show what else was tried and why it lost.")
@click.option("-o", "--output", default="-", help="Where the plan goes.  [default: standard output]")
@click.option("--save-problem", help="Write the problem too; the other commands ask for it.")
@click.option("--text", is_flag=True, help="Write the plan as text, a line per action.")
@tells_errors
def plan(
    pattern_text: str | None,
    placement_text: str | None,
    objective: Objective,
    runnable: bool,
    solve_s: float,
    why: bool,
    output: str,
    save_problem: str | None,
    text: bool,
    **given: Any,
) -> None:
    """Find the best schedule for a problem, and prove how good it is."""
    from executor.describe import COLUMNS, alternatives, plan_lines
    from executor.executable import beyond, is_executable, require_executable
    from planner.files import write_bytes, write_document
    from planner.patterns import Pattern
    from planner.placement import Placement
    from planner.search import plan as search

    limits = limits_of(**{name: given.pop(name) for name in LIMITS})
    problem = problem_of(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    placement = None if placement_text is None else Placement.parse(placement_text)

    def tell(best: int, bound: int, gone: float) -> None:
        click.echo(f"{gone:.1f} s: best {best / 1000:.1f} ms, bound {bound / 1000:.1f} ms", err=True)

    found = search(
        problem,
        pattern=pattern,
        placement=placement,
        objective=objective,
        limits=limits,
        only=is_executable if runnable else None,
        solve_s=solve_s,
        on_progress=tell,
    )
    if runnable:
        require_executable(found, problem)  # a placement that was named is tried whatever it is
    if save_problem:
        write_document(problem, save_problem)
    if text:
        write_bytes(found.to_text().encode(), output)
    else:
        write_document(found, output)
    for line in plan_lines(found, problem):
        click.echo(line, err=True)
    if lacking := beyond(found, problem):
        click.echo(f"not to be run yet: {lacking}; --runnable leaves such plans out", err=True)
    if why:
        print_table(COLUMNS, list(alternatives(found)), err=True)
