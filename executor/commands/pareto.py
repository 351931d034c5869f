"""`blockcascade pareto`: what can be had on how many devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.command import Command, section
from executor.commands.shared import print_table, progress, tells_errors, write_json
from executor.common_flags import json_option, pattern_option
from executor.flags import LIMITS, OBJECTIVES, limit_options, limits_of, problem_of, problem_options

if TYPE_CHECKING:
    from planner.plan import Objective

USUAL: tuple[Objective, ...] = ("devices", "period", "first-frame")


@click.command(
    cls=Command,
    short_help="Show what can be had on 1 device up to all.",
    examples=(
        "blockcascade pareto --model self-forcing-1.3b --count 6",
        "blockcascade pareto problem.yaml --objective money --objective control --min-fps 16",
    ),
)
@problem_options
@section(
    "Search",
    pattern_option,
    click.option(
        "--objective",
        "objectives",
        type=click.Choice(OBJECTIVES),
        multiple=True,
        help="What to weigh; name two or more.  [default: devices, period, first-frame]",
    ),
)
@limit_options
@section("Output", json_option)
@tells_errors
def pareto(pattern_text: str | None, objectives: tuple[Objective, ...], as_json: bool, **given: Any) -> None:
    """Show what can be had on 1 device up to all: the plans that none beats in everything that is weighed."""
    from executor.describe import POINT_COLUMNS, point_row
    from planner.pareto import pareto as front
    from planner.patterns import Pattern

    limits = limits_of(**{name: given.pop(name) for name in LIMITS})
    problem = problem_of(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    weighed = objectives or USUAL
    with progress(f"planning {problem.model.name} on 1 to {problem.cluster.size} device(s)"):
        points = front(problem, weighed, pattern=pattern, limits=limits)
    if as_json:
        rows = [{**point._asdict(), "figures": point.figures.model_dump(mode="json")} for point in points]
        write_json({"schema_name": "blockcascade.pareto/1", "objectives": weighed, "points": rows})
    else:
        print_table(POINT_COLUMNS, [point_row(point) for point in points])
