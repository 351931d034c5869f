"""`blockcascade pareto`: what can be had on how many devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.commands.shared import print_table, tells_errors
from executor.flags import LIMITS, OBJECTIVES, limit_options, limits_of, problem_of, problem_options

if TYPE_CHECKING:
    from planner.plan import Objective


@click.command()
@problem_options
@click.option("--pattern", "pattern_text", help="One pattern only.  [default: all the checkpoint tolerates]")
@click.option("--objective", "objectives", type=click.Choice(OBJECTIVES), multiple=True, help="Two or more to weigh.")
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Write the points as JSON.")
@tells_errors
def pareto(pattern_text: str | None, objectives: tuple[Objective, ...], as_json: bool, **given: Any) -> None:
    """Show what can be had on 1 device up to all: the plans that none beats in everything.

    Weighs devices, period and first-frame unless --objective names others.
    """
    import json

    from executor.describe import POINT_COLUMNS, point_row
    from planner.pareto import pareto as front
    from planner.patterns import Pattern

    limits = limits_of(**{name: given.pop(name) for name in LIMITS})
    problem = problem_of(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    points = front(problem, objectives or ("devices", "period", "first-frame"), pattern=pattern, limits=limits)
    if as_json:
        click.echo(json.dumps([{**p._asdict(), "figures": p.figures.model_dump()} for p in points], indent=1))
    else:
        print_table(POINT_COLUMNS, [point_row(point) for point in points])
