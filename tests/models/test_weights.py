"""A weight file is read whole or refused by name, its headers before any of its data.

Claims: safetensors, shards and torch files give the same tensors; headers that lie about sizes, tables that point
elsewhere and files cut short are CheckpointErrors that name the file; what is read is apart from the file.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from models.errors import CheckpointError
from models.folder import MAX_JSON_BYTES, read_json, weights_in
from models.weights import differences, fill, fresh, open_weights, read_weights
from tests.models.forged import entry, table, tensor, write_safetensors, write_torch

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.tensor(2.0)}
INDEX = "model.safetensors.index.json"


def _refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_weights(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def _shards(folder: Path, holder: dict[str, object], **files: dict[str, Tensor]) -> Path:
    for name, tensors in files.items():
        save_file(tensors, folder / f"{name}.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": holder}))
    return folder / INDEX


def _as_shards(folder: Path) -> Path:
    holder: dict[str, object] = {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}
    return _shards(folder, holder, one={"a": TENSORS["a"]}, two={"b": TENSORS["b"], "c": TENSORS["c"]})


# -- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["x.safetensors", "x.pt", "x.pth", "x.bin", "x.ckpt", INDEX])
def test_every_kind_of_file_gives_the_same_tensors(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == INDEX:
        _as_shards(tmp_path)
    elif path.suffix == ".safetensors":
        save_file(TENSORS, path)
    else:
        torch.save(TENSORS, path)
    found = read_weights(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in TENSORS.items())
    weights = open_weights(path)
    assert {key: header.shape for key, header in weights.headers.items()} == {k: v.shape for k, v in TENSORS.items()}
    for file in tmp_path.iterdir():
        file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(found["a"], TENSORS["a"])


def test_what_is_read_lies_straight_and_aligned() -> None:
    odd = torch.arange(20.0)[1:17].reshape(4, 4).T
    found = fresh(odd, torch.float64, "cpu")
    assert torch.equal(found, odd.double())
    assert found.is_contiguous()
    kept = fresh(odd, None, "cpu")
    assert kept.dtype == odd.dtype
    assert kept.data_ptr() % 64 == 0
    assert kept.data_ptr() != odd.data_ptr()


# -- what is refused -----------------------------------------------------------------------------


def test_a_file_larger_than_memory_is_told_by_its_headers_and_refused_only_as_data(tmp_path: Path) -> None:
    numbers, suffixes = 10**12, {".safetensors", ".pt"}
    write_safetensors(tmp_path / "x.safetensors", {"a": entry([numbers], 0, 4 * numbers)})
    write_torch(tmp_path / "x.pt", table({"a": tensor((4,), (1,))}))
    try:
        for suffix in suffixes:
            path = (tmp_path / "x").with_suffix(suffix)
            os.truncate(path, path.stat().st_size + 4 * numbers)
    except OSError:
        pytest.skip("this file system holds no sparse files")
    weights = open_weights(tmp_path / "x.safetensors")
    assert weights.headers["a"].shape == (numbers,)
    with pytest.raises(CheckpointError, match="cannot be mapped into memory; where it is larger than this machine's"):
        weights.read("a")
    assert "truncated, or not" in _refusal(tmp_path / "x.pt")  # what stands after a zip file's end is no part of it


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in _refusal(tmp_path / "x.safetensors")
    assert "no such file" in _refusal(tmp_path / INDEX)
    (tmp_path / "folder.pt").mkdir()
    assert "not a file" in _refusal(tmp_path / "folder.pt")
    os.mkfifo(tmp_path / "pipe.pt")  # would be waited on for ever
    assert "not a file" in _refusal(tmp_path / "pipe.pt")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert "not known by its suffix; expected .safetensors, " in _refusal(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("header", "content"),
    [
        ({"a": entry([10**6, 10**6], 0, 4 * 10**12)}, bytes(8)),
        ({"a": entry([10**6, 10**6], 0, 8)}, bytes(8)),
        ({"a": entry([2**62, 2**62], 0, 8)}, bytes(8)),
        ({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, bytes(8)),
        ({"a": entry([-2], 0, 8)}, bytes(8)),
        ({"a": entry([2], 0, 8)}, bytes(4)),
        ({"a": entry([2], 0, 8)}, bytes(99)),
        ({"a": entry([2], 0, 8, dtype="F31")}, bytes(8)),
        (b"{nope", b""),
        (b'{"a":' + b"[" * 10**5, b""),
        (b"\xff" * 50, b""),
        ([], b""),
    ],
)
def test_a_header_that_lies_is_refused(header: object, content: bytes, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", header, content)
    assert "damaged or not a safetensors file" in _refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize("claimed", [2**63, 2**40, 101 * 2**20, 3])
def test_a_header_of_another_length_is_refused(claimed: int, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": entry([2], 0, 8)}, bytes(8), claimed=claimed)
    assert "damaged or not a safetensors file" in _refusal(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "in/x.safetensors", "x.pt", "..", "", 3, None]
)
def test_a_table_that_points_elsewhere_is_refused(name: object, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    save_file(TENSORS, tmp_path / "x.safetensors")
    assert "may only name safetensors files beside it" in _refusal(_shards(tmp_path / "folder", {"a": name}))


def test_a_table_that_does_not_say_what_is_there_is_refused(tmp_path: Path) -> None:
    holder: dict[str, object] = {"a": "one.safetensors", "z": "one.safetensors"}
    path = _shards(tmp_path, holder, one={"a": TENSORS["a"]})
    assert "1 keys are not where it says; first z in one.safetensors" in _refusal(path)
    (tmp_path / "one.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"one\.safetensors: no such file"):
        open_weights(path)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {}}', "[]", "", "[" * 10**5])
def test_a_table_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    _refusal(tmp_path / INDEX)


def test_a_configuration_beyond_all_need_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)
    with pytest.raises(CheckpointError, match="not a file of at most 16 MiB"):
        read_json(tmp_path / "config.json")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_the_damage_it_is_told_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) - 1, 20]))])
    with suppress(CheckpointError):
        assert sum(value.nbytes for value in read_weights(path).values()) <= len(content)


# -- folders -------------------------------------------------------------------------------------


def test_the_weights_of_a_folder_by_hand(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model.safetensors: no such file, .* none is there"):
        weights_in(tmp_path)
    (tmp_path / "model.pt").touch()
    (tmp_path / "notes.txt").touch()
    assert weights_in(tmp_path) == tmp_path / "model.pt"
    (tmp_path / "vae.pth").touch()
    with pytest.raises(CheckpointError, match=r"several: model\.pt, vae\.pth; name one"):
        weights_in(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").touch()
    assert weights_in(tmp_path).name == "diffusion_pytorch_model.safetensors"
    (tmp_path / INDEX).touch()
    assert weights_in(tmp_path).name == INDEX
    assert weights_in(tmp_path / "vae.pth") == tmp_path / "vae.pth"


# -- into a module -------------------------------------------------------------------------------


def test_a_module_is_filled_from_the_meta_device() -> None:
    with torch.device("meta"):
        module = nn.Linear(3, 2)
    weights = {"weight": TENSORS["a"], "bias": torch.tensor([1.0, 2.0])}
    filled = fill(module, weights, Path("x"), torch.float64)
    assert torch.equal(filled(torch.eye(3, dtype=torch.float64)), weights["weight"].double().T + weights["bias"])
    with pytest.raises(CheckpointError, match=r"^x: does not fit the model: 1 missing: bias"):
        fill(module, {"weight": TENSORS["a"]}, Path("x"), torch.float64)


def test_differences_by_hand() -> None:
    wanted = {"a": torch.zeros(2), "b": torch.zeros(3), **{f"k{at}": torch.zeros(1) for at in range(7)}}
    found = {"a": torch.zeros(2, 1), "b": torch.zeros(3), "c": torch.zeros(1)}
    assert differences(wanted, wanted) == []
    assert differences(found, wanted) == [
        "7 missing: k0, k1, k2, k3, k4, ...",
        "1 unexpected: c",
        "1 misshapen: a [2, 1] instead of [2]",
    ]
