"""`blockcascade run`: a plan executed, kept as it goes, and gone on with after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from executor.command import Command, section
from executor.commands.model_options import ModelFlags, model_options
from executor.commands.shared import describe_trace, problem_and_plan, progress, tells_errors, write_json
from executor.common_flags import json_option
from executor.flags import input_error
from executor.names import FILE, FOLDER

if TYPE_CHECKING:
    from executor.keeping.run_folder import RunRecord, Start
    from executor.launch import Clip
    from executor.output.frame_sink import FrameSink
    from planner.plan import Plan
    from planner.problem import Problem

PROBLEM, PLAN, VIDEO, TRACE = "problem.json", "plan.json", "video.mp4", "trace.json"
SMALL = 256  # pixels: narrower videos are enlarged
STDOUT = 1
SCHEMA = "blockcascade.ran/1"


@click.command(
    cls=Command,
    short_help="Execute a plan, on this machine's ranks or under torchrun.",
    examples=(
        'blockcascade run problem.json plan.json --prompt "a red circle moving right" -o out/clip',
        "blockcascade run --resume -o out/clip",
        'blockcascade run problem.json plan.json --prompt "..." --stream - --stream-kind y4m | ffplay -',
    ),
)
@click.argument("problem_file", metavar="[PROBLEM", required=False, type=FILE)
@click.argument("plan_file", metavar="PLAN]", required=False, type=FILE)
@section(
    "Clip",
    click.option(
        "--prompt", "prompts", multiple=True, metavar="TEXT", help="What the clip shows; again for each prompt switch."
    ),
    click.option("--seed", type=int, metavar="SEED", help="Seed of the noise.  [default: 0]"),
)
@section(
    "Folder",
    click.option(
        "-o", "--output", type=FOLDER, default="out/run", help="For all that the run makes.  [default: out/run]"
    ),
    click.option(
        "--save-every",
        type=click.IntRange(1),
        metavar="BLOCKS",
        help="From one saved state to the next.  [default: 8]",
    ),
    click.option("--resume", is_flag=True, help="Go on with the run in the folder; without files, by its own plan."),
    click.option(
        "--count",
        type=click.IntRange(1),
        metavar="COUNT",
        help="With --resume: plan again for the first so many devices.",
    ),
)
@model_options
@section(
    "Output",
    click.option(
        "--stream",
        type=FILE,
        help="Raw frames as blocks finish: a file or pipe, a descriptor's number, or - for standard output.",
    ),
    click.option(
        "--stream-kind", type=click.Choice(["rgb24", "y4m"]), default="rgb24", help="Their form.  [default: rgb24]"
    ),
    json_option,
)
@tells_errors
def run(
    problem_file: str | None,
    plan_file: str | None,
    prompts: tuple[str, ...],
    seed: int | None,
    output: str,
    save_every: int | None,
    resume: bool,
    count: int | None,
    stream: str | None,
    stream_kind: Literal["rgb24", "y4m"],
    as_json: bool,
    model_flags: ModelFlags,
) -> None:
    """Execute a plan on this machine's ranks, or as a rank under torchrun.

    Finished blocks are on disk as they finish, with the state to go on from: after an interruption, the same command
    with --resume goes on, also with a plan for other devices.
    """
    from executor.keeping.run_folder import EVERY, Keep, read_record
    from executor.launch import execute

    if as_json and stream in ("-", str(STDOUT)):
        raise input_error("--json, --stream: only one of them can go to standard output")
    folder = Path(output)
    known = read_record(folder) if resume else None
    problem, chosen = _asked(problem_file, plan_file, folder, known, count)
    prompts = prompts or (known.prompts if known else ())
    if not prompts:
        raise input_error("--prompt: say what the clip shows")
    keep = Keep(
        folder,
        save_every or (known.save_every if known else EVERY),
        "yes" if resume else "no",
        None if stream is None else _raw(stream, stream_kind, problem.model.frame_rate),
        whole=False,
        documents={PROBLEM: problem, PLAN: chosen},
    )
    source = model_flags.source(problem.model, decodes=problem.workload.decode)
    seed = seed if seed is not None else known.seed if known else 0
    options = model_flags.options()
    with progress(f"running {problem.workload.blocks} blocks on {len(chosen.ranks)} rank(s)"):
        clip = execute(chosen, problem, source, prompts=prompts, seed=seed, keep=keep, options=options)
    if clip is not None:
        _tell(clip, chosen, problem, folder, as_json=as_json, err=stream in ("-", str(STDOUT)))


def _asked(
    problem_file: str | None, plan_file: str | None, folder: Path, known: RunRecord | None, count: int | None
) -> tuple[Problem, Plan]:
    """The problem and plan of the files, or of the run in the folder."""
    if problem_file is not None and plan_file is not None:
        if count is not None:
            raise input_error("--count: plans the folder's own problem again; leave PROBLEM and PLAN out, or --count")
        return problem_and_plan(problem_file, plan_file)
    if problem_file is not None or known is None:
        raise input_error("name PROBLEM and PLAN, or go on with the run in a folder by --resume")
    from executor.keeping.run_folder import place_of

    if count is None:
        return problem_and_plan(*(str(place_of(folder, name)) for name in (PROBLEM, PLAN)))
    from executor.executable import is_executable
    from planner.files import read_document
    from planner.problem import Problem
    from planner.search import plan

    whole = read_document(Problem, str(place_of(folder, PROBLEM)))
    fewer = whole.model_copy(update={"cluster": whole.cluster.first(count)})
    return fewer, plan(fewer, pattern=known.pattern, only=is_executable)


def _raw(target: str, kind: Literal["rgb24", "y4m"], fps: float) -> Callable[[], AbstractContextManager[FrameSink]]:
    """What opens the stream's end, on the rank that decodes."""
    place = STDOUT if target == "-" else int(target) if target.isdecimal() else Path(target)

    @contextmanager
    def opened() -> Iterator[FrameSink]:
        from executor.output.raw_video import RawWriter

        with RawWriter(place, kind=kind, fps=fps) as writer:
            yield writer.write

    return opened


