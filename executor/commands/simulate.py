"""`blockcascade simulate`: a plan played under given conditions, once or many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from executor.command import Command, section
from executor.commands.shared import (
    describe_trace,
    print_table,
    problem_and_plan,
    progress,
    require_room,
    tells_errors,
    write_json,
)
from executor.common_flags import json_option, output_option, plan_argument, problem_argument
from executor.condition_flags import condition_options, conditions_of
from executor.flags import input_error
from executor.names import FILE

if TYPE_CHECKING:
    from planner.conditions import Conditions
    from planner.montecarlo import Summary
    from planner.plan import Plan
    from planner.problem import Problem
    from planner.simulating.fit import Measured


@click.command(
    cls=Command,
    short_help="Play a plan under given conditions, once or many times.",
    examples=(
        "blockcascade simulate problem.json plan.json -o trace.json",
        "blockcascade simulate problem.json plan.json --jitter 0.05 --runs 1000",
        "blockcascade simulate problem.json plan.json --straggler 1:1.3 --outage 0:2:5 --json",
        "blockcascade simulate problem.json plan.json --fit out/run/trace.json --runs 200",
    ),
)
@problem_argument
@plan_argument
@condition_options
@section(
    "Runs",
    click.option(
        "--fit",
        "trace_files",
        multiple=True,
        metavar="TRACE",
        type=FILE,
        help="Durations and jitter as in a measured run of the plan; may be repeated.",
    ),
    click.option("--runs", type=int, default=1, metavar="COUNT", help="How often to play it.  [default: 1]"),
)
@section(
    "Output",
    output_option("the trace goes, or of several runs their figures", usual="standard output, unless --json"),
    json_option,
)
@tells_errors
def simulate(
    problem_file: str,
    plan_file: str,
    conditions_file: str | None,
    trace_files: tuple[str, ...],
    runs: int,
    as_json: bool,
    output: str | None,
    **flags: Any,
) -> None:
    """Play a plan and write the trace it would leave; or play it many times and tell how far apart the runs come out.

    Times are in seconds. A rank of --outage without BACK is gone for good.
    """
    # Of several runs no trace is made, but figures.
    output = output or (None if as_json or runs != 1 else "-")
    taken = require_room(as_json=as_json, output=output)
    conditions = conditions_of(conditions_file, **flags)
    if runs < 1:
        raise input_error(f"--runs: must be at least 1, not {runs}")
    problem, given = problem_and_plan(problem_file, plan_file)
    case = _case(problem, given, trace_files)
    if trace_files:
        if flags["jitter"] is not None:
            raise input_error("--jitter: comes from the traces of --fit; give one of them")
        conditions = conditions.model_copy(update={"jitter": case.jitter})
    if runs == 1:
        _once(case, conditions, given, as_json=as_json, output=output, err=taken)
    else:
        _often(case, conditions, runs, as_json=as_json, output=output, err=taken)


def _case(problem: Problem, given: Plan, trace_files: tuple[str, ...]) -> Measured:
    from planner.conditions import Jitter
    from planner.files import read_document
    from planner.simulating.fit import Measured, as_measured
    from planner.trace import Trace

    if not trace_files:
        return Measured(given, problem, Jitter())
    return as_measured(given, problem, [read_document(Trace, path) for path in trace_files])


def _once(case: Measured, conditions: Conditions, given: Plan, *, as_json: bool, output: str | None, err: bool) -> None:
    from executor.tell import print_measures
    from planner.files import write_document
    from planner.measures import measure
    from planner.simulate import simulate as play

    with progress("playing the plan"):
        trace = play(case.plan, case.problem, conditions)
    found = measure(case.problem, case.plan, trace, conditions.player)
    if output is not None:
        # Fitted durations are another problem's, but the plan that was played is the one that was given.
        write_document(trace.model_copy(update={"plan_digest": given.digest}), output)
    if as_json:
        write_json(found)
        return
    if not trace.stopped:
        describe_trace(trace, case.plan, case.problem, err=err)
    print_measures(found, err=err)


def _often(case: Measured, conditions: Conditions, runs: int, *, as_json: bool, output: str | None, err: bool) -> None:
    from planner.files import write_document
    from planner.montecarlo import montecarlo

    with progress(f"playing the plan {runs:,} times"):
        summary = montecarlo(case.plan, case.problem, conditions, runs).summary()
    if output is not None:
        write_document(summary, output)
    if as_json:
        write_json(summary)
    else:
        _print_summary(summary, err=err)


def _print_summary(summary: Summary, *, err: bool) -> None:
    from planner.measuring.labels import LABELS, share

    rows = [
        (label.label, *(label.text(value) for value in (found.p50, found.p95, found.p99, found.least, found.most)))
        for label in LABELS
        if (found := summary.figures.get(label.field)) is not None
    ]
    rows += [
        (f"utilization of r{rank}", *map(share, (found.p50, found.p95, found.p99, found.least, found.most)))
        for rank, found in enumerate(summary.utilization)
    ]
    told = f"{summary.runs} runs ({summary.method}) of seed {summary.conditions.seed}"
    click.echo(f"{told}, {summary.stopped} stopped for good" if summary.stopped else told, err=err)
    print_table(("figure", "p50", "p95", "p99", "least", "most"), rows, err=err)
