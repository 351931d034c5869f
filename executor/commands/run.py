"""`blockcascade run`: a plan executed."""

from __future__ import annotations

from pathlib import Path

import click

from executor.commands.shared import describe_trace, problem_and_plan, tells_errors


@click.command()
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

    problem, chosen = problem_and_plan(problem_file, plan_file)
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
    describe_trace(clip.trace, chosen, problem)
