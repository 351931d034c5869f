"""`blockcascade capacity` as a stranger meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from executor.commands.capacity import capacity

WORDS = ["--model", "self-forcing-1.3b", "--device", "h100", "--count", "2", "--length", "60"]


def call(*words: str) -> Result:
    return CliRunner().invoke(capacity, list(words))


def test_the_answer_comes_first_and_what_breaks_last() -> None:
    told = call(*WORDS)
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0].startswith(
        "2 x h100: 2 sessions of self-forcing-1.3b at 16 fps by policy single, money 2.99 a session"
    )
    assert any(line.startswith("what breaks first (single): rate: ") for line in lines)
    assert lines[-1].startswith("times: ")


def test_json_holds_the_figures() -> None:
    data = json.loads(call(*WORDS, "--policy", "group:2", "--json").stdout)
    assert data["schema_name"] == "blockcascade.capacity/1"
    assert [(row["policy"], row["sessions"], row["groups"]) for row in data["rows"]] == [("group:2", 1, [2])]


def test_a_demand_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text("arrival_s,seconds\n0,20\n1,20\n2,20\n")
    told = call(*WORDS, "--arrivals", str(path), "--policy", "single", "--prompts", "2")
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(
        "2 x h100: the file's 3 sessions not served as asked; nearest is single: admission: 33.3%"
    )
    waited = call(*WORDS, "--arrivals", str(path), "--policy", "single", "--admission", "queue:60")
    assert waited.stdout.startswith("2 x h100: the file's 3 sessions served as asked by policy single,queue:60 on 2")


def test_the_cheapest_of_several_kinds() -> None:
    told = call(
        "--model", "self-forcing-1.3b", "--device", "h200,h100", "--count", "2", "--sessions", "2", "--length", "60"
    )
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("2 sessions of self-forcing-1.3b at 16 fps: least money 2 x h100 by policy ")


def test_a_policys_own_rules_come_before_those_of_the_flags() -> None:
    asked = [*WORDS, "--policy", "single,turns,queue:60", "--policy", "shared:2,once", "--admission", "rate", "--json"]
    assert {row["policy"] for row in json.loads(call(*asked).stdout)["rows"]} == {
        "single,turns,queue:60",
        "shared:2,once,rate",
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "group:3"], "policy: group:3 needs 3 device(s), there are 2"),
        (["--policy", "double"], "policy: 'double' is none of"),
        (["--arrivals", "sometimes"], "arrivals: 'sometimes' is not"),
        (["--length", "-3"], "length: "),
        (["--jitter", "-1"], "jitter.passes.sigma"),
        (["--admission", "queue:soon"], "--admission: 'queue:soon' is not"),
        (["--attainment", "2"], "attainment"),
        (["--switch", "3"], "--switch: sessions have no common clock"),
        (["--sessions", "0"], "sessions: must be at least 1"),
        (["--sessions", "2", "--policy", "single"], "--sessions: come all at once"),
        (["--device", "h100,h200"], "--device: name one kind"),
    ],
)
def test_mistakes_in_one_line(words: list[str], told: str) -> None:
    result = call(*WORDS, *words)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert told in result.output
