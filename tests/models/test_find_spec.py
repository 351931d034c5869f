"""A spec is found by name or in the user's own file, and a wrong one is told by field."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.catalog import CATALOG, load_spec
from models.errors import SpecError
from models.find_spec import MAX_BYTES, find_spec
from tests.tiny import TINY_SPEC


@pytest.mark.parametrize("name", CATALOG)
def test_a_name_leads_to_its_spec(name: str) -> None:
    assert find_spec(name) == load_spec(name)


def test_fields_may_be_changed_and_are_checked() -> None:
    found = find_spec("longlive-1.3b", window=15, latent_height=44)
    assert (found.window, found.latent_height, found.layers) == (15, 44, 30)
    assert find_spec(TINY_SPEC) == TINY_SPEC
    assert find_spec(TINY_SPEC, sink=0).sink == 0
    with pytest.raises(SpecError, match=r"longlive-1\.3b: .*window, sink: must be whole blocks of 3"):
        find_spec("longlive-1.3b", window=13)
    with pytest.raises(SpecError, match="winow: Extra inputs"):
        find_spec("longlive-1.3b", winow=15)


def test_a_file_holds_a_whole_spec_or_what_differs_from_a_known_one(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(TINY_SPEC.model_dump_json())
    assert find_spec(tmp_path / "own.json") == TINY_SPEC
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(TINY_SPEC.model_dump(mode="json")))
    assert find_spec(str(tmp_path / "own.yaml")) == TINY_SPEC
    (tmp_path / "wide.yml").write_text("base: krea-realtime-14b\nname: wide\nlatent_width: 160\n")
    wide = find_spec(tmp_path / "wide.yml")
    krea = load_spec("krea-realtime-14b")
    assert wide.model_dump() == krea.model_dump() | {"name": "wide", "latent_width": 160}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "no table"),
        ("3: 4", "no table"),
        ("", "no table"),
        ("a: [", "cannot be read as YAML"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
        ("base: nobody", "unknown model 'nobody'"),
        ("base: toy\nlayers: 0", "layers: Input should be greater than 0"),
        ("name: x", "source: Field required"),
        ("base: toy\nlayers: &a [1, 2]\nheads: *a", "layers: "),
    ],
)
def test_a_file_that_is_no_spec_is_told_by_field(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(SpecError) as caught:
        find_spec(tmp_path / "own.yaml")
    assert words in str(caught.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"own\.json: no such file"):
        find_spec(tmp_path / "own.json")
    with (tmp_path / "own.json").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SpecError, match="larger than 1 MiB"):
        find_spec(tmp_path / "own.json")


def test_nested_references_are_not_spelt_out(tmp_path: Path) -> None:
    """Each line names the one before ten times: ten lines would be 10^10 words."""
    lines = ["a0: &a0 [1]"] + [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 11)]
    (tmp_path / "own.yaml").write_text("\n".join(["base: toy", *lines, "timesteps: *a10"]))
    with pytest.raises(SpecError):
        find_spec(tmp_path / "own.yaml")


def test_it_needs_nothing_of_the_run_extra() -> None:
    code = "import sys, models.find_spec; print({'torch', 'diffusers', 'safetensors'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
