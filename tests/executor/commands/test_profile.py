"""`blockcascade profile` and what plans make of profiles: timed here, shipped, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from executor.cli import cli
from planner.files import write_document
from planner.profile import Profile
from tests.planner.clips import clip
from tests.planner.clips import model as by_hand
from tests.planner.test_shipped import SHIPPED
from tests.tiny import TINY_SPEC


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def spec_file(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(json.loads(TINY_SPEC.model_dump_json())))
    return str(path)


@pytest.mark.dist
def test_a_shape_of_ones_own_is_timed_and_planned_by(tmp_path: Path, spec_file: str) -> None:
    out = str(tmp_path / "profile.json")
    words = ["profile", "--model", spec_file, "--random-weights", "--prompt", "x", "--repeats", "1", "-o", out]
    told = call(*words)
    assert told.exit_code == 0, told.stderr
    for row in ("denoise, context 5", "clean pass, context 2", "decode, first", "encode", "further passes of a batch"):
        assert row in told.stdout
    assert "missing" not in told.stderr
    assert Profile.from_json(Path(out).read_text()).model == "tiny"
    planned = call("plan", "--model", spec_file, "--device", "cpu-core", "--blocks", "3", "--profile", out)
    assert planned.exit_code == 0
    assert "times: profile of tiny on cpu-core" in planned.stderr


@pytest.mark.dist
def test_what_a_limit_leaves_out_is_told_and_nothing_at_all_is_refused(spec_file: str) -> None:
    words = ["profile", "--model", spec_file, "--random-weights", "--limit"]
    refused = call(*words, "0.5")
    assert refused.exit_code == 2  # of at least a second
    told = call("profile", "--model", "toy", "--limit", "1", "--repeats", "1000")
    assert told.exit_code == 0, told.stderr
    assert Profile.from_json(told.stdout).decode.samples < 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "wan-14b"], "name them with --checkpoint"),
        (["--random-weights", "--checkpoint", "x.safetensors"], "--random-weights: there is a --checkpoint too"),
        (["--model", "no-such"], "unknown model"),
        (["--device", "gpu9000"], "unknown device"),
        (["--random-weights", "--attention", "sage_hub"], "downloads code"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], told: str) -> None:
    result = call("profile", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


# -- profiles that ship ----------------------------------------------------------------------------

H200 = ["--model", "toy", "--device", "h200", "--blocks", "3"]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_document(SHIPPED, str(tmp_path / "toy-h200.json"))
    monkeypatch.setattr("planner.shipped.FOLDER", tmp_path)


@pytest.mark.usefixtures("shipped")
def test_flags_plan_by_the_profile_that_ships_and_say_so(tmp_path: Path) -> None:
    saved = str(tmp_path / "problem.json")
    by_it = call("plan", *H200, "--save-problem", saved)
    assert by_it.exit_code == 0, by_it.stderr
    assert "times: profile of toy on h200 (NVIDIA H200)" in by_it.stderr
    assert call("plan", saved).stdout == by_it.stdout
    assert call("plan", *H200, "--profile", "shipped").stdout == by_it.stdout
    without = call("plan", *H200, "--profile", "none")
    assert "times: reckoned from the data sheet of h200" in without.stderr
    assert without.stdout != by_it.stdout
    assert call("plan", saved, "--profile", "none").stdout == without.stdout
    other = call("plan", "--model", "toy", "--device", "h100")
    assert "times: reckoned from the data sheet of h100" in other.stderr


@pytest.mark.usefixtures("shipped")
def test_a_problem_file_means_what_it_says(tmp_path: Path) -> None:
    """It is named by its digest, so no profile comes into it unasked."""
    saved = str(tmp_path / "problem.json")
    sheet = call("plan", *H200, "--profile", "none", "--save-problem", saved)
    assert call("plan", saved).stdout == sheet.stdout
    assert "(NVIDIA H200)" in call("plan", saved, "--profile", "shipped").stderr


@pytest.mark.usefixtures("shipped")
def test_a_profile_that_does_not_ship_cannot_be_asked_for() -> None:
    result = call("plan", "--model", "toy", "--device", "h100", "--profile", "shipped")
    assert result.exit_code == 2
    assert "--profile shipped: none ships for toy on h100" in result.stderr


def test_measured_profiles_of_problem_files_stay(tmp_path: Path) -> None:
    problem = clip(by_hand(2), 2)
    assert problem.profile is not None
    path = str(tmp_path / "problem.json")
    write_document(problem, path)
    assert "times: profile of by-hand on cpu-core" in call("plan", path).stderr
