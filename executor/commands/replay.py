"""`blockcascade replay`: a run played again, and what would have come of it had this or that been otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from executor.command import Command
from executor.commands.shared import print_table, problem_and_plan, progress, refuse_clash, tells_errors, write_json
from executor.common_flags import json_option, plan_argument, problem_argument
from executor.flags import input_error
from executor.names import FILE

if TYPE_CHECKING:
    from planner.replay import Replayed
    from planner.replaying.change import Change

COLUMNS = ("what", "makespan ms", "period ms", "fps", "against measured")


@click.command(
    cls=Command,
    short_help="Play a run again from its own times, with some of them changed.",
    examples=(
        "blockcascade replay problem.json plan.json out/run/trace.json",
        "blockcascade replay problem.json plan.json trace.json --scale decode=0.5 --scale transfers=2 --no-jitter",
    ),
)
@problem_argument
@plan_argument
@click.argument("trace_file", metavar="TRACE", type=FILE)
@click.option(
    "--scale",
    "scales",
    metavar="WHAT=FACTOR",
    multiple=True,
    help="What takes so many times as long: passes, side, a kind (decode=0.5), transfers, posting, a rank (r1=2) or a "
    "link (r0:r1=0.5).",
)
@click.option("--no-jitter", is_flag=True, help="Every action takes the median of its kind on its rank.")
@click.option("--no-gaps", is_flag=True, help="Actions begin as soon as they are ready.")
@click.option("--no-waits", is_flag=True, help="Transfers begin as soon as they are ready.")
@click.option(
    "--tolerance",
    type=float,
    default=0.01,
    metavar="SHARE",
    help="Most that the replay may be off.  [default: 0.01]",
)
@json_option
@tells_errors
def replay(
    problem_file: str,
    plan_file: str,
    trace_file: str,
    scales: tuple[str, ...],
    no_jitter: bool,
    no_gaps: bool,
    no_waits: bool,
    tolerance: float,
    as_json: bool,
) -> None:
    """Play a run again from its own times; then with some of them changed: each change alone, and all together."""
    from planner.files import read_document
    from planner.replay import replay as play_again
    from planner.trace import Trace

    refuse_clash("PROBLEM, PLAN, TRACE", problem_file, plan_file, trace_file)
    if not 0 <= tolerance <= 1:
        raise input_error(f"--tolerance: must be a share from 0 to 1, not {tolerance}")
    problem, chosen = problem_and_plan(problem_file, plan_file)
    changes = _changes(scales, no_jitter=no_jitter, no_gaps=no_gaps, no_waits=no_waits)
    trace = read_document(Trace, trace_file)
    with progress("playing the run again"):
        found = play_again(problem, chosen, trace, changes, tolerance=tolerance)
    if as_json:
        write_json(found)
    else:
        _tell(found)


def _changes(scales: tuple[str, ...], *, no_jitter: bool, no_gaps: bool, no_waits: bool) -> list[Change]:
    from planner.replaying.change import Change, Scale

    found = [Change(scales=(Scale.parse(text),)) for text in scales]
    found += [Change(jitter=False)] if no_jitter else []
    found += [Change(gaps=False)] if no_gaps else []
    return found + ([Change(waits=False)] if no_waits else [])


def _tell(found: Replayed) -> None:
    click.echo(
        f"drift of the replay: {found.drift:+.3%} of the measured makespan; {found.drift_undelayed:+.3%} with "
        "everything as soon as it is ready"
    )
    rows: list[tuple[str, ...]] = [
        (o.what, f"{o.makespan_us / 1000:.1f}", f"{o.period_us / 1000:.2f}", f"{o.fps:.2f}", f"{o.against:+.1%}")
        for o in (found.measured, found.replayed, found.undelayed, *found.outcomes)
    ]
    print_table(COLUMNS, rows)
