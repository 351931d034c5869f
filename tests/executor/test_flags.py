"""Flags of a problem that say how ranks send."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from executor.cli import cli


def test_kv_transfer_is_planned_for(tmp_path: Path) -> None:
    made = []
    for number, extra in enumerate(([], ["--kv-transfer", "full"], ["--kv-transfer", "fp8"])):
        place = tmp_path / f"{number}.json"
        flags = ["plan", "--model", "toy", "--device", "cpu-core", "--count", "2", "--blocks", "3", "-o", str(place)]
        result = CliRunner().invoke(cli, [*flags, *extra], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        made.append(json.loads(place.read_text())["problem_digest"])
    assert made[0] == made[1] != made[2]


def test_a_problem_file_says_it_already(tmp_path: Path) -> None:
    problem = tmp_path / "problem.yaml"
    problem.write_text("model: toy\ncluster: {device: cpu-core, count: 2}\nworkload: {blocks: 3}\nkv_transfer: fp8\n")
    result = CliRunner().invoke(cli, ["plan", str(problem), "-o", str(tmp_path / "plan.json")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["plan", str(problem), "--kv-transfer", "full"])
    assert result.exit_code == 2
    assert "--kv-transfer: the problem file says that already" in result.output
