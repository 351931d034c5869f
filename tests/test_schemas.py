"""The JSON Schemas of docs/schemas are current, take the files that the software takes, and refuse what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.patterns import all_patterns
from planner.problem import Problem
from planner.search import plan
from planner.simulate import simulate
from planner.value import Document
from planner.workload import Workload
from tests.docs.page import DOCS
from tests.docs.schemas import FOLDER, KINDS, name_of, schema

EXAMPLES = Path(__file__).parents[1] / "examples"
BY_HAND = {
    "stream.yaml": "problem",
    "two-nodes.yaml": "problem",
    "mixed.yaml": "problem",
    "latencies.yaml": "latencies",
    "system.yaml": "system",
    "rough-day.yaml": "conditions",
    "grid.yaml": "grid",
}


def faults(name: str, data: Any) -> list[str]:
    """What a file's schema says against data, read as JSON."""
    checker = jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()))
    return [f"{list(found.absolute_path)}: {found.message[:200]}" for found in checker.iter_errors(data)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_schema_is_current(kind: type[Document]) -> None:
    assert (FOLDER / name_of(kind)).read_text() == schema(kind), "python -m tests.docs.write makes it anew"
    assert f"schemas/{name_of(kind)}" in (DOCS / "files.md").read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(schema(kind)))


@pytest.mark.parametrize(("name", "kind"), BY_HAND.items())
def test_a_file_by_hand_is_as_its_schema_says(name: str, kind: str) -> None:
    assert faults(kind, _plain(yaml.safe_load((EXAMPLES / name).read_text()))) == []


def test_systems_of_the_docs_are_as_their_schema_says() -> None:
    written = re.findall(r"```yaml\n(.*?)```", (DOCS / "estimate.md").read_text(), re.DOTALL)
    assert [fault for text in written for fault in faults("system", _plain(yaml.safe_load(text)))] == []


def test_what_the_software_writes_is_as_its_schema_says() -> None:
    spec = load_spec("toy")
    problem = Problem(model=spec, cluster=Cluster.of("cpu-core", 3), workload=Workload(blocks=4))
    assert faults("problem", json.loads(problem.to_json())) == []
    for pattern in all_patterns(spec):
        found = plan(problem, pattern=pattern)
        assert faults("plan", json.loads(found.to_json())) == []
        assert faults("trace", json.loads(simulate(found, problem).to_json())) == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("problem", {"model": "toy", "cluster": {"device": "h100", "cuont": 2}, "workload": {"blocks": 1}}),
        ("problem", {"model": "toy", "cluster": {"device": "h100"}, "workload": {"blocks": 0}}),
        ("latencies", {"pass_ms": []}),
        ("latencies", {"pass_ms": {"0": -1}}),
        ("grid", {"model": "toy", "counts": 3}),
        ("conditions", {"turns": "random"}),
        ("conditions", {"jitter": {"passes": {"sigma": 3}}}),
    ],
    ids=str,
)
def test_what_is_refused_is_refused_by_the_schema(kind: str, data: dict[str, Any]) -> None:
    assert faults(kind, data)


@pytest.mark.parametrize("action", ["denoise 3", "decode b3 and more", "send kv b3.s2 to 1", "Commit b3"])
def test_a_row_that_is_no_action_is_refused(action: str) -> None:
    rows = json.loads((FOLDER / "trace.json").read_text())["properties"]["ranks"]["items"]["items"]
    checker = jsonschema.Draft202012Validator(rows)
    assert checker.is_valid(["denoise b3.s2", 0, 5])
    assert not checker.is_valid([action, 0, 5])
    assert not checker.is_valid(["denoise b3.s2", 0])
    assert not checker.is_valid(["denoise b3.s2", 0, -5])


def _plain(data: Any) -> Any:
    """As JSON has it: keys are text."""
    return json.loads(json.dumps(data))
