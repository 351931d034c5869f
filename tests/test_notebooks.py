"""The notebooks as git has them: without outputs, to be read in a diff and on a screen; `make notebooks` runs them.

Claims: valid, no outputs or counts, ids that stay, short cells, one idea each, nothing of one machine, names that the
packages have, links that lead somewhere; the published figures have a source and name what the catalogs know.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from models.catalog import load_spec
from planner.cluster import Cluster

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CODE_LINES, TEXT_CHARACTERS = 26, 700  # of a cell at most
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
OURS = ("executor", "models", "planner")
# A path from the root or the home of some machine; not a part of an address, of markup or of a relative path.
_ABSOLUTE = re.compile(r"(?<![\w.<~/:])(?:~|[A-Za-z]:\\)?/(?:home|Users|root|work|tmp|opt|mnt|var|usr|data)\b")
_LINK = re.compile(r"\]\(([^)#:]+)\)")
PUBLISHED = {"name", "model", "device", "devices", "fps", "differs", "source"}
MAY_SAY = {"derived", "priced_as", "first_frame_s"}


def faults(text: str) -> Iterator[str]:
    """What is wrong with a notebook's file, a line each."""
    ids = [cell["id"] for cell in json.loads(text)["cells"]]
    if len(set(ids)) < len(ids):
        yield "ids: one is there twice"  # nbformat mends that with a warning
        return
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    if text != nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n":  # type: ignore[no-untyped-call]
        yield "file: not as nbformat writes it; make strip"
    if notebook.metadata != METADATA:
        yield "metadata: more than the kernel and the language; make strip"
    if not re.match(r"# \w", notebook.cells[0].source):
        yield "first cell: no title"
    for cell in notebook.cells:
        yield from (f"{cell.id}: {fault}" for fault in _cell_faults(cell))


def _cell_faults(cell: Any) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell.id):
        yield "an id that a tool made up"
    if cell.metadata:
        yield "has metadata"
    if _ABSOLUTE.search(cell.source):
        yield "names a place on one machine"
    if cell.cell_type != "code":
        if len(cell.source) > TEXT_CHARACTERS:
            yield f"{len(cell.source)} characters"
        return
    if cell.outputs or cell.execution_count is not None:
        yield "has outputs; make strip"
    if cell.source.count("\n") >= CODE_LINES:
        yield f"{cell.source.count(chr(10)) + 1} lines"
    if re.search(r"^\s*[!%]", cell.source, re.MULTILINE):
        yield "runs a command of its own"
    else:
        yield from _names_missing(ast.parse(cell.source))


def _names_missing(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
            module = importlib.import_module(node.module)
            yield from (f"{node.module} has no {item.name}" for item in node.names if not hasattr(module, item.name))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_plan", "02_execute", "03_capacity"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_ready_to_be_read(path: Path) -> None:
    assert list(faults(path.read_text())) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from planner.plan import Plans", "planner.plan has no Plans"),
        ("a = 1\n" * CODE_LINES + "a", f"{CODE_LINES + 1} lines"),
        ("open('/home/me/plan.json')", "names a place on one machine"),
        ("open('/tmp/plan.json')", "names a place on one machine"),
        ("!pip install it", "runs a command of its own"),
        ("1 / 2  # a </table> and https://host/tmp", None),
    ],
)
def test_faults_of_code_are_found(source: str, fault: str | None) -> None:
    data = json.loads(NOTEBOOKS[0].read_text())
    data["cells"][1]["source"] = source
    found = list(faults(_written(data)))
    assert found == ([] if fault is None else [f"imports: {fault}"])


def test_outputs_counts_and_random_ids_are_found() -> None:
    data = json.loads(NOTEBOOKS[0].read_text())
    output = {"output_type": "stream", "name": "stdout", "text": ["1\n"]}
    data["cells"][1] |= {"outputs": [output], "execution_count": 3, "id": "0A1b2c3d"}
    assert list(faults(_written(data))) == [
        "0A1b2c3d: an id that a tool made up",
        "0A1b2c3d: has outputs; make strip",
    ]


def test_what_a_tool_adds_and_long_text_are_found() -> None:
    data = json.loads(NOTEBOOKS[0].read_text())
    data["metadata"]["language_info"]["version"] = "3.11.9"
    next(cell for cell in data["cells"] if cell["id"] == "next")["source"] = "x" * (TEXT_CHARACTERS + 1)
    assert list(faults(json.dumps(data))) == [
        "file: not as nbformat writes it; make strip",
        "metadata: more than the kernel and the language; make strip",
        f"next: {TEXT_CHARACTERS + 1} characters",
    ]


def test_an_id_twice_is_found() -> None:
    data = json.loads(NOTEBOOKS[0].read_text())
    data["cells"][3]["id"] = data["cells"][0]["id"]
    assert list(faults(json.dumps(data))) == ["ids: one is there twice"]


def _written(data: dict[str, Any]) -> str:
    notebook = nbformat.from_dict(data)  # type: ignore[no-untyped-call]
    return str(nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False)) + "\n"  # type: ignore[no-untyped-call]


# -- what is published -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load((ROOT / "notebooks" / "published.yaml").read_text())
    return rows


def test_every_published_figure_has_a_source_and_what_the_catalogs_know(published: list[dict[str, Any]]) -> None:
    for row in published:
        assert PUBLISHED <= set(row) <= PUBLISHED | MAY_SAY, row["name"]
        assert row["fps"] > 0
        assert row["devices"] > 0
        assert len(row["source"]) > 10
        load_spec(row["model"])
        assert Cluster.of(row.get("priced_as", row["device"]), 1).devices[0].price_per_hour > 0


def test_published_figures_are_those_that_the_planner_is_checked_against(published: list[dict[str, Any]]) -> None:
    known = yaml.safe_load((ROOT / "tests" / "planner" / "cases" / "published.yaml").read_text())
    fps = {(row["name"], row["model"]): row["fps"] for row in published}
    for model in known["block-cascading-headline"]["models"]:
        alone = {"self-forcing-1.3b": "Self-Forcing", "krea-realtime-14b": "Krea realtime"}[model["name"]]
        assert fps[alone, model["name"]] == model["fps_sequential"]
        assert fps["Block Cascading", model["name"]] == model["fps_cascade"]
    assert fps["LiveAvatar", "krea-realtime-14b"] == known["liveavatar-ttff"]["fps"]
    assert fps["WaveForcing", "self-forcing-1.3b"] == known["wavert-1.3b-bf16"]["e2e_fps"]["causal_sync"]
    blocks = known["flashdreams-self-forcing-a100"]
    block_ms = blocks["four_denoise_passes"][6] + blocks["clean_pass"][-1] + blocks["decode"]
    assert fps["FlashDreams", "self-forcing-1.3b"] == pytest.approx(12_000 / block_ms, rel=0.002)
    assert fps["LongLive", "self-forcing-1.3b"] == pytest.approx(12_000 / known["longlive-window"]["blocks"][-1], 0.005)
