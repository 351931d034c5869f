"""Each file of examples/ does what its line in examples/README.md says."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from executor.cli import cli

FOLDER = Path(__file__).parents[1] / "examples"
PROBLEM = "--model self-forcing-1.3b --device h100 --count 2"
LINES = [
    [cell.strip().strip("`") for cell in line.strip("|\n").split(" | ")]
    for line in (FOLDER / "README.md").read_text().splitlines()
    if line.startswith("| `")
]


def test_every_file_has_a_line() -> None:
    assert {line[0] for line in LINES} == {path.name for path in FOLDER.iterdir()} - {"README.md"}


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line[0]))
def test_an_example_is_answered(line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, command = line
    (tmp_path / "examples").symlink_to(FOLDER)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.strip(" |`"))
    assert words[0] == "blockcascade"
    assert f"examples/{name}" in words
    if "problem.json" in words:
        _answer(shlex.split(f"plan {PROBLEM} -o plan.json --save-problem problem.json"))
    _answer(words[1:])


def _answer(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words, prog_name="blockcascade")
    assert result.exit_code == 0, result.output
