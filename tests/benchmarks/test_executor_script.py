"""The executor's benchmark runs through with a tiny model; what it measures is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import executor as bench
from tests.benchmarks.empty_rank import us_per_action
from tests.tiny import TINY_SPEC


@pytest.mark.dist
def test_every_section_runs_and_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SPEC", TINY_SPEC)
    monkeypatch.setattr(bench, "BLOCKS", 3)
    out = tmp_path / "RECORD.md"
    bench.main(["--quick", "--out", str(out)])
    text = out.read_text()
    assert "failed" not in text, text
    for title in bench.SECTIONS:
        assert f"## {title}" in text
    assert text.startswith("# Executor benchmark\n")


def test_a_rank_without_work_walks_its_whole_program() -> None:
    item = bench.case(2, "cascade:1", blocks=3)
    assert 0 < us_per_action(item.plan, item.problem) < 10**5
