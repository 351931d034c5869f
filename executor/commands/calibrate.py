"""`blockcascade calibrate`: runs held against their plan, and the profile they yield."""

from __future__ import annotations

import click

from executor.commands.shared import print_table, problem_and_plan, tells_errors
from executor.flags import input_error


@click.command()
@click.argument("problem_file", metavar="PROBLEM")
@click.argument("plan_file", metavar="PLAN")
@click.argument("trace_files", metavar="TRACE...", nargs=-1, required=True)
@click.option("-o", "--output", help="Where the new profile goes; '-' is standard output.  [default: nowhere]")
@click.option("--save-problem", help="Write the problem with the new profile, to plan again.")
@click.option("--json", "as_json", is_flag=True, help="Write all of it to standard output as JSON.")
@tells_errors
def calibrate(
    problem_file: str,
    plan_file: str,
    trace_files: tuple[str, ...],
    output: str | None,
    save_problem: str | None,
    as_json: bool,
) -> None:
    """Hold runs against their plan: what took longer, and why; fit a profile to plan again by.

    Several traces of one plan give better medians. The loss is split by cause; the parts sum to the whole.
    """
    from executor.describe import ACTION_COLUMNS, LOSS_COLUMNS, RANK_COLUMNS, action_rows, loss_rows, rank_rows
    from planner.calibrate import calibrate as fit
    from planner.files import read_document, write_bytes, write_document
    from planner.trace import Trace

    if (problem_file, plan_file, *trace_files).count("-") > 1:
        raise input_error("PROBLEM, PLAN, TRACE: only one of them can be standard input")
    if [output, save_problem, "-" if as_json else None].count("-") > 1:
        raise input_error("-o, --save-problem, --json: only one of them can go to standard output")
    problem, chosen = problem_and_plan(problem_file, plan_file)
    first, *more = [read_document(Trace, path) for path in trace_files]
    found = fit(problem, chosen, first, *more)
    if output:
        write_document(found.profile, output)
    if save_problem:
        write_document(found.calibrated(problem), save_problem)
    if as_json:
        write_bytes(found.to_json().encode(), "-")
        return
    if found.kind == "simulated":
        click.echo("note: simulated; the profile says what the simulation assumed, not what a device takes", err=True)
    print_table(ACTION_COLUMNS, action_rows(found), err=True)
    print_table(RANK_COLUMNS, rank_rows(found), err=True)
    print_table(LOSS_COLUMNS, loss_rows(found), err=True)
