"""What subcommands share: errors in one line, the files most of them read, and how they tell what they found.

Like each subcommand's module, this imports what it needs only when it runs, so that --help is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from executor.command import BAD_INPUT, FAILED, INTERRUPTED
from executor.flags import Command, input_error

if TYPE_CHECKING:
    from executor.progress import Say
    from planner.plan import Plan
    from planner.problem import Problem
    from planner.trace import Trace
    from planner.value import Document

EXTRAS = {"ortools": "solve", "pandas": "sweep", "distributed": "sweep"}


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
            extra = EXTRAS.get(str(error.name).partition(".")[0], "run")
            click.echo(f"error: {error.name} is not installed; this needs blockcascade[{extra}]", err=True)
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


def describe_trace(trace: Trace, chosen: Plan, problem: Problem, *, err: bool) -> None:
    from executor.describe import trace_line

    click.echo(trace_line(trace, chosen, problem), err=err)


def progress(first: str) -> AbstractContextManager[Say]:
    """A context whose value is told what goes on, for all that may take more than two seconds."""
    from executor.progress import progress

    return progress(first)


def print_table(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, err: bool = False, apart: bool = False
) -> None:
    from executor.table import print_table

    print_table(columns, rows, err=err, apart=apart)


def write_json(answer: Document | Mapping[str, Any]) -> None:
    """An answer on standard output: one document on one line, its keys sorted."""
    import json

    from planner.files import write_bytes
    from planner.value import Document

    if isinstance(answer, Document):
        text = answer.to_json()
    else:
        text = json.dumps(answer, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    write_bytes(text.encode(), "-")


def refuse_clash(names: str, *places: str | None) -> None:
    """Raises InputError if two of the files to read are standard input."""
    if places.count("-") > 1:
        raise input_error(f"{names}: only one of them can be standard input")


def require_room(*, as_json: bool, **places: str | None) -> bool:
    """Whether standard output has a document already, so that what is told beside goes to standard error.

    `places` are where documents go, by their flags. Raises InputError if two are to go to standard output.
    """
    taken = [name for name, place in places.items() if place == "-"] + ["json"] * as_json
    if len(taken) > 1:
        flags = ", ".join("-o" if name == "output" else f"--{name.replace('_', '-')}" for name in taken)
        raise input_error(f"{flags}: only one of them can go to standard output; name a file")
    return bool(taken)
