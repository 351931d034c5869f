"""`blockcascade compare` and `replay` as a stranger meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.cli import cli
from planner.compare import Comparison
from planner.replay import Replayed

TOY = ["--model", "toy", "--device", "cpu-core", "--blocks", "3", "--pattern", "cascade:1"]


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two problems, their plans, and two simulations of the first."""
    folder = tmp_path_factory.mktemp("made")
    for count in ("2", "3"):
        files = ["-o", str(folder / f"plan{count}"), "--save-problem", str(folder / f"problem{count}")]
        assert call("plan", *TOY, "--count", count, *files).exit_code == 0
    for seed in ("1", "2"):
        words = ["--jitter", "0.2", "--seed", seed, "-o", str(folder / f"trace{seed}")]
        assert call("simulate", str(folder / "problem2"), str(folder / "plan2"), *words).exit_code == 0
    return folder


def table(text: str, width: int) -> dict[str, list[str]]:
    lines = [re.split(r" {2,}", line) for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if len(cells) == width}


def test_two_plans(made: Path) -> None:
    both = ["--problem", str(made / "problem2"), "--problem", str(made / "problem3")]
    result = call("compare", str(made / "plan2"), str(made / "plan3"), *both)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("two plans\n")
    assert table(result.stdout, 3)["cluster.devices.count"] == ["2", "3"]
    for name in ("fps, whole clip", "deadline attainment", "peak memory r2", "denoise"):
        assert len(table(result.stdout, 4)[name]) == 3


def test_two_traces(made: Path) -> None:
    words = ["--problem", str(made / "problem2"), "--plan", str(made / "plan2")]
    result = call("compare", str(made / "trace1"), str(made / "trace2"), *words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("two traces\nproblem and plan are the same\n")
    found = Comparison.from_json(call("compare", str(made / "trace1"), str(made / "trace2"), *words, "--json").stdout)
    one, other = found.measures
    assert sum(part.makespan_us for part in found.parts) == other.makespan_us - one.makespan_us != 0


def test_a_plan_as_text_against_its_run(made: Path, tmp_path: Path) -> None:
    from planner.files import read_plan

    text = tmp_path / "plan.txt"
    text.write_text(read_plan(str(made / "plan2")).to_text())
    result = call("compare", str(text), str(made / "trace1"), "--problem", str(made / "problem2"))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("plan against trace\n")
    assert "slow pass" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("plan2", "plan3", "--problem", "problem2"), "add it with --problem FILE"),
        (("trace1", "trace2", "--problem", "problem2"), "add it with --plan FILE"),
        (("problem2", "trace1"), "schema_name is 'blockcascade.problem/1', not blockcascade.plan/2 or"),
        (("plan2", "nowhere", "--problem", "problem2"), "nowhere: no such file"),
    ],
)
def test_what_cannot_be_compared_is_told_in_a_line(made: Path, words: tuple[str, ...], told: str) -> None:
    result = call("compare", *(word if word.startswith("-") else str(made / word) for word in words))
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


# -- replay --------------------------------------------------------------------------------------


def replay(made: Path, *words: str) -> Result:
    return call("replay", *(str(made / name) for name in ("problem2", "plan2", "trace1")), *words)


def test_drift_comes_before_any_what_if(made: Path) -> None:
    result = replay(made, "--scale", "decode=0.5", "--no-jitter")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("drift of the replay: +0.000% of the measured makespan; +0.000% with everything")
    rows = table(result.stdout, 5)
    assert rows["replayed"] == rows["simulated"]
    assert rows["decode x 0.5"][3].startswith("-")
    assert "decode x 0.5, no jitter" in rows


def test_replay_as_json(made: Path) -> None:
    result = replay(made, "--no-gaps", "--no-waits", "--scale", "transfers=2", "--json")
    assert result.exit_code == 0, result.stderr
    found = Replayed.from_json(result.stdout)
    assert [outcome.what for outcome in found.outcomes] == [
        "transfers x 2",
        "no gaps",
        "no waits",
        "transfers x 2, no gaps, no waits",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scale", "decode"), "scale 'decode': not like 'decode=0.5'"),
        (("--scale", "r2=2"), "the plan has ranks r0 to r1"),
        (("--tolerance", "2"), "--tolerance: must be a share from 0 to 1, not 2.0"),
        (("--tolerance", "nan"), "--tolerance: must be a share from 0 to 1, not nan"),
    ],
)
def test_what_cannot_be_changed_is_told(made: Path, words: tuple[str, ...], told: str) -> None:
    result = replay(made, *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_drift_is_refused(made: Path, tmp_path: Path) -> None:
    data = json.loads((made / "trace1").read_text())
    ends = [row for rank in data["ranks"] for row in rank if row[0].startswith("free")]
    ends[-1][1:] = [10**7, 10**7]
    late = tmp_path / "late.json"
    late.write_text(json.dumps(data))
    words = ["replay", str(made / "problem2"), str(made / "plan2"), str(late)]
    result = call(*words, "--scale", "decode=0.5")
    assert result.exit_code == 2
    assert "so no what-if on it can be trusted" in result.stderr
    assert result.stdout == ""
    assert call(*words, "--tolerance", "1").exit_code == 0
