"""How the command and its subcommands are laid out in --help, and how they end: a line for a mistake, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
OTHERS = "Options"

C = TypeVar("C", bound=Callable[..., Any])


def section(title: str, *options: Callable[[C], C]) -> Callable[[C], C]:
    """The options of a command that --help lists under one title, in the order given."""

    def add(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        for parameter in command.__click_params__[-len(options) :]:  # type: ignore[attr-defined]  # click's own memo
            parameter.section = title
        return command

    return add


class Command(click.Command):
    """A subcommand with its options by section and its examples at the end of --help."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **given: Any) -> None:
        super().__init__(*args, **{"epilog": "\n\n".join(examples) or None, **given})
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                # What is usual comes from us, what is allowed from click: one pair of brackets.
                told = record[0], record[1].replace("]  [", "; ")
                records.setdefault(getattr(parameter, "section", OTHERS), []).append(told)
        # What is no part of a larger question, --help among it, comes last.
        for title in sorted(records, key=lambda title: title == OTHERS):
            with formatter.section(title):
                formatter.write_dl(records[title])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        if self.examples:
            # As they are: a command line that is wrapped cannot be copied.
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Group(click.Group):
    """The command: subcommands by what they are for, and mistakes in one line."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[click.Command]], **given: Any) -> None:
        super().__init__(*args, **given)
        self.sections = sections
        for commands in sections.values():
            for command in commands:
                self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [str(command.name) for commands in self.sections.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, self.list_commands(ctx)))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(str(each.name), each.get_short_help_str(limit)) for each in commands])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Exit code 0 done, 1 failed, 2 bad input, 130 interrupted."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            click.echo(f"error: {_told(error)}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _told(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return text if context is None else f"{text}; see '{context.command_path} --help'"
