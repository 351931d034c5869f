"""docs/estimate.md: every system on the page comes to what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from planner.estimate import estimate
from planner.latencies import Latencies
from planner.system import System

PAGE = Path(__file__).parents[2] / "docs" / "estimate.md"
SYSTEMS = re.findall(r"```yaml\n(.*?)# (.*?)\n```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("place", range(len(SYSTEMS)))
def test_a_system_comes_to_what_the_page_says(place: int) -> None:
    written, told = SYSTEMS[place]
    found = estimate(System.from_data(yaml.safe_load(written), PAGE.name))
    expected = {name: float(value) for name, value in (item.split(": ") for item in told.split(", "))}
    assert "period_ms" in expected
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, abs=0.05)


def test_the_page_has_its_systems_and_names_every_latency() -> None:
    assert len(SYSTEMS) == 9
    fields = set(Latencies.model_fields) - {"schema_name", "source"}
    assert [name for name in sorted(fields) if name not in PAGE.read_text()] == []