def _tell(clip: Clip, chosen: Plan, problem: Problem, folder: Path, *, as_json: bool, err: bool) -> None:
    """Writes the video from the blocks on disk and the trace, and says what came of the run."""
    from executor.keeping.run_folder import place_of
    from executor.tell import print_measures
    from planner.files import write_document
    from planner.measures import measure

    assert clip.start is not None
    if problem.workload.decode:
        frames = _write_video(folder, problem)
        click.echo(f"{folder / VIDEO}: {frames} frames", err=True)
    for fault in clip.start.faults:
        click.echo(f"not used: {fault}", err=True)
    for warning in clip.start.warnings:
        click.echo(f"warning: {warning}", err=True)
    if clip.start.cut.block:
        click.echo(_went_on(clip.start, problem), err=True)
        if as_json:
            write_json({"schema_name": SCHEMA, "began_at": clip.start.cut.block, "measures": None})
        return
    write_document(clip.trace, str(place_of(folder, TRACE)))
    found = measure(problem, chosen, clip.trace)
    if as_json:
        write_json({"schema_name": SCHEMA, "began_at": 0, "measures": found.model_dump(mode="json")})
        return
    describe_trace(clip.trace, chosen, problem, err=err)
    print_measures(found, err=err)


def _went_on(start: Start, problem: Problem) -> str:
    if start.cut.block >= problem.workload.blocks:
        return "nothing was left to do"
    return f"went on from {start.cut}"


def _write_video(folder: Path, problem: Problem) -> int:
    from executor.keeping.keeper import show
    from executor.keeping.store import Store
    from executor.output.video import SCALE, Mp4Writer

    spec, blocks = problem.model, range(problem.workload.blocks)
    scale = SCALE if spec.pixel_width < SMALL else 1
    with Mp4Writer(folder / VIDEO, fps=spec.frame_rate, scale=scale) as video:
        show(Store(folder), blocks, video.write)
    return sum(spec.pixel_frames(block) for block in blocks)
