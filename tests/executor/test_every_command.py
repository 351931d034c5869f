"""What holds for all subcommands: help, JSON, pipes, and one line for a mistake."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from executor.cli import SECTIONS, cli

TOY = ["--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "3"]
COMMANDS = {str(command.name): command for commands in SECTIONS.values() for command in commands}
MAKES = {"report", "completion"}  # what they write is no answer
SLOW = {"demo", "profile", "run"}  # need torch and seconds; their answers are tested where they are
HEAVY = ("torch", "numpy", "networkx", "pydantic", "simpy", "matplotlib", "rich", "yaml", "pandas", "distributed")
ESCAPE = "\x1b"


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that the commands read."""
    folder = tmp_path_factory.mktemp("made")
    files = {name: str(folder / f"{name}.json") for name in ("problem", "plan", "trace")}
    assert call("plan", *TOY, "-o", files["plan"], "--save-problem", files["problem"]).exit_code == 0
    assert call("simulate", files["problem"], files["plan"], "-o", files["trace"]).exit_code == 0
    files["system"] = str(folder / "system.yaml")
    Path(files["system"]).write_text(call("estimate", "--example").stdout)
    return files


def asked(name: str, made: dict[str, str]) -> list[str]:
    """A call of a command that answers in no time."""
    both, toy = [made["problem"], made["plan"]], ["--model", "toy", "--device", "cpu-core"]
    return {
        "plan": [made["problem"]],
        "pareto": [made["problem"]],
        "check": both,
        "report": [made["plan"]],
        "simulate": both,
        "replay": [*both, made["trace"]],
        "compare": [made["plan"], made["trace"], "--problem", made["problem"]],
        "calibrate": [*both, made["trace"]],
        "whatif": [*toy, "--workers", "1"],
        "capacity": [*toy, "--length", "5", "--policy", "single"],
        "estimate": [made["system"]],
        "models": [],
        "devices": [],
        "patterns": ["toy"],
        "completion": ["zsh"],
    }[name]


QUICK = sorted(set(COMMANDS) - SLOW)
ANSWERS = sorted(set(COMMANDS) - SLOW - MAKES)


# -- help ----------------------------------------------------------------------------------------


def test_help_of_all_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom executor.cli import cli\n"
        f"for name in {sorted(COMMANDS)!r}:\n"
        "    try:\n        cli([name, '--help'])\n    except SystemExit as end:\n        assert not end.code, name\n"
        f"heavy = set({HEAVY!r}) & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_every_command_is_in_a_section_with_a_line_that_fits() -> None:
    told = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "80"}).stdout
    for title, commands in SECTIONS.items():
        assert f"\n{title}:\n" in told
        for command in commands:
            assert f"  {command.name} " in told
    assert "..." not in told.partition("Plan:")[2]
    assert set(cli.commands) == set(COMMANDS)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_fits_and_shows_how(name: str, width: int) -> None:
    told = CliRunner().invoke(cli, [name, "--help"], env={"COLUMNS": str(width)}).stdout
    before, found, examples = told.partition("\nExamples:\n")
    assert found
    assert all(len(line) <= width for line in before.splitlines())
    assert all("blockcascade " in line for line in examples.splitlines())


def options(command: click.Command) -> Iterator[click.Option]:
    return (parameter for parameter in command.params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_says_what_it_is(name: str) -> None:
    command = COMMANDS[name]
    context = click.Context(command)
    for option in options(command):
        assert option.help, option.opts
        # "TEXT" and "FLOAT" say nothing: a value is of a kind, and a number has a unit.
        shown = option.make_metavar(context)
        assert option.is_flag or shown not in ("INTEGER", "FLOAT", "INTEGER RANGE", "FLOAT RANGE"), option.opts
        assert option.is_flag or shown != "TEXT" or "--prompt" in option.opts, option.opts


def test_the_same_flag_means_the_same_everywhere() -> None:
    """One name, one kind of value; -o is always --output."""
    kinds: dict[str, set[str]] = {}
    for name, command in COMMANDS.items():
        context = click.Context(command)
        for option in options(command):
            if "-o" in option.opts or "--output" in option.opts:
                assert option.opts == ["-o", "--output"], name
            if name != "whatif":  # takes several values of each
                for opt in option.opts:
                    kinds.setdefault(opt, set()).add("" if option.is_flag else option.make_metavar(context))
    # A place is a folder or a file.
    assert {opt for opt, found in kinds.items() if len(found) > 1} <= {"-o", "--output"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_can_be_typed(name: str) -> None:
    command = COMMANDS[name]
    for example in command.examples:
        if "completion" in example:
            continue
        words = shlex.split(example.partition(" | ")[0].partition(" > ")[0], comments=True)
        assert words[:2] == ["blockcascade", name]
        context = click.Context(command, info_name=name, resilient_parsing=True)
        command.make_parser(context).parse_args(words[2:])  # raises for an option that is not there


def test_no_command_alone_shows_the_help() -> None:
    told = call()
    assert told.exit_code == 0
    assert told.stdout.startswith("Usage: ")


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - MAKES))
def test_every_answer_can_be_json(name: str) -> None:
    (option,) = (option for option in options(COMMANDS[name]) if "--json" in option.opts)
    assert option.help == "Write the answer to standard output as one JSON document."


