"""The `blockcascade` command. Imports what a subcommand needs only when it runs, so that --help is quick."""

from __future__ import annotations

import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from executor.flags import LIMITS, Command, input_error, limit_options, limits_of, problem_of, problem_options

if TYPE_CHECKING:
    from planner.plan import Objective, Plan
    from planner.problem import Problem
    from planner.trace import Trace

FAILED, BAD_INPUT = 1, 2
# Those of planner.objective, which --help need not import.
OBJECTIVES = ("makespan", "period", "first-frame", "control", "devices", "money")


def main() -> None:
    """Runs the command line; exit code 0 done, 1 failed, 2 bad input."""
    cli(prog_name="blockcascade")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="blockcascade")
def cli() -> None:
    """Plan, simulate and run cascaded block-causal video diffusion.

    Files are JSON or YAML; '-' stands for standard input or output.
    """


def tells_errors(command: Command) -> Command:
    """Turns what a user can cause into one line and an exit code, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from executor.errors import WorldError
        from models.errors import BlockcascadeError, CheckpointError, PromptError, SpecError
        from planner.errors import InputError

        try:
            command(*args, **kwargs)
        except BlockcascadeError as error:
            bad_input = isinstance(error, InputError | SpecError | PromptError | CheckpointError | WorldError)
            click.echo(f"error: {error}", err=True)
            sys.exit(BAD_INPUT if bad_input else FAILED)
        except ModuleNotFoundError as error:
            click.echo(f"error: {error.name} is not installed; running models needs blockcascade[run]", err=True)
            sys.exit(BAD_INPUT)

    return wrapped


@cli.command()
@problem_options
@click.option("--pattern", "pattern_text", help="E.g. sequential, cascade:2, cascade:1:live-joint.  [default: best]")
@click.option("--placement", "placement_text", help="E.g. free, block+decoder, step*ulysses:2@6.  [default: best]")
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), default="makespan", show_default=True, help="What to minimise."
)
@limit_options
@click.option("--solve", "solve_s", type=float, default=0.0, help="Seconds for the exact solver.  [default: 0]")
@click.option("--why", is_flag=True, help="Show what else was tried and why it lost.")
@click.option("-o", "--output", default="-", help="Where the plan goes.  [default: standard output]")
@click.option("--save-problem", help="Write the problem too; the other commands ask for it.")
@click.option("--text", is_flag=True, help="Write the plan as text, a line per action.")
@tells_errors
def plan(
    pattern_text: str | None,
    placement_text: str | None,
    objective: Objective,
    solve_s: float,
    why: bool,
    output: str,
    save_problem: str | None,
    text: bool,
    **given: Any,
) -> None:
    """Find the best schedule for a problem, and prove how good it is."""
    from executor.describe import COLUMNS, alternatives, plan_lines
    from planner.files import write_bytes, write_document
    from planner.patterns import Pattern
    from planner.placement import Placement
    from planner.search import plan as search

    limits = limits_of(**{name: given.pop(name) for name in LIMITS})
    problem = problem_of(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    placement = None if placement_text is None else Placement.parse(placement_text)

    def tell(best: int, bound: int, gone: float) -> None:
        click.echo(f"{gone:.1f} s: best {best / 1000:.1f} ms, bound {bound / 1000:.1f} ms", err=True)

    found = search(
        problem,
        pattern=pattern,
        placement=placement,
        objective=objective,
        limits=limits,
        solve_s=solve_s,
        on_progress=tell,
    )
    if save_problem:
        write_document(problem, save_problem)
    if text:
        write_bytes(found.to_text().encode(), output)
    else:
        write_document(found, output)
    for line in plan_lines(found, problem):
        click.echo(line, err=True)
    if why:
        _print_table(COLUMNS, list(alternatives(found)), err=True)


@cli.command()
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
        _print_table(POINT_COLUMNS, [point_row(point) for point in points])


@cli.command()
@click.argument("problem_file", metavar="PROBLEM")
@click.argument("plan_file", metavar="PLAN")
@click.option("--jitter", type=float, default=0.0, help="Spread of durations (log-normal sigma).  [default: 0]")
@click.option("--seed", type=int, default=0, help="Seed of the jitter.  [default: 0]")
@click.option("-o", "--output", default="-", help="Where the trace goes.  [default: standard output]")
@tells_errors
def simulate(problem_file: str, plan_file: str, jitter: float, seed: int, output: str) -> None:
    """Play a plan and write the trace it would leave."""
    from planner.files import write_document
    from planner.simulate import Jitter
    from planner.simulate import simulate as play

    problem, chosen = _problem_and_plan(problem_file, plan_file)
    if not 0 <= jitter <= 2:
        raise input_error(f"--jitter: must be 0..2, not {jitter}")
    trace = play(chosen, problem, Jitter(spread=jitter, seed=seed))
    write_document(trace, output)
    _describe_trace(trace, chosen, problem)


@cli.command()
@click.argument("problem_file", metavar="PROBLEM")
@click.argument("plan_file", metavar="PLAN")
@tells_errors
def check(problem_file: str, plan_file: str) -> None:
    """Verify every rule a plan must keep; list all that are broken."""
    from planner.check import check as verify

    problem, chosen = _problem_and_plan(problem_file, plan_file)
    verify(chosen, problem)
    actions = sum(len(rows) for rows in chosen.ranks)
    click.echo(f"fine: {actions} actions on {len(chosen.ranks)} rank(s) keep every rule", err=True)


@cli.command()
@click.argument("problem_file", metavar="PROBLEM")
@click.argument("plan_file", metavar="PLAN")
@click.option("--prompt", required=True, help="What the clip shows.")
@click.option("--seed", type=int, default=0, help="Seed of the noise.  [default: 0]")
@click.option("-o", "--output", default="out/run", help="Folder for the video and the trace.  [default: out/run]")
@tells_errors
def run(problem_file: str, plan_file: str, prompt: str, seed: int, output: str) -> None:
    """Execute a plan on this machine's ranks, or as a rank under torchrun."""
    from executor.launch import execute
    from models.errors import CheckpointError
    from planner.files import write_document

    problem, chosen = _problem_and_plan(problem_file, plan_file)
    if problem.model.name != "toy":
        raise CheckpointError(f"model {problem.model.name}: only the toy's weights can be loaded yet")
    from models.toy.model import load_toy

    clip = execute(chosen, problem, load_toy(), prompt=prompt, seed=seed)
    if clip is None:
        return
    folder = Path(output)
    write_document(clip.trace, str(folder / "trace.json"))
    if clip.frames is not None:
        from executor.video import SCALE, write_mp4

        write_mp4(clip.frames, folder / "video.mp4", scale=SCALE)
        click.echo(f"{folder / 'video.mp4'}: {len(clip.frames)} frames", err=True)
    _describe_trace(clip.trace, chosen, problem)


