"""What several subcommands take under the same name: files, an answer as JSON, a place for what is made."""

from __future__ import annotations

from collections.abc import Callable

import click

from executor.flags import OBJECTIVES, Command
from executor.names import FILE, PATTERN, PLACEMENT

Decorator = Callable[[Command], Command]

problem_argument = click.argument("problem_file", metavar="PROBLEM", type=FILE)
plan_argument = click.argument("plan_file", metavar="PLAN", type=FILE)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write the answer to standard output as one JSON document."
)
save_problem_option = click.option(
    "--save-problem", type=FILE, help="Write the problem too; other commands ask for it."
)
pattern_option = click.option(
    "--pattern", "pattern_text", type=PATTERN, help="One pattern only.  [default: all the checkpoint tolerates]"
)
placement_option = click.option(
    "--placement", "placement_text", type=PLACEMENT, help="E.g. block+decoder, step*ulysses:2@6.  [default: best]"
)


def output_option(what: str, default: str | None = None, usual: str = "standard output") -> Decorator:
    """`-o`: where `what` goes; `usual` says what happens without it."""
    return click.option("-o", "--output", type=FILE, default=default, help=f"Where {what}.  [default: {usual}]")


def objective_option(default: str | None, told: str) -> Decorator:
    return click.option("--objective", type=click.Choice(OBJECTIVES), default=default, help=told)
