"""The command line as a page, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from executor.cli import SECTIONS, cli

HEAD = """\
# Command line

Made from the commands themselves: `blockcascade COMMAND --help` says the same. Exit codes: 0 done, 1 failed, 2 a file
or flag that cannot be used (the error says which and how to mend it), 130 interrupted.
"""


def cli_page() -> str:
    """The whole page, as Markdown."""
    return HEAD + "\n" + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    above = click.Context(cli, info_name="blockcascade")
    for section, commands in SECTIONS.items():
        yield from (f"## {section}", "")
        for command in commands:
            yield from _command(command, click.Context(command, parent=above, info_name=command.name))
            yield ""


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield from (f"### {command.name}", "", "```text", usage, "```", "")
    yield from (_text(command.help), "")
    yield from ("| option | | usual |", "|---|---|---|")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            says, _, usual = record[1].partition("  [")
            usual = usual.removesuffix("]").removeprefix("default: ")
            yield f"| `{record[0]}` | {_cell(says)} | {_cell(usual)} |"
    if command.epilog:
        yield from ("", _text(command.epilog))


def _text(text: str | None) -> str:
    """Help as paragraphs; a paragraph of its own that is a command line is code."""
    parts = [part.strip() for part in (text or "").replace("\b\n", "").split("\n\n")]
    return "\n\n".join(f"    {part}" if part.startswith("blockcascade ") else part for part in parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