@cli.command()
@click.option("--model", default="toy", help="A model whose weights can be loaded.  [default: toy]")
@click.option("--device", default="cpu-core", help="The kind of device this is.  [default: cpu-core]")
@click.option("--busy-ranks", type=click.IntRange(1, 64), default=1, help="Ranks at work at once.  [default: 1]")
@click.option("--repeats", type=click.IntRange(1, 1000), default=5, help="Clips to time on each rank.  [default: 5]")
@click.option("-o", "--output", default="-", help="Where the profile goes.  [default: standard output]")
@tells_errors
def profile(model: str, device: str, busy_ranks: int, repeats: int, output: str) -> None:
    """Time a model on this machine and write the profile to plan by."""
    from models.catalog import load_spec
    from models.errors import CheckpointError
    from planner.cluster import Cluster
    from planner.files import write_document

    cluster = Cluster.of(device, busy_ranks)
    if load_spec(model).name != "toy":
        raise CheckpointError(f"model {model}: only the toy's weights can be loaded yet")
    from executor.demo import PROMPT
    from executor.profiling import profile as measure
    from models.toy.model import load_toy

    with _progress(f"timing {repeats} clips on {busy_ranks} rank(s)"):
        found = measure(load_toy(), cluster, prompt=PROMPT, busy_ranks=busy_ranks, repeats=repeats)
    write_document(found, output)


@cli.command()
@click.option("-o", "--out", default="out/demo", help="Folder for what the demo makes.  [default: out/demo]")
@click.option("--blocks", type=click.IntRange(2, 1000), default=21, help="Blocks of the clip.  [default: 21]")
@click.option("--repeats", type=click.IntRange(1, 100), default=5, help="Runs of each plan.  [default: 5]")
@click.option("--seed", type=int, default=0, help="Seed of the noise.  [default: 0]")
@tells_errors
def demo(out: str, blocks: int, repeats: int, seed: int) -> None:
    """Profile, plan, simulate and run the toy: sequential against cascade."""
    from executor.demo import run_demo, save_demo
    from executor.report import COLUMNS, table_rows

    with _progress("loading") as say:
        made = run_demo(say, blocks=blocks, repeats=repeats, seed=seed)
        say("writing")
        report = save_demo(made, Path(out))
    _print_table(COLUMNS, table_rows(made))
    click.echo(f"{report}", err=True)


# -- what the commands share ---------------------------------------------------------------------


def _problem_and_plan(problem_file: str, plan_file: str) -> tuple[Problem, Plan]:
    from planner.files import read_document, read_plan
    from planner.problem import Problem

    if problem_file == plan_file == "-":
        raise input_error("PROBLEM, PLAN: only one of them can be standard input")
    problem = read_document(Problem, problem_file)
    chosen = read_plan(plan_file)
    chosen.require(problem)
    return problem, chosen


def _describe_trace(trace: Trace, chosen: Plan, problem: Problem) -> None:
    from executor.describe import trace_line

    click.echo(trace_line(trace, chosen, problem), err=True)


def _progress(first: str) -> Any:
    """A context whose value is told what goes on: a spinner on a terminal, plain lines elsewhere."""
    from executor.progress import progress

    return progress(first)


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]], *, err: bool = False) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    # Piped, rich assumes 80 columns and would break words.
    stream = sys.stderr if err else sys.stdout
    Console(width=None if stream.isatty() else 160, stderr=err).print(table)


if __name__ == "__main__":
    main()
