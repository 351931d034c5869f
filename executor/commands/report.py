"""`blockcascade report`: a plan, and a run of it, as one HTML file to look into."""

from __future__ import annotations

import click

from executor.command import Command
from executor.commands.shared import progress, refuse_clash, tells_errors
from executor.common_flags import output_option, plan_argument
from executor.names import FILE


@click.command(
    cls=Command,
    short_help="Write a plan, and a run of it, as one HTML file to look into.",
    examples=(
        "blockcascade report plan.json --problem problem.json -o report.html",
        "blockcascade report plan.json trace.json --problem problem.json -o report.html",
    ),
)
@plan_argument
@click.argument("trace_file", metavar="[TRACE]", required=False, type=FILE)
@click.option(
    "--problem", "problem_file", type=FILE, help="The plan's problem: adds rates, prices, sensitivity, lost time."
)
@output_option("the report goes", "-")
@tells_errors
def report(plan_file: str, trace_file: str | None, problem_file: str | None, output: str) -> None:
    """Write a report of a plan, and of a run of it: timelines to zoom into, bound and gap, what else was tried.

    One HTML file that needs nothing else and loads nothing.
    """
    from planner.files import read_document, read_plan, write_bytes
    from planner.pictures.report import report_html
    from planner.problem import Problem
    from planner.trace import Trace

    refuse_clash("PLAN, TRACE, --problem", plan_file, trace_file, problem_file)
    problem = None if problem_file is None else read_document(Problem, problem_file)
    chosen = read_plan(plan_file)
    trace = None if trace_file is None else read_document(Trace, trace_file)
    with progress("drawing the report"):
        page = report_html(chosen, trace, problem).encode()
    write_bytes(page, output)
