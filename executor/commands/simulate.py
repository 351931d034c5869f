"""`blockcascade simulate`: a plan played, and the trace it would leave."""

from __future__ import annotations

import click

from executor.commands.shared import describe_trace, problem_and_plan, tells_errors
from executor.flags import input_error


@click.command()
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

    problem, chosen = problem_and_plan(problem_file, plan_file)
    if not 0 <= jitter <= 2:
        raise input_error(f"--jitter: must be 0..2, not {jitter}")
    trace = play(chosen, problem, Jitter(spread=jitter, seed=seed))
    write_document(trace, output)
    describe_trace(trace, chosen, problem)
