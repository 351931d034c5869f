"""The simulator's benchmark runs through with a short clip; how quick it is is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import simulator as bench


def test_every_section_runs_and_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "RUNS", 50)
    out = tmp_path / "RECORD.md"
    bench.main(["--quick", "--out", str(out)])
    text = out.read_text()
    assert "failed" not in text, text
    assert text.startswith("# Simulator benchmark\n")
    assert text.count("| 2 of 2 |") == 4, text  # both conditions: as a goal, and in the table
    assert bench.case(300).actions >= 300
