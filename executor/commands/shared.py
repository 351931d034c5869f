"""What subcommands share: errors in one line, the files most of them read, and how they tell what they found.

Like each subcommand's module, this imports what it needs only when it runs, so that --help is quick.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from executor.flags import Command, input_error

if TYPE_CHECKING:
    from planner.plan import Plan
    from planner.problem import Problem
    from planner.trace import Trace

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def tells_errors(command: Command) -> Command:
    """Turns what a user can cause into one line and an exit code, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from executor.errors import StateError, WorldError
        from models.errors import BlockcascadeError, CheckpointError, PromptError, SpecError
        from planner.errors import InputError

        try:
            command(*args, **kwargs)
        except BlockcascadeError as error:
            bad_input = isinstance(
                error, InputError | SpecError | PromptError | CheckpointError | WorldError | StateError
            )
            click.echo(f"error: {error}", err=True)
            sys.exit(BAD_INPUT if bad_input else FAILED)
        except KeyboardInterrupt:
            # As shells tell it; click would say 1, which is a failure.
            sys.exit(INTERRUPTED)
        except ModuleNotFoundError as error:
            click.echo(f"error: {error.name} is not installed; running models needs blockcascade[run]", err=True)
            sys.exit(BAD_INPUT)

    return wrapped


def problem_and_plan(problem_file: str, plan_file: str) -> tuple[Problem, Plan]:
    from planner.files import read_document, read_plan
    from planner.problem import Problem

    if problem_file == plan_file == "-":
        raise input_error("PROBLEM, PLAN: only one of them can be standard input")
    problem = read_document(Problem, problem_file)
    chosen = read_plan(plan_file)
    chosen.require(problem)
    return problem, chosen


def describe_trace(trace: Trace, chosen: Plan, problem: Problem) -> None:
    from executor.describe import trace_line

    click.echo(trace_line(trace, chosen, problem), err=True)


def progress(first: str) -> Any:
    """A context whose value is told what goes on: a spinner on a terminal, plain lines elsewhere."""
    from executor.progress import progress

    return progress(first)


def print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]], *, err: bool = False) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    # Piped, rich assumes 80 columns and would break words.
    stream = sys.stderr if err else sys.stdout
    Console(width=None if stream.isatty() else 160, stderr=err).print(table)
