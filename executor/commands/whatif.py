"""`blockcascade whatif`: what a model would do on devices that one does not have yet."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from executor.command import INTERRUPTED, Command, section
from executor.commands.shared import print_table, progress, tells_errors, write_json
from executor.common_flags import Decorator, json_option, objective_option, output_option
from executor.flags import LIMITS, input_error, limit_options, limits_of
from executor.names import DEVICE, FILE, LINK, MODEL, PARALLEL, PATTERN, PLACEMENT, PROFILE, Name

if TYPE_CHECKING:
    from planner.sweeping.grid import Grid
    from planner.sweeping.row import Row
    from planner.sweeping.sensitivity import Figure, Influence
    from planner.sweeping.sweep import Sweep

FIGURES = ("fps", "first-frame", "control", "money")  # those of planner.sweeping.sensitivity

# Axes by flag: what the grid calls it, what a value is, and what --help says. A comma separates values.
AXES = (
    ("--model", "model", MODEL.several(), "By name or spec file, e.g. self-forcing-1.3b,krea-realtime-14b."),
    ("--device", "device", DEVICE.several(), "Kinds of device, e.g. h100,h200,a100.  [default: h100]"),
    ("--count", "count", "COUNTS", "How many devices, e.g. 1-8 or 1,2,4.  [default: 1]"),
    ("--blocks", "blocks", "COUNTS", "Blocks of the clip.  [default: 7]"),
    ("--frames", "frames", "COUNTS", "Pixel frames of the clip, instead of --blocks."),
    ("--steps", "steps", "COUNTS", "Denoise steps of a block, e.g. 2,4.  [default: the model's]"),
    ("--resolution", "resolution", "SIZES", "Pixels, e.g. 832x480.  [default: the model's]"),
    ("--link", "link", LINK.several(), "What joins devices, e.g. nvlink4,pcie5.  [default: the usual]"),
    ("--per-node", "per_node", "COUNTS", "Devices in a node.  [default: all]"),
    ("--network", "network", LINK.several(), "What joins nodes.  [default: infiniband-ndr]"),
    ("--price", "price", "PRICES", "Money for a device and hour.  [default: typical]"),
    ("--profile", "profile", PROFILE.several(), "Files, 'shipped', or 'none' for the data sheet.  [default: shipped]"),
    ("--kv-transfer", "kv_transfer", "FORMS", "How K/V travels between devices: full, fp8.  [default: full]"),
)
SEARCHED = (
    (
        "--pattern",
        "pattern",
        PATTERN.several(),
        "E.g. cascade:2; 'cascade' is any offset.  [default: all tolerated]",
    ),
    ("--offset", "offset", "OFFSETS", "Only patterns of these offsets, e.g. 1-3."),
    ("--placement", "placement", PLACEMENT.several(), "E.g. free,block+decoder.  [default: best]"),
    (
        "--parallel",
        "parallel",
        PARALLEL.several(),
        "How a pass is split, e.g. none,ulysses:2.  [default: best]",
    ),
)


def _axis(flag: str, name: str, kind: Name | str, told: str) -> Decorator:
    if isinstance(kind, str):
        return click.option(flag, name, metavar=kind, help=told)
    return click.option(flag, name, type=kind, help=told)


@click.command(
    cls=Command,
    short_help="Ask what a model would do on devices you do not have.",
    examples=(
        "blockcascade whatif --model krea-realtime-14b --device h100,h200,a100 --count 1-8 --min-fps 16",
        "blockcascade whatif --model self-forcing-1.3b --count 1-8 --pareto fps,money --sensitivity fps",
        "blockcascade whatif grid.yaml -o rows.jsonl --csv > rows.csv",
    ),
)
@click.argument("grid_file", metavar="[GRID]", required=False, type=FILE)
@section(
    "Problem",
    *(_axis(*axis) for axis in AXES),
    click.option("--no-decode", is_flag=True, help="Leave the clip as latents."),
    click.option("--problem", "problem_file", type=FILE, help="A problem file: what no flag names is as there."),
)
@section(
    "Search",
    *(_axis(*axis) for axis in SEARCHED),
    objective_option(None, "What is best.  [default: money if a limit is given, else period]"),
    click.option("--exact", is_flag=True, help="Plan every point in full; slower by a hundred times or so."),
    click.option("--workers", type=click.IntRange(1), metavar="COUNT", help="Processes.  [default: one a core]"),
)
@limit_options
@section(
    "Output",
    click.option("--pareto", metavar="FIGURES", help="Show what none beats in two or more, e.g. fps,money."),
    click.option("--sensitivity", type=click.Choice(FIGURES), help="Show what moves this figure of the best row most."),
    click.option(
        "--sessions",
        is_flag=True,
        help="Show how many sessions fit by memory and rate with each row's placement; `capacity` finds the most.",
    ),
    click.option(
        "--top",
        type=click.IntRange(1),
        default=3,
        metavar="COUNT",
        help="Rows shown of each model and device.  [default: 3]",
    ),
    output_option("rows are kept as they come, as JSON lines", usual="nowhere"),
    click.option("--resume", is_flag=True, help="Go on with the rows in --output."),
    click.option("--csv", "as_csv", is_flag=True, help="Write all rows to standard output as CSV."),
    json_option,
)
@tells_errors
def whatif(
    grid_file: str | None,
    pareto: str | None,
    sensitivity: Figure | None,
    sessions: bool,
    top: int,
    as_json: bool,
    as_csv: bool,
    output: str | None,
    resume: bool,
    workers: int | None,
    **given: Any,
) -> None:
    """Ask what a model would do on devices you do not have: frames a second, first frame, memory, money.

    All combinations of what the flags (or a GRID file) list are answered; values are separated by commas, and ranges
    written 1-8. A figure's interval, in brackets, is what the times it rests on may be off by.
    """
    from planner.sweeping.front import columns

    limits = {name: given.pop(name) for name in LIMITS}
    grid = grid_of(grid_file, limits, **given)
    if resume and output is None:
        raise input_error("--resume: name the file that holds the rows with -o")
    if as_json and as_csv:
        raise input_error("--json, --csv: one of them")
    objectives = None if pareto is None else [name.strip() for name in pareto.split(",")]
    if objectives is not None:
        columns(objectives)  # a wrong name is told before the sweep
    sweep = _swept(grid, output, resume, workers)
    found = None if sensitivity is None else _influences(sweep, sensitivity)
    if as_csv:
        click.echo(sweep.to_csv(), nl=False)
    elif as_json:
        write_json(_data(sweep, objectives, found))
    else:
        _tell(sweep, objectives, found, sensitivity, sessions=sessions, top=top)
    if not sweep.is_complete:
        again = f"; go on with -o {output} --resume" if output else "; -o FILE would have kept them"
        click.echo(f"interrupted after {len(sweep.rows):,} of {sweep.grid.size:,} points{again}", err=True)
        sys.exit(INTERRUPTED)


def grid_of(
    grid_file: str | None,
    limits: dict[str, Any],
    *,
    problem_file: str | None,
    no_decode: bool,
    objective: str | None,
    exact: bool,
    **axes: str | None,
) -> Grid:
    """The grid of a file, of flags, or of both where they do not say the same."""
    from planner.files import read_document
    from planner.problem import Problem
    from planner.sweeping.grid import Grid

    data: dict[str, Any] = {}
    if grid_file is not None:
        data = read_document(Grid, grid_file).model_dump(exclude_none=True, exclude_defaults=True)
    asked: dict[str, Any] = {name: value for name, value in axes.items() if value is not None}
    if no_decode:
        asked["decode"] = [False]
    if problem_file is not None:
        asked["base"] = read_document(Problem, problem_file)
    kept = limits_of(**limits)
    if kept.asked():
        asked["limits"] = kept
    if exact:
        asked["exact"] = True
    if objective is not None:
        asked["objective"] = objective
    elif kept.asked() and "objective" not in data:
        asked["objective"] = "money"
    clash = next((name for name in asked if name in data), None)
    if clash is not None:
        raise input_error(
            f"--{clash.replace('_', '-')}: {grid_file} says that already; change the file or drop the flag"
        )
    return Grid.from_data(data | asked, grid_file or "command line")


def _swept(grid: Grid, output: str | None, resume: bool, workers: int | None) -> Sweep:
    from planner.sweeping.saved import saved
    from planner.whatif import whatif as sweep

    kept = nullcontext(None) if output is None else saved(output, grid, resume=resume)
    with kept as file, progress(f"answering {grid.size:,} points") as say:
        known = () if file is None else file.rows

        def keep(row: Row) -> None:
            if file is not None:
                file.append(row)
            say(f"{row.point + 1:,} of {grid.size:,} points")

        return sweep(grid, on_row=keep, rows=known, workers=workers)


def _influences(sweep: Sweep, figure: Figure) -> tuple[Influence, ...]:
    from executor.commands.whatif_table import ranked
    from planner.sweeping.sensitivity import of_row

    rows = ranked(sweep.rows, sweep.grid.objective)
    if not rows:
        raise input_error("--sensitivity: no point can run")
    return of_row(sweep.grid, rows[0], figure)


def _tell(
    sweep: Sweep,
    objectives: list[str] | None,
    found: tuple[Influence, ...] | None,
    figure: Figure | None,
    *,
    sessions: bool,
    top: int,
) -> None:
    from executor.commands.whatif_table import answer_lines, best_rows, influence_rows, table

    for line in answer_lines(sweep):
        click.echo(line)
    if rows := best_rows(sweep, top):
        print_table(*table(rows, sessions=sessions))
    if objectives is not None:
        click.echo(f"none beats these in {', '.join(objectives)}:")
        print_table(*table(sweep.pareto(objectives), sessions=sessions))
    if found is not None and figure is not None:
        click.echo("what moves the best row most:")
        print_table(*influence_rows(found, figure))


def _data(sweep: Sweep, objectives: list[str] | None, found: tuple[Influence, ...] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "schema_name": "blockcascade.sweep/1",
        "grid": sweep.grid.model_dump(mode="json", exclude_none=True),
        "complete": sweep.is_complete,
        "rows": [row._asdict() for row in sweep.rows],
    }
    if objectives is not None:
        data["pareto"] = [row._asdict() for row in sweep.pareto(objectives)]
    if found is not None:
        keys = ("now", "less", "more")
        data["sensitivity"] = [
            item._asdict() | {key: value and value._asdict() for key in keys for value in [getattr(item, key)]}
            for item in found
        ]
    return data
