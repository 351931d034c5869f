"""`blockcascade whatif`: the answer, what it writes, what it refuses, and Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from executor.cli import cli
from planner.sweeping.row import Row

TOY = ("whatif", "--model", "toy", "--device", "cpu-core")
LARGE = (
    "--model",
    "self-forcing-1.3b",
    "--device",
    "h100,a100",
    "--count",
    "1-8",
    "--steps",
    "2-5",
    "--link",
    "nvlink4,pcie5",
)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def test_which_is_cheapest() -> None:
    result = run("whatif", "--model", "krea-realtime-14b", "--device", "h100,a100", "--count", "1-5", "--min-fps", "16")
    assert result.exit_code == 0, result.output
    first, source, *_ = result.stdout.splitlines()
    assert first.startswith("cheapest with fps >= 16: 5 x h100 with sequential on free+decoder*ulysses:4")
    assert source.startswith("from: data sheet of h100")
    assert "unsure: at the low end of the interval" in result.stdout
    assert "10 of 10 points: 2 ok, 8 miss a limit, all can run" in result.stdout
    assert "misses fps" in result.stdout


def test_nothing_can_run() -> None:
    result = run("whatif", "--model", "wan-14b", "--device", "4090")
    assert result.exit_code == 0
    assert "1 cannot run" in result.stdout
    assert "0 sessions: weights and working memory 29.3 GB + K/V of one pass 26.8 GB > 24.0 GB" in result.stdout


def test_no_limit_is_kept() -> None:
    result = run(*TOY, "--min-fps", "1e6")
    assert "nothing with fps >= 1000000; nearest: 1 x cpu-core" in result.stdout


def test_tables() -> None:
    result = run(*TOY, "--count", "1-2", "--pareto", "fps,money", "--sensitivity", "fps", "--sessions")
    assert result.exit_code == 0, result.output
    assert "none beats these in fps, money" in result.stdout
    assert "what moves the best row most" in result.stdout
    assert "sessions as placed" in result.stdout
    assert "fps, steady (low-high)" in result.stdout


def test_the_fps_that_is_judged_is_shown() -> None:
    """A limit is on the steady one, the objective makespan on that of the whole clip."""
    asked = (*TOY, "--blocks", "2", "--objective", "makespan")
    (row,) = csv.DictReader(io.StringIO(run(*asked, "--csv").stdout))
    steady, whole = float(row["steady_fps"]), float(row["fps"])
    assert steady < whole
    between = (steady + whole) / 2
    missed = run(*asked, "--min-fps", str(between)).stdout
    assert f"{steady:.1f} fps" in missed
    assert f"misses fps {steady:.4g}" in missed
    assert f"{steady:.1f} fps" in run(*asked).stdout.splitlines()[0]
    assert run(*asked).stdout.splitlines()[0].endswith(f", {whole:.1f} fps over the whole clip")


def test_json() -> None:
    result = run(*TOY, "--count", "1-2", "--json", "--pareto", "fps,devices", "--sensitivity", "money")
    data = json.loads(result.stdout)
    assert [row["point"] for row in data["rows"]] == [0, 1]
    assert set(data["rows"][0]) == set(Row._fields)
    assert data["complete"]
    assert data["pareto"]
    assert {item["name"] for item in data["sensitivity"]} >= {"pass time", "decode time", "devices"}
    assert data["sensitivity"][0]["now"]["fps"] > 0


def test_csv() -> None:
    result = run(*TOY, "--count", "1-2", "--csv")
    assert [line["count"] for line in csv.DictReader(io.StringIO(result.stdout))] == ["1", "2"]


def test_a_grid_file_and_flags(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(yaml.safe_dump({"model": "toy", "device": ["cpu-core"], "count": "1-2"}))
    result = run("whatif", str(path), "--price", "3", "--no-decode", "--csv")
    lines = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(line["price_per_hour"], line["decode"]) for line in lines] == [("3.0", "False")] * 2
    clash = run("whatif", str(path), "--count", "3")
    assert clash.exit_code == 2
    assert "--count:" in clash.stderr
    assert "says that already" in clash.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("whatif",), "model: name at least one"),
        (("whatif", "--model", "toyy"), "did you mean 'toy'"),
        ((*TOY, "--count", "1-2000", "--blocks", "1-2000"), "4,000,000 points, at most 1,000,000"),
        ((*TOY, "--count", ","), "count: empty"),
        ((*TOY, "--pareto", "fps"), "pareto: name two or more"),
        ((*TOY, "--resume"), "--resume: name the file"),
        ((*TOY, "--json", "--csv"), "--json, --csv: one of them"),
        ((*TOY, "--profile", "none-there.json"), "none-there.json: no such file"),
        (("whatif", "none-there.yaml"), "none-there.yaml: no such file"),
        (("whatif", "--model", "wan-14b", "--device", "4090", "--sensitivity", "fps"), "no point can run"),
    ],
)
def test_what_cannot_be_asked(words: tuple[str, ...], told: str) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert told in result.stderr


def test_plan_in_full() -> None:
    result = run(*TOY, "--blocks", "3", "--exact", "--json")
    assert [row["method"] for row in json.loads(result.stdout)["rows"]] == ["plan"]


def test_by_a_hand_written_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("pass_ms: 10\ndecode_ms: 5\nsource: my log\n")
    result = run(*TOY, "--profile", str(path), "--json")
    (row,) = json.loads(result.stdout)["rows"]
    assert row["period_us"] == 55_000
    assert "my log" in row["source"]


def test_resume_only_the_same_grid(tmp_path: Path) -> None:
    path = str(tmp_path / "rows.jsonl")
    assert run(*TOY, "-o", path).exit_code == 0
    assert "is there already" in run(*TOY, "-o", path).stderr
    assert "rows of another grid" in run(*TOY, "--count", "2", "-o", path, "--resume").stderr
    assert run(*TOY, "-o", path, "--resume").exit_code == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_and_gone_on_with(tmp_path: Path, workers: str) -> None:
    """A real Ctrl-C: all rows so far are whole, and going on gives what an undisturbed sweep gives."""
    path, whole = tmp_path / "rows.jsonl", tmp_path / "whole.jsonl"
    command = [sys.executable, "-m", "executor.cli", "whatif", *LARGE, "--workers", workers, "-o"]
    # As in a terminal: the whole group gets the signal.
    process = subprocess.Popen(
        [*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if path.exists() and path.read_bytes().count(b"\n") > 3:
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "interrupted after" in told
    assert "--resume" in told
    assert "Traceback" not in told
    kept = path.read_bytes()
    assert kept.endswith(b"\n")
    assert 4 <= kept.count(b"\n") < 129
    resumed = run("whatif", *LARGE, "--workers", "1", "-o", str(path), "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert path.read_bytes().startswith(kept)
    assert run("whatif", *LARGE, "--workers", "1", "-o", str(whole)).exit_code == 0
    assert path.read_bytes() == whole.read_bytes()
