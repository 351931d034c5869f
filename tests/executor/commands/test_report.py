"""`blockcascade report` as a stranger meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli import cli

TOY = ["--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "3"]


def call(*words: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["report", *words], input=given)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A problem, its plan and a simulation of it."""
    folder = tmp_path_factory.mktemp("report")
    files = {name: str(folder / f"{name}.json") for name in ("problem", "plan", "trace")}
    for words in (
        ["plan", *TOY, "--pattern", "cascade:1", "-o", files["plan"], "--save-problem", files["problem"]],
        ["simulate", files["problem"], files["plan"], "-o", files["trace"]],
    ):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.stderr
    return files


def test_a_plan_and_its_run(made: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = call(made["plan"], made["trace"], "--problem", made["problem"], "-o", str(path))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    text = path.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "Sensitivity" in text
    assert "toy: cascade:1" in text


def test_a_plan_alone_to_standard_output(made: dict[str, str]) -> None:
    result = call("-", given=Path(made["plan"]).read_bytes())
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("<!DOCTYPE html>")
    assert "Sensitivity" not in result.stdout


def test_what_cannot_be_reported(made: dict[str, str], tmp_path: Path) -> None:
    for words, error in (
        (["nowhere.json"], "nowhere.json: no such file"),
        (["-", "-"], "only one of them can be standard input"),
        ([made["problem"]], "schema_name"),
        ([made["plan"], "-o", str(tmp_path)], "cannot be written"),
    ):
        result = call(*words)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert error in result.stderr


def test_another_plans_run(made: dict[str, str], tmp_path: Path) -> None:
    other = str(tmp_path / "plan.json")
    assert CliRunner().invoke(cli, ["plan", *TOY, "--pattern", "cascade:2", "-o", other]).exit_code == 0
    result = call(other, made["trace"])
    assert result.exit_code != 0
    assert "run or simulate it again" in result.stderr
