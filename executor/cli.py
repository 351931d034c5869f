"""The `blockcascade` command. Imports what a subcommand needs only when it runs, so that --help is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from planner.plan import Plan
    from planner.problem import Problem
    from planner.trace import Trace

FAILED, BAD_INPUT = 1, 2

Command = Callable[..., None]


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


def problem_options(command: Command) -> Command:
    """A problem as a file, or as a few flags."""
    for option in reversed(
        (
            click.argument("problem_file", metavar="[PROBLEM]", required=False),
            click.option("--model", help="A model's name, instead of a problem file."),
            click.option("--device", default=None, help="A device's kind, e.g. h100 or cpu-core."),
            click.option("--count", type=int, default=None, help="How many devices.  [default: 1]"),
            click.option("--blocks", type=int, default=None, help="Blocks of the clip.  [default: 7]"),
            click.option("--no-decode", is_flag=True, help="Leave the clip as latents."),
            click.option("--profile", "profile_file", help="A measured profile to plan by."),
        )
    ):
        command = option(command)
    return command


@cli.command()
@problem_options
@click.option("--pattern", "pattern_text", help="sequential or cascade:OFFSET.  [default: the best tolerated]")
@click.option("--placement", "placement_text", help="free, block or step, with or without +decoder.  [default: best]")
@click.option("-o", "--output", default="-", help="Where the plan goes.  [default: standard output]")
@click.option("--save-problem", help="Write the problem too; the other commands ask for it.")
@click.option("--text", is_flag=True, help="Write the plan as text, a line per action.")
@tells_errors
def plan(
    pattern_text: str | None,
    placement_text: str | None,
    output: str,
    save_problem: str | None,
    text: bool,
    **given: Any,
) -> None:
    """Find the best schedule for a problem, and prove how good it is."""
    from planner.files import write_bytes, write_document
    from planner.patterns import Pattern
    from planner.placement import Placement
    from planner.search import plan as search

    problem = _problem(**given)
    pattern = None if pattern_text is None else Pattern.parse(pattern_text, problem.model)
    placement = None if placement_text is None else Placement.parse(placement_text)
    found = search(problem, pattern=pattern, placement=placement)
    if save_problem:
        write_document(problem, save_problem)
    if text:
        write_bytes(found.to_text().encode(), output)
    else:
        write_document(found, output)
    _describe_plan(found, problem)


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
        raise _input_error(f"--jitter: must be 0..2, not {jitter}")
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


def _problem(
    problem_file: str | None,
    model: str | None,
    device: str | None,
    count: int | None,
    blocks: int | None,
    no_decode: bool,
    profile_file: str | None,
) -> Problem:
    from models.catalog import load_spec
    from planner.cluster import Cluster
    from planner.files import read_document
    from planner.problem import Problem
    from planner.profile import Profile

    measured = None if profile_file is None else read_document(Profile, profile_file)
    if problem_file is not None:
        flags = {"--model": model, "--device": device, "--count": count, "--blocks": blocks}
        clash = [flag for flag, value in flags.items() if value is not None] + ["--no-decode"] * no_decode
        if clash:
            raise _input_error(f"{clash[0]}: the problem file says that already; change the file or drop the flag")
        problem = read_document(Problem, problem_file)
        if measured is None:
            return problem
        return Problem.from_data({**problem.model_dump(), "profile": measured.model_dump()}, problem_file)
    if model is None:
        raise _input_error("name a problem file, or a model with --model (e.g. --model toy)")
    cluster = Cluster.of(device or "h100", 1 if count is None else count)
    data = {
        "model": load_spec(model),
        "cluster": cluster,
        "workload": {"blocks": 7 if blocks is None else blocks, "decode": not no_decode},
        "profile": measured,
    }
    return Problem.from_data(data, "command line")


def _problem_and_plan(problem_file: str, plan_file: str) -> tuple[Problem, Plan]:
    from planner.files import read_document, read_plan
    from planner.problem import Problem

    if problem_file == plan_file == "-":
        raise _input_error("PROBLEM, PLAN: only one of them can be standard input")
    problem = read_document(Problem, problem_file)
    chosen = read_plan(plan_file)
    chosen.require(problem)
    return problem, chosen


def _input_error(text: str) -> Exception:
    from planner.errors import InputError

    return InputError(text)


def _describe_plan(found: Plan, problem: Problem) -> None:
    from planner.metrics import metrics

    figures = metrics(problem.model, found.finished_us, found.makespan_us)
    evidence = found.evidence
    click.echo(
        f"{found.pattern} on {len(found.ranks)} rank(s), placement {found.placement}: "
        f"{figures.fps:.1f} fps, first block after {figures.first_frame_us / 1000:.0f} ms, "
        f"a block every {figures.period_us / 1000:.0f} ms; makespan {found.makespan_us / 1000:.1f} ms, "
        f"bound {evidence.bound_us / 1000:.1f} ms ({evidence.bound}), gap {evidence.gap:.2%}, {evidence.status}",
        err=True,
    )
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


def _describe_trace(trace: Trace, chosen: Plan, problem: Problem) -> None:
    from planner.metrics import metrics

    figures = metrics(problem.model, trace.finished_us, trace.makespan_us)
    busy = ", ".join(f"r{rank} {share:.0%}" for rank, share in enumerate(trace.utilization))
    click.echo(
        f"{trace.kind}: {figures.fps:.1f} fps, first block after {figures.first_frame_us / 1000:.0f} ms, "
        f"makespan {trace.makespan_us / 1000:.1f} ms ({trace.makespan_us / chosen.makespan_us - 1:+.1%} "
        f"of the plan); busy {busy}",
        err=True,
    )


def _progress(first: str) -> Any:
    """A context whose value is told what goes on: a spinner on a terminal, plain lines elsewhere."""
    from executor.progress import progress

    return progress(first)


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    # Piped, rich assumes 80 columns and would break words.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main()