KEYS = {
    "plan": "plan_digest measures evidence alternatives pattern placement problem_digest times not_runnable warnings",
    "pareto": "objectives points",
    "check": "actions ranks broken",
    "simulate": "makespan_us fps steady_fps first_frame_us period_us control_us ranks links",
    "replay": "changes outcomes measured replayed undelayed",
    "compare": "names measures parts",
    "calibrate": "profile losses actions makespans_us",
    "whatif": "grid complete rows",
    "capacity": "model device devices goal fps rows",
    "estimate": "fps period_us first_frame_ms limit devices",
    "models": "models",
    "devices": "devices links",
    "patterns": "model patterns",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_json_is_one_document_that_names_its_schema(name: str, made: dict[str, str]) -> None:
    told = call(name, *asked(name, made), "--json")
    assert told.exit_code == 0, told.output
    assert told.stdout.count("\n") == 1
    data = json.loads(told.stdout)
    assert data["schema_name"].startswith("blockcascade.")
    assert set(KEYS[name].split()) <= set(data)
    assert call(name, *asked(name, made), "--json").stdout == told.stdout


@pytest.mark.parametrize("name", QUICK)
def test_piped_there_is_neither_colour_nor_box(name: str, made: dict[str, str]) -> None:
    """Even where the environment speaks of a terminal."""
    env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "40"}
    told = CliRunner().invoke(cli, [name, *asked(name, made)], env=env)
    assert told.exit_code == 0, told.output
    text = told.stderr if name in ("report", "plan") else told.output
    assert ESCAPE not in text
    assert not set("│┃┏└─") & set(text)


def test_standard_output_holds_one_document(made: dict[str, str]) -> None:
    both = [made["problem"], made["plan"]]
    for words in (
        ["plan", made["problem"], "--json", "-o", "-"],
        ["plan", made["problem"], "--save-problem", "-"],
        ["simulate", *both, "--json", "-o", "-"],
        ["simulate", *both, "--json", "--runs", "3", "-o", "-"],
        ["calibrate", *both, made["trace"], "--json", "-o", "-"],
        ["estimate", made["system"], "--json", "--save-problem", "-"],
        ["run", *both, "--prompt", "x", "--json", "--stream", "-"],
    ):
        told = call(*words)
        assert told.exit_code == 2, words
        assert "only one of them can go to standard output" in told.stderr
        assert told.stdout == ""


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_unknown_flag_is_told_in_a_line(name: str) -> None:
    told = call(name, "--no-such-flag")
    assert told.exit_code == 2
    assert told.stderr.startswith("error: No such option '--no-such-flag'")
    assert told.stderr.endswith(f"see 'cli {name} --help'\n")
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted(set(QUICK) - {"models", "devices", "patterns", "completion", "capacity"}))
def test_an_unknown_file_is_told_in_a_line(name: str, made: dict[str, str]) -> None:
    words = ["no-such.json" if Path(word).is_absolute() else word for word in asked(name, made)]
    words = ["no-such.yaml"] if name == "whatif" else words
    told = call(name, *words)
    assert told.exit_code == 2, told.output
    assert told.stderr.startswith("error: no-such.")
    assert "no such file" in told.stderr
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plann"], "Did you mean 'plan'?"),
        (["plan", "--modell", "toy"], "--model"),
        (["plan", "--count", "two"], "Invalid value for '--count': 'two' is not a valid integer"),
        (["check", "one.json"], "Missing argument 'PLAN'"),
        (["models", "toi"], "did you mean 'toy'"),
        (["patterns", "toi"], "did you mean 'toy'"),
        (["models", "no-such.yaml"], "no-such.yaml: no such file"),
        (["completion", "csh"], "'csh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_what_is_nearly_right_is_named(words: list[str], expected: str) -> None:
    told = call(*words)
    assert told.exit_code == 2
    assert expected in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_broken_plan_as_json(made: dict[str, str], tmp_path: Path) -> None:
    plan = json.loads(Path(made["plan"]).read_text())
    plan["ranks"][0] = plan["ranks"][0][1:]
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(plan))
    told = call("check", made["problem"], str(broken), "--json")
    assert told.exit_code == 1
    assert any("b0.s0" in line for line in json.loads(told.stdout)["broken"])


@pytest.mark.parametrize("words", [["models"], ["devices", "--json"], ["plan", *TOY], ["--help"]])
def test_a_reader_who_has_seen_enough_is_not_scolded(words: list[str]) -> None:
    """A pipe whose other end is closed, as by `| head`."""
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "executor.cli", *words]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def test_ctrl_c_has_its_own_exit_code_wherever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while words are read, before a command runs."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse_args", interrupted)
    told = call("models")
    assert told.exit_code == 130
    assert told.stdout == ""
