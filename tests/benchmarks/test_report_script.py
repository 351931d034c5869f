"""The report's benchmark runs through with a short plan; how quick it is is not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import report as bench
from tests.planner.pictures.browser import MISSING, is_there


@pytest.mark.skipif(not is_there(), reason=MISSING)
def test_every_section_runs_and_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "RECORD.md"
    bench.main(["--quick", "--out", str(out)])
    text = out.read_text()
    assert "failed" not in text, text
    assert text.startswith("# Report benchmark\n")
    assert " fps |" in text


def test_its_plan_has_as_many_actions_as_it_says() -> None:
    made = bench.case(800)
    assert sum(row.action.is_compute for rows in made.plan.ranks for row in rows) == 800
    made.trace.require(made.plan)
