"""The `blockcascade` command. A subcommand imports what it needs only when it runs, so that --help is quick."""

from __future__ import annotations

import click

from executor.command import Group
from executor.commands.calibrate import calibrate
from executor.commands.capacity import capacity
from executor.commands.check import check
from executor.commands.compare import compare
from executor.commands.completion import completion
from executor.commands.demo import demo
from executor.commands.devices import devices
from executor.commands.estimate import estimate
from executor.commands.models import models
from executor.commands.pareto import pareto
from executor.commands.patterns import patterns
from executor.commands.plan import plan
from executor.commands.profile import profile
from executor.commands.replay import replay
from executor.commands.report import report
from executor.commands.run import run
from executor.commands.simulate import simulate
from executor.commands.whatif import whatif

SECTIONS = {
    "Plan": (plan, pareto, check, report),
    "Simulate": (simulate, replay, compare),
    "Run": (demo, profile, run, calibrate),
    "Ask": (whatif, capacity, estimate, models, devices, patterns),
    "Shell": (completion,),
}


def main() -> None:
    """Runs the command line; exit code 0 done, 1 failed, 2 bad input, 130 interrupted."""
    cli(prog_name="blockcascade")


@click.group(
    cls=Group,
    sections=SECTIONS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="blockcascade")
@click.pass_context
def cli(context: click.Context) -> None:
    """Plan, simulate and run cascaded block-causal video diffusion.

    Files are JSON or YAML; '-' stands for standard input or output. What a command makes goes where -o says, what it
    finds to standard output, with --json as one JSON document; what it tells beside goes to standard error. Exit code
    0: done, 1: failed, 2: bad input, 130: interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


if __name__ == "__main__":
    main()
