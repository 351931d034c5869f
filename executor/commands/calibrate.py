"""`blockcascade calibrate`: runs held against their plan, and the profile they yield."""

from __future__ import annotations

import click

from executor.command import Command
from executor.commands.shared import (
    print_table,
    problem_and_plan,
    progress,
    refuse_clash,
    require_room,
    tells_errors,
    write_json,
)
from executor.common_flags import json_option, output_option, plan_argument, problem_argument, save_problem_option
from executor.names import FILE


@click.command(
    cls=Command,
    short_help="Hold runs against their plan: what took longer, and why.",
    examples=(
        "blockcascade calibrate problem.json plan.json out/run/trace.json",
        "blockcascade calibrate problem.json plan.json trace*.json --save-problem measured.json",
    ),
)
@problem_argument
@plan_argument
@click.argument("trace_files", metavar="TRACE...", nargs=-1, required=True, type=FILE)
@output_option("the new profile goes", usual="nowhere")
@save_problem_option
@json_option
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
    --save-problem writes the problem with the new profile, to plan again.
    """
    from executor.describe import RANK_COLUMNS, rank_rows
    from planner.calibrate import calibrate as fit
    from planner.calibrating.shown import COMPARED_COLUMNS, LOSS_COLUMNS, compared_row, loss_rows
    from planner.files import read_document, write_document
    from planner.trace import Trace

    refuse_clash("PROBLEM, PLAN, TRACE", problem_file, plan_file, *trace_files)
    taken = require_room(as_json=as_json, output=output, save_problem=save_problem)
    problem, chosen = problem_and_plan(problem_file, plan_file)
    first, *more = [read_document(Trace, path) for path in trace_files]
    with progress(f"holding {len(trace_files)} run(s) against the plan"):
        found = fit(problem, chosen, first, *more)
    if output:
        write_document(found.profile, output)
    if save_problem:
        write_document(found.calibrated(problem), save_problem)
    if as_json:
        write_json(found)
        return
    if found.kind == "simulated":
        click.echo("note: simulated; the profile says what the simulation assumed, not what a device takes", err=True)
    print_table(COMPARED_COLUMNS, [compared_row(item) for item in found.actions], err=taken)
    print_table(RANK_COLUMNS, rank_rows(found), err=taken, apart=True)
    print_table(LOSS_COLUMNS, loss_rows(found.losses, found.kind), err=taken, apart=True)
