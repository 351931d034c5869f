"""`blockcascade check`: every rule a plan must keep."""

from __future__ import annotations

import sys

import click

from executor.command import FAILED, Command
from executor.commands.shared import problem_and_plan, progress, tells_errors, write_json
from executor.common_flags import json_option, plan_argument, problem_argument


@click.command(
    cls=Command,
    short_help="Verify every rule a plan must keep; list all that are broken.",
    examples=("blockcascade check problem.json plan.json",),
)
@problem_argument
@plan_argument
@json_option
@tells_errors
def check(problem_file: str, plan_file: str, as_json: bool) -> None:
    """Verify every rule a plan must keep; list all that are broken, with exit code 1."""
    from planner.check import violations
    from planner.errors import CheckError

    problem, chosen = problem_and_plan(problem_file, plan_file)
    actions = sum(len(rows) for rows in chosen.ranks)
    with progress(f"checking {actions:,} actions"):
        broken = violations(chosen, problem)
    if as_json:
        ranks = len(chosen.ranks)
        write_json({"schema_name": "blockcascade.check/1", "actions": actions, "ranks": ranks, "broken": broken})
        sys.exit(FAILED if broken else 0)
    if broken:
        raise CheckError(broken)
    click.echo(f"fine: {actions} actions on {len(chosen.ranks)} rank(s) keep every rule")
