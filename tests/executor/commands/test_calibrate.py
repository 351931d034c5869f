"""`blockcascade calibrate` as a stranger meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli import cli
from planner.calibrate import Calibration
from planner.problem import Problem

TOY = ["--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "3"]
PLACED = ["--pattern", "cascade:1", "--placement", "block"]


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def played(tmp_path: Path) -> tuple[str, str, str]:
    """A problem, its plan, and a jittery simulation of it."""
    problem, plan, trace = (str(tmp_path / f"{name}.json") for name in ("problem", "plan", "trace"))
    assert call("plan", *TOY, *PLACED, "-o", plan, "--save-problem", problem).exit_code == 0
    assert call("simulate", problem, plan, "--jitter", "0.2", "-o", trace).exit_code == 0
    return problem, plan, trace


def test_it_tells_where_the_time_went(played: tuple[str, str, str]) -> None:
    result = call("calibrate", *played)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("note: simulated;")
    for word in ("denoise, 0 read", "decode, first", "kv sent", "planned busy ms", "r1"):
        assert word in result.stdout
    lines = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    table = {cells[0]: cells[1] for cells in lines if len(cells) > 1}
    causes = ["slow pass", "slow decode", "imbalance", "jitter", "exposed transfer", "posting", "waiting for data"]
    parts = [int(table[cause]) for cause in (*causes, "launch gaps", "rest")]
    assert sum(parts) == int(table["simulated"]) - int(table["planned"]) != 0


def test_a_measured_trace_gets_no_note(played: tuple[str, str, str]) -> None:
    trace = Path(played[2])
    trace.write_text(json.dumps(json.loads(trace.read_text()) | {"kind": "measured"}))
    result = call("calibrate", *played)
    assert result.exit_code == 0, result.stderr
    assert "note:" not in result.stderr
    assert "\nmeasured  " in result.stdout


def test_it_closes_the_loop(played: tuple[str, str, str], tmp_path: Path) -> None:
    profile, problem, plan = (str(tmp_path / name) for name in ("profile.yaml", "again.json", "plan2.json"))
    told = call("calibrate", *played, "-o", profile, "--save-problem", problem)
    assert told.exit_code == 0, told.stderr
    assert call("plan", problem, "-o", plan).exit_code == 0
    assert call("check", problem, plan).exit_code == 0
    assert call("plan", *TOY, "--profile", profile).stdout == Path(plan).read_text()
    new, old = (Problem.from_json(Path(path).read_text()) for path in (problem, played[0]))
    assert new.model_copy(update={"profile": None}) == old


def test_all_of_it_as_json(played: tuple[str, str, str]) -> None:
    result = call("calibrate", *played, played[2], "--json")
    assert result.exit_code == 0, result.stderr
    found = Calibration.from_json(result.stdout)
    assert len(found.makespans_us) == 2
    assert sum(part.makespan_us for part in found.losses.parts) == found.losses.whole_us
    assert result.stderr == ""


def test_another_plans_trace_is_refused(played: tuple[str, str, str], tmp_path: Path) -> None:
    problem, _, trace = played
    other = str(tmp_path / "other.json")
    assert call("plan", problem, "--pattern", "sequential", "-o", other).exit_code == 0
    result = call("calibrate", problem, other, trace)
    assert result.exit_code == 2
    assert "trace: of plan" in result.stderr


def test_half_a_run_is_refused(played: tuple[str, str, str], tmp_path: Path) -> None:
    trace = Path(played[2])
    short = json.loads(trace.read_text())
    short["ranks"][0].pop()
    trace.write_text(json.dumps(short))
    result = call("calibrate", *played, "-o", str(tmp_path / "profile.json"))
    assert result.exit_code == 2
    assert "trace: rank 0 lacks" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "profile.json").exists()


def test_a_trace_is_asked_for(played: tuple[str, str, str]) -> None:
    assert call("calibrate", *played[:2]).exit_code == 2
