"""Files: every form there is, written whole or not at all; whatever cannot be read is refused by name."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from models.catalog import load_spec
from planner import files
from planner.cluster import LINKS, Cluster
from planner.errors import InputError
from planner.files import read_any, read_document, read_plan, write_bytes, write_document
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.simulate import simulate
from planner.trace import Trace
from planner.value import Document
from planner.workload import Workload
from tests.planner.clips import clip, model

PROBLEM = clip(model(2, clean=True), 3, 2)
PLAN = plan(PROBLEM, pattern=Pattern(name="cascade", offset=1))
TRACE = simulate(PLAN, PROBLEM)
PROFILE = PROBLEM.profile
assert PROFILE is not None

SHORT = "model: toy\ncluster: {device: h100, count: 5}\nworkload: {blocks: 7}\n"


def problem_in(folder: Path, text: str, name: str = "problem.yaml") -> Problem:
    path = folder / name
    path.write_text(text)
    return read_document(Problem, str(path))


# -- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml", "plan"])
@pytest.mark.parametrize("document", [PROBLEM, PLAN, TRACE, PROFILE], ids=lambda document: type(document).__name__)
def test_documents_round_trip(tmp_path: Path, document: Document, suffix: str) -> None:
    path = tmp_path / f"document.{suffix}"
    write_document(document, str(path))
    assert read_document(type(document), str(path)) == document
    first = path.read_bytes()
    write_document(document, str(path))
    assert path.read_bytes() == first
    assert (first.decode() == document.to_json()) == (suffix not in ("yaml", "yml"))


def test_yaml_is_meant_for_people(tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    write_document(PROBLEM, str(path))
    lines = path.read_text().splitlines()
    assert lines[0] == "cluster:"
    assert lines[-5:] == ["workload:", "  blocks: 3", "  decode: true", "  encode_text: false", "  switches: []"]


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_a_plan_is_read_from_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"plan.{form}"
    forms = {
        "text": PLAN.to_text(),
        "json": PLAN.to_json(),
        "yaml": yaml.safe_dump(json.loads(PLAN.to_json())),
    }
    path.write_text(forms[form])
    assert read_plan(str(path)) == PLAN


def test_standard_streams(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    write_document(PLAN, "-")
    out = capsysbinary.readouterr().out
    assert out.decode() == PLAN.to_json()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(out)))
    assert read_plan("-") == PLAN
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SHORT.encode())))
    assert read_document(Problem, "-").cluster == Cluster.of("h100", 5)
    assert not Path("-").exists()


# -- problems written short ----------------------------------------------------------------------


def test_a_short_problem(tmp_path: Path) -> None:
    expected = Problem(model=load_spec("toy"), cluster=Cluster.of("h100", 5), workload=Workload(blocks=7))
    assert problem_in(tmp_path, SHORT) == expected
    assert problem_in(tmp_path, json.dumps(yaml.safe_load(SHORT)), "problem.json") == expected
    assert problem_in(tmp_path, SHORT, "problem").digest == expected.digest


def test_a_short_cluster_in_full(tmp_path: Path) -> None:
    text = SHORT.replace("count: 5", "count: 2, price_per_hour: 1.5, link: pcie4")
    cluster = problem_in(tmp_path, text).cluster
    assert cluster == Cluster.of("h100", 2, price_per_hour=1.5, link="pcie4")
    assert (cluster.devices[1].price_per_hour, cluster.link) == (1.5, LINKS["pcie4"])
    assert problem_in(tmp_path, SHORT.replace(", count: 5", "")).cluster.size == 1


def test_short_and_full_forms_mix(tmp_path: Path) -> None:
    data = json.loads(PROBLEM.to_json())
    data["cluster"] = {"device": "cpu-core", "count": 2}
    del data["schema_name"]
    assert problem_in(tmp_path, json.dumps(data)) == PROBLEM


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("count: 5", "count: 5.0", "cluster: count: Input should be a valid integer (got 5.0)"),
        ("count: 5", "count: true", "cluster: count: Input should be a valid integer (got True)"),
        ("count: 5", "count: many", "cluster: count: Input should be a valid integer (got 'many')"),
        ("count: 5", "count: 0", "count must be 1..4096, not 0"),
        ("count: 5", "number: 5", "cluster: number: unknown key, remove it"),
        ("h100", "h1000", "unknown device 'h1000'; did you mean 'h100'?"),
        ("count: 5", "link: string", "unknown link 'string'"),
        ("cluster: {device: h100, count: 5}", "cluster: 5", "cluster: Input should be"),
        ("cluster: {device: h100, count: 5}", "cluster: [h100, h100]", "cluster: Input should be"),
        ("model: toy", "model: 5", "model: Input should be"),
        ("blocks: 7", "blocks: 0", "workload.blocks: "),
        ("blocks: 7", "blocks: .nan", "workload.blocks: "),
        ("blocks: 7", "blocks: .inf", "workload.blocks: "),
        ("model: toy", "model: toy\nschema_name: blockcascade.problem/2", "schema_name: "),
        ("model: toy", "model: toy\nextra: 1", "extra: unknown key, remove it"),
        ("model: toy", "model: toy\n1: 1", "1: Keys should be strings"),
        ("model: toy\n", "", "model: Field required"),
    ],
)
def test_a_wrong_short_problem_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = SHORT.replace(before, after)
    assert text != SHORT
    with pytest.raises(InputError) as refused:
        problem_in(tmp_path, text)
    assert message in str(refused.value)


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model: unknown model 'tyo'; did you mean 'toy'"):
        problem_in(tmp_path, SHORT.replace("toy", "tyo"))


@pytest.mark.parametrize(
    "text",
    [
        SHORT.replace("count: 5", "price_per_hour: cheap"),
        SHORT.replace("count: 5", "price_per_hour: -1"),
        SHORT.replace("count: 5", "link: 5"),
        SHORT.replace("count: 5", "link: {kind: own, latency_us: 1, bandwidth_gbps: 1}"),
        SHORT.replace("count: 5", "1: 2, number: 3"),
        SHORT.replace("blocks: 7", "blocks: 2026-99-99"),
        SHORT.replace("blocks: 7", "blocks: " + "7" * 5000),
    ],
    ids=["price", "negative price", "link number", "link in full", "mixed keys", "no such date", "5000 digits"],
)
def test_odd_short_problems_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        problem_in(tmp_path, text)


# -- what cannot be read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.json", b"{", "not valid JSON (Expecting"),
        ("p.json", b"model: toy", "not valid JSON (Expecting"),
        ("p.yaml", b"a: b\nc: [", "neither valid JSON nor YAML at line "),
        ("p.yaml", b"model: !!python/object/apply:os.system ['true']", "neither valid JSON nor YAML at line 1"),
        ("p.yaml", b"!!python/name:os.system", "neither valid JSON nor YAML at line 1"),
        ("p.yaml", b"model: !!python/tuple [1]", "neither valid JSON nor YAML at line 1"),
        ("p.yaml", b"a: 1\n---\nb: 2\n", "neither valid JSON nor YAML"),
        ("p.yaml", b"{[1]: 2}", "neither valid JSON nor YAML"),
        ("p.yaml", b"", "p.yaml: Input should be"),
        ("p.yaml", b"seven", "p.yaml: Input should be"),
        ("p.json", b"[" * 100_000, "nested too deeply"),
        ("p.yaml", b"[" * 100_000, "nested too deeply"),
        ("p.yaml", b"a: " + b"[" * 5_000, "neither valid JSON nor YAML"),
        ("p.json", b"\xff\xfe", "not a text file"),
        ("p.json", b"7" * 5_000, "not valid JSON"),
        ("p.json", b'{"blocks": NaN}', "blocks: unknown key"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_document(Problem, str(path))
    assert str(refused.value).startswith(f"{path}: {message}") or message in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_python_tag_runs_nothing(tmp_path: Path) -> None:
    path, touched = tmp_path / "p.yaml", tmp_path / "touched"
    path.write_text(f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{touched}']]")
    with pytest.raises(InputError):
        read_plan(str(path))
    assert not touched.exists()


def test_a_document_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    write_document(PLAN, str(path))
    for kind in (Trace, Profile, Problem):
        with pytest.raises(InputError, match="schema_name: "):
            read_document(kind, str(path))
    write_document(TRACE, str(path))
    with pytest.raises(InputError, match="schema_name: "):
        read_plan(str(path))


@pytest.mark.parametrize("document", [PLAN, TRACE], ids=lambda document: type(document).__name__)
@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_file_says_what_it_is(tmp_path: Path, document: Document, suffix: str) -> None:
    path = str(tmp_path / f"any{suffix}")
    write_document(document, path)
    assert read_any(path, Plan, Trace) == document
    other = Problem if document is PLAN else Plan
    with pytest.raises(InputError, match=rf"schema_name is '{document.schema_name}', not blockcascade\.p\w+/\d; name"):
        read_any(path, other)


def test_plan_text_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plan.txt"
    path.write_text(PLAN.to_text())
    assert read_any(str(path), Plan, Trace) == PLAN
    with pytest.raises(InputError, match=r"schema_name is None, not blockcascade\.trace/1; name a file of that kind"):
        read_any(str(path), Trace)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: no such file$"):
        read_document(Plan, str(tmp_path / "no.json"))
    with pytest.raises(InputError, match="cannot be read"):
        read_plan(str(tmp_path))


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.json"
    path.write_text(PLAN.to_json())
    size = path.stat().st_size
    monkeypatch.setattr(files, "MAX_BYTES", size)
    assert read_plan(str(path)) == PLAN
    monkeypatch.setattr(files, "MAX_BYTES", size - 1)
    with pytest.raises(InputError, match="larger than"):
        read_plan(str(path))
    monkeypatch.setattr(files, "MAX_BYTES", 3 * 2**20)
    path.write_bytes(b" " * (3 * 2**20 + 1))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    with pytest.raises(InputError, match="-: larger than 3 MiB"):
        read_plan("-")


# -- whole or not at all -------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextmanager
def no_file_larger_than(count: int) -> Iterator[None]:
    """A disk that is full after `count` bytes, as far as this process can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_bytes(b"old", str(path))
    with no_file_larger_than(4096), pytest.raises(InputError, match=r"plan\.json: cannot be written .*name another"):
        write_bytes(b"n" * 100_000, str(path))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["plan.json"]
    write_bytes(b"new", str(path))
    assert path.read_bytes() == b"new"


def test_a_write_makes_folders_and_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "plan.json"
    write_bytes(b"x", str(path))
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["plan.json"]


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "plan.json"
    folder.mkdir()
    with pytest.raises(InputError, match=r"plan\.json: cannot be written"):
        write_bytes(b"x", str(folder))
    assert names(tmp_path) == ["plan.json"]
    assert names(folder) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file" / "plan.json", Path("/proc/none/plan.json")):
        with pytest.raises(InputError, match=r"plan\.json: cannot be written"):
            write_bytes(b"x", str(place))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"plan\.json: cannot be written \(Permission denied\)"):
        write_bytes(b"x", str(tmp_path / "plan.json"))
    tmp_path.chmod(0o700)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(b"x", str(pipe))
        assert pipe.is_fifo()
        assert os.read(reader, 2) == b"x"
    finally:
        os.close(reader)
