"""`blockcascade compare`: two plans, two runs, or a plan and a run of it, and why they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from executor.command import Command
from executor.commands.shared import print_table, progress, refuse_clash, tells_errors, write_json
from executor.common_flags import json_option
from executor.names import FILE

if TYPE_CHECKING:
    from planner.compare import Comparison


@click.command(
    cls=Command,
    short_help="Compare two plans, two runs, or a plan and a run of it.",
    examples=(
        "blockcascade compare plan.json out/run/trace.json --problem problem.json",
        "blockcascade compare plan2.json plan4.json --problem problem2.json --problem problem4.json",
    ),
)
@click.argument("one_file", metavar="ONE", type=FILE)
@click.argument("other_file", metavar="OTHER", type=FILE)
@click.option(
    "--problem",
    "problem_files",
    multiple=True,
    type=FILE,
    help="The problem that ONE or OTHER belongs to; may be repeated.",
)
@click.option(
    "--plan",
    "plan_files",
    multiple=True,
    type=FILE,
    help="The plan that a trace is of, unless it is compared; may be repeated.",
)
@click.option(
    "--player-start",
    type=click.IntRange(1),
    default=1,
    metavar="BLOCKS",
    help="Blocks finished when playing starts.  [default: 1]",
)
@json_option
@tells_errors
def compare(
    one_file: str,
    other_file: str,
    problem_files: tuple[str, ...],
    plan_files: tuple[str, ...],
    player_start: int,
    as_json: bool,
) -> None:
    """Compare two plans, two traces, or a plan and a trace of it: what changed, and why.

    Each figure is defined in docs/metrics.md; the ratio is OTHER over ONE.
    """
    from planner.compare import compare as compared
    from planner.comparing.sides import sides
    from planner.conditions import Player
    from planner.files import read_any, read_document, read_plan
    from planner.plan import Plan
    from planner.problem import Problem
    from planner.trace import Trace

    refuse_clash("ONE, OTHER, --problem, --plan", one_file, other_file, *problem_files, *plan_files)
    named = [(path, read_any(path, Plan, Trace)) for path in (one_file, other_file)]
    plans = [read_plan(path) for path in plan_files]
    problems = [read_document(Problem, path) for path in problem_files]
    one, other = sides([(name, d) for name, d in named if isinstance(d, Plan | Trace)], plans, problems)
    with progress("comparing"):
        found = compared(one, other, Player(start_blocks=player_start))
    if as_json:
        write_json(found)
    else:
        _tell(found)


def _tell(found: Comparison) -> None:
    from planner.comparing.table import PART_COLUMNS, measure_rows, part_rows, path_rows, work_rows

    one, other = found.names
    click.echo(found.compared)
    differs: list[tuple[str, ...]] = [(item.path, item.one, item.other) for item in (*found.inputs, *found.schedule)]
    if differs:
        print_table(("differs", one, other), differs)
    else:
        click.echo("problem and plan are the same")
    print_table(("figure", one, other, "ratio"), list(measure_rows(found)), apart=True)
    if found.parts:
        print_table(PART_COLUMNS, part_rows(found), apart=True)
    print_table(("compute, all ranks", one, other, "ratio"), list(work_rows(found)), apart=True)
    if found.path:
        print_table(("along a longest path", one, other, "ratio"), list(path_rows(found)), apart=True)
    else:
        click.echo("a stream of so many actions is not replayed: no longest path; plan a shorter clip to see one")
