"""`blockcascade estimate` and latencies by hand wherever a profile may be named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from executor.cli import cli
from executor.commands.estimate import EXAMPLE
from planner.latencies import Latencies
from planner.problem import Problem
from planner.system import System

SYSTEM = """
name: mine
model: {window: 6}
price_per_hour: 3
blocks: 4
latencies: {pass_ms: 100, clean_ms: 90, decode_ms: 60}
"""


def call(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=given)


@pytest.fixture
def system_file(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(SYSTEM)
    return str(path)


def test_a_page_of_yaml_is_answered_by_a_table(system_file: str) -> None:
    told = call("estimate", system_file)
    assert told.exit_code == 0, told.stderr
    for words in ("mine", "550.000 ms a block of 12 frames", "21.82", "24.49", "460.0 ms", "1.364", "money"):
        assert words in told.stdout
    assert "clip of 4 blocks" in told.stdout


def test_json_holds_the_same_figures(system_file: str) -> None:
    found = json.loads(call("estimate", system_file, "--json").stdout)
    assert (found["period_us"], found["first_frame_ms"]) == ("550000", 460.0)
    assert found["fps"] == pytest.approx(12 / 0.55)
    assert found["fps_without_decode"] == pytest.approx(12 / 0.49)


def test_where_pixels_are_in_the_loop_the_table_says_so() -> None:
    page = "{pattern: sequential-recompute, model: {window: 6}, latencies: {pass_ms: 9, recompute_ms: 5, decode_ms: 3}}"
    assert "the next block needs the pixels" in call("estimate", "-", given=page).stdout


def test_the_problem_goes_on_to_the_other_commands(system_file: str, tmp_path: Path) -> None:
    out = tmp_path / "problem.json"
    assert call("estimate", system_file, "--save-problem", str(out)).exit_code == 0
    assert Problem.from_json(out.read_text()).workload.blocks == 4
    planned = call("plan", str(out), "--pattern", "sequential", "-o", str(tmp_path / "plan.json"))
    assert planned.exit_code == 0, planned.stderr
    assert "a block every 550 ms" in planned.stdout


def test_the_example_can_be_answered_and_names_every_field() -> None:
    written = call("estimate", "--example").stdout
    assert written == EXAMPLE
    told = call("estimate", "-", given=written)
    assert told.exit_code == 0, told.stderr
    fields = (set(System.model_fields) | set(Latencies.model_fields)) - {"schema_name"}
    assert [name for name in sorted(fields) if f"{name}:" not in written and name not in written] == []


def test_every_line_of_the_example_is_true_when_it_is_taken_in() -> None:
    """Each field that is commented out is one that the page understands."""
    for line in (line for line in EXAMPLE.splitlines() if line.lstrip().startswith("# ")):
        value = yaml.safe_load(line.replace("# ", "", 1))
        kind = Latencies if line.startswith("  ") else System
        assert set(value) <= set(kind.model_fields), line


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("latencies: {pass_ms: -5}", "latencies.pass_ms.0.1: Input should be greater than 0"),
        ("latencies: {}", "pass_ms, tick_ms: give one of them"),
        ("{}", "latencies: Field required"),
        ("latencies: {pass_ms: 5}\nstep: 4", "step: unknown key, remove it"),
        ("[1, 2]", "Input should be a valid dictionary"),
        ("latencies: {pass_ms: 5, speed: 3}", "latencies.speed: unknown key"),
        ("latencies: {pass_ms: 5}\nplacement: step+decoder:3\npattern: cascade:1", "needs at least 4 ranks"),
    ],
)
def test_a_bad_page_is_one_line(page: str, told: str) -> None:
    found = call("estimate", "-", given=page)
    assert found.exit_code == 2
    assert found.stderr.count("\n") == 1
    assert told in found.stderr


def test_without_a_page_the_way_to_one_is_named() -> None:
    found = call("estimate")
    assert found.exit_code == 2
    assert "--example writes one" in found.stderr


@pytest.mark.parametrize("schema", ["", "schema_name: blockcascade.latencies/1\n"])
def test_latencies_stand_for_a_profile(tmp_path: Path, schema: str) -> None:
    page = tmp_path / "parts.yaml"
    page.write_text(schema + "pass_ms: 100\nclean_ms: 90\ndecode_ms: 60\n")
    words = ["plan", "--model", "self-forcing-1.3b", "--pattern", "sequential", "-o", str(tmp_path / "plan.json")]
    told = call(*words, "--profile", str(page))
    assert told.exit_code == 0, told.stderr
    assert "a block every 550 ms" in told.stdout
    problem = tmp_path / "problem.yaml"
    problem.write_text("model: self-forcing-1.3b\ncluster: {device: h100}\nworkload: {blocks: 7}\n")
    again = call(
        "plan", str(problem), "--pattern", "sequential", "-o", str(tmp_path / "p.json"), "--profile", str(page)
    )
    assert again.exit_code == 0, again.stderr
    assert again.stdout == told.stdout


def test_latencies_that_name_only_a_tick_ask_for_a_pass(tmp_path: Path) -> None:
    page = tmp_path / "parts.yaml"
    page.write_text("tick_ms: 100\n")
    told = call("plan", "--model", "self-forcing-1.3b", "--profile", str(page))
    assert told.exit_code == 2
    assert "tick_ms: no pattern is named; give pass_ms" in told.stderr
