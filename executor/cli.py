"""The `blockcascade` command. A subcommand imports what it needs only when it runs, so that --help is quick."""

from __future__ import annotations

import click

from executor.commands.calibrate import calibrate
from executor.commands.check import check
from executor.commands.demo import demo
from executor.commands.pareto import pareto
from executor.commands.plan import plan
from executor.commands.profile import profile
from executor.commands.run import run
from executor.commands.simulate import simulate

COMMANDS = (plan, pareto, simulate, check, run, calibrate, profile, demo)


def main() -> None:
    """Runs the command line; exit code 0 done, 1 failed, 2 bad input."""
    cli(prog_name="blockcascade")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="blockcascade")
def cli() -> None:
    """Plan, simulate and run cascaded block-causal video diffusion.

    Files are JSON or YAML; '-' stands for standard input or output.
    """


for _command in COMMANDS:
    cli.add_command(_command)


if __name__ == "__main__":
    main()
