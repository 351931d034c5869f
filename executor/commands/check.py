"""`blockcascade check`: every rule a plan must keep."""

from __future__ import annotations

import click

from executor.commands.shared import problem_and_plan, tells_errors


@click.command()
@click.argument("problem_file", metavar="PROBLEM")
@click.argument("plan_file", metavar="PLAN")
@tells_errors
def check(problem_file: str, plan_file: str) -> None:
    """Verify every rule a plan must keep; list all that are broken."""
    from planner.check import check as verify

    problem, chosen = problem_and_plan(problem_file, plan_file)
    verify(chosen, problem)
    actions = sum(len(rows) for rows in chosen.ranks)
    click.echo(f"fine: {actions} actions on {len(chosen.ranks)} rank(s) keep every rule", err=True)
