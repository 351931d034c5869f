"""`blockcascade plan`: the best schedule of a problem, and its proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.command import Command, section
from executor.commands.shared import print_table, progress, require_room, tells_errors, write_json
from executor.common_flags import (
    json_option,
    objective_option,
    output_option,
    pattern_option,
    placement_option,
    save_problem_option,
)
from executor.flags import LIMITS, limit_options, limits_of, problem_of, problem_options

if TYPE_CHECKING:
    from planner.plan import Objective, Plan
    from planner.problem import Problem


@click.command(
    cls=Command,
    short_help="Find the best schedule for a problem, and prove how good it is.",
    examples=(
        "blockcascade plan --model self-forcing-1.3b --count 4 -o plan.json --save-problem problem.json",
        "blockcascade plan --model krea-realtime-14b --count 8 --objective devices --min-fps 8 -o plan.json",
        "blockcascade plan problem.yaml --pattern cascade:2 --why -o plan.json",
    ),
)
@problem_options
@section(
    "Search",
    pattern_option,
    placement_option,
    objective_option("makespan", "What to minimise.  [default: makespan]"),
    click.option("--runnable", is_flag=True, help="Try only placements that 'run' can execute."),
    click.option(
        "--solve",
        "solve_s",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="Time for the exact solver.  [default: 0]",
    ),
)
@limit_options
@section(
    "Output",
    output_option("the plan goes", usual="standard output, unless --json"),
    save_problem_option,
    click.option("--text", is_flag=True, help="Write the plan as text, a line an action."),
    click.option("--why", is_flag=True, help="Show what else was tried and why it lost."),
    json_option,
)
@tells_errors
def plan(
    pattern_text: str | None,
    placement_text: str | None,
    objective: Objective,
    runnable: bool,
    solve_s: float,
    why: bool,
    output: str | None,
    save_problem: str | None,
    text: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the best schedule for a problem, and prove how good it is."""
    from executor.executable import is_executable, require_executable
    from planner.files import write_document
    from planner.patterns import Pattern
    from planner.placement import Placement
    from planner.search import plan as search

    output = output or (None if as_json else "-")
    taken = require_room(as_json=as_json, output=output, save_problem=save_problem)
    limits = limits_of(**{name: given.pop(name) for name in LIMITS})
    problem = problem_of(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    placement = None if placement_text is None else Placement.parse(placement_text)
    with progress(f"planning {problem.model.name} on {problem.cluster.size} device(s)") as say:
        found = search(
            problem,
            pattern=pattern,
            placement=placement,
            objective=objective,
            limits=limits,
            only=is_executable if runnable else None,
            solve_s=solve_s,
            on_progress=lambda best, bound, gone: say(
                f"solving for {gone:.0f} s: best {best / 1000:.1f} ms, bound {bound / 1000:.1f} ms"
            ),
        )
    if runnable:
        require_executable(found, problem)  # a placement that was named is tried whatever it is
    if save_problem:
        write_document(problem, save_problem)
    if output is not None:
        _write(found, output, text=text)
    if as_json:
        write_json(_answer(found, problem))
    else:
        _tell(found, problem, why=why, err=taken)


def _answer(found: Plan, problem: Problem) -> dict[str, Any]:
    """All that is told of a plan but its actions; `measures` as `simulate --json` has them."""
    from executor.executable import beyond
    from planner.measures import measure
    from planner.shipped import source_of_times

    told = found.model_dump(mode="json", exclude={"ranks", "repeat", "schema_name"})
    return {
        "schema_name": "blockcascade.planned/1",
        **told,
        "plan_digest": found.digest,
        "measures": measure(problem, found).model_dump(mode="json"),
        "times": source_of_times(problem),
        "not_runnable": beyond(found, problem),
    }


def _write(found: Plan, output: str, *, text: bool) -> None:
    from planner.files import write_bytes, write_document

    if text:
        write_bytes(found.to_text().encode(), output)
    else:
        write_document(found, output)


def _tell(found: Plan, problem: Problem, *, why: bool, err: bool) -> None:
    from executor.describe import COLUMNS, alternatives, plan_lines
    from executor.executable import beyond

    for line in plan_lines(found, problem):
        click.echo(line, err=err)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if lacking := beyond(found, problem):
        click.echo(f"not to be run yet: {lacking}; --runnable leaves such plans out", err=err)
    if why:
        print_table(COLUMNS, list(alternatives(found)), err=err)
