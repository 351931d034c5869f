"""A page of the docs, run from top to bottom in a folder of its own: what it shows is what it does."""

from __future__ import annotations

import io
import json
import re
import shlex
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import click
import yaml
from click.testing import CliRunner

from executor.cli import cli
from tests.docs.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SHELL = ("sh", "bash", "console")
# These take torch, weights or minutes; their options are held against the command's own.
LONG = ("run", "profile", "demo")
WIDTH, BOTH = "100", "2>&1"


def run_page(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """Each block that ran with what it printed. Raises AssertionError naming the line that does not do as told."""
    names: dict[str, Any] = {"__name__": page.stem}
    done = []
    with chdir(folder):
        for block in blocks(page.read_text()):
            printed = _run(block, names)
            if printed is not None:
                done.append((block, printed))
    return done


def _run(block: Block, names: dict[str, Any]) -> str | None:
    if block.language == "python":
        return _python(block, names)
    if block.language in ("yaml", "json"):
        read = yaml.safe_load if block.language == "yaml" else json.loads
        assert read(block.body) is not None
        if block.title:
            Path(block.title).write_text(block.body)
        return None
    if block.language in SHELL:
        told = [_line(line, runs=block.runs) for line in block.lines]
        return None if all(one is None for one in told) else "".join(filter(None, told))
    return None


def _python(block: Block, names: dict[str, Any]) -> str | None:
    code = compile(block.body, "python block", "exec")
    if not block.runs:
        return None
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    return printed.getvalue()


def _line(line: str, *, runs: bool) -> str | None:
    """Runs or checks one line of a shell block; None if it is none of ours or not to be run."""
    words = shlex.split(line, comments=True)
    if words[:1] != ["blockcascade"]:
        inner = re.search(r"-m executor\.cli (.*)", line)
        if inner:
            require_options(shlex.split(inner[1].rstrip("'").replace('\'"$RESUME"', "").rstrip("'"), comments=True))
        return None
    words, head, target = _redirected([word for word in words[1:] if word != BOTH])
    if not runs or (words[:1] and words[0] in LONG):
        require_options(words)
        return None
    result = CliRunner().invoke(cli, words, prog_name="blockcascade", env={"COLUMNS": WIDTH, "NO_COLOR": "1"})
    assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    if target:
        Path(target).write_text(result.stdout)
        return result.stderr
    # A pipe takes standard output only; a reader's screen shows both.
    shown = result.output if head is None or BOTH in line else result.stdout
    return "".join(shown.splitlines(keepends=True)[:head])


def _redirected(words: list[str]) -> tuple[list[str], int | None, str]:
    """The command itself, how many lines `| head -N` leaves, and the file that `> FILE` names."""
    head, target = None, ""
    if "|" in words:
        at = words.index("|")
        assert words[at + 1] == "head", f"only '| head -N' is known, not {words[at:]}"
        words, head = words[:at], int(words[at + 2].lstrip("-"))
    if ">" in words:
        at = words.index(">")
        words, target = words[:at], words[at + 1]
    return words, head, target


def require_options(words: list[str]) -> None:
    """Raises AssertionError unless the command and its options are there."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, f"there is no command {words[0]!r}"
    context = click.Context(command, info_name=words[0])
    try:
        values, _, _ = command.make_parser(context).parse_args(list(words[1:]))
        for parameter in command.get_params(context):
            if isinstance(parameter.type, click.Choice) and parameter.name in values:
                parameter.type_cast_value(context, values[parameter.name])
    except click.UsageError as error:
        raise AssertionError(f"{shlex.join(words)}: {error.format_message()}") from error


def squeezed(text: str) -> list[str]:
    """Lines without the blanks at their ends."""
    return [line.rstrip() for line in text.strip("\n").splitlines()]
