"""Measures in print: every figure, device and link, and what is left out is said."""

from __future__ import annotations

import pytest

from executor.tell import MOST_LINKS, print_measures
from planner.measures import LinkMeasures, measure
from planner.measuring.labels import LABELS
from tests.planner.runs_by_hand import hand_made


def test_every_figure_device_and_link(capsys: pytest.CaptureFixture[str]) -> None:
    print_measures(measure(*hand_made("decoded")))
    told = capsys.readouterr()
    assert told.out == ""
    for name in (*(label.label for label in LABELS), "planned", "r0", "cpu-core", "r1 to r0", "147,456"):
        assert name in told.err
    assert "stopped" not in told.err


def test_the_links_that_carry_most_come_first_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    links = tuple(LinkMeasures(source=at, target=0, bytes=at, busy=0.0) for at in range(1, MOST_LINKS + 4))
    found = measure(*hand_made("decoded")).model_copy(update={"links": links, "stopped": "r1 was out for good"})
    print_measures(found, err=False)
    told = capsys.readouterr().out
    assert told.startswith("stopped: r1 was out for good\n")
    assert "and 3 more links, all in --json" in told
    assert f"r{MOST_LINKS + 3} to r0" in told
    assert "r3 to r0" not in told
    assert told.index("r9 to r0") > told.index("r10 to r0")
