"""Files of tensors appear whole or not at all; what is forged, cut short or leads elsewhere is refused."""

from __future__ import annotations

import json
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from executor.errors import OutputError, StateError
from executor.keeping.saved import Finished, Kept, Piece, Saved, parse
from executor.keeping.store import Header, Store
from planner.action import Payload

numbers = st.integers(0, 10**9 - 1)
ranges = st.tuples(numbers, numbers)
payloads = st.one_of(
    st.builds(Payload, st.just("kv"), numbers, st.none() | numbers),
    st.builds(Payload, st.just("context"), numbers, st.none()),
)
saved_files: st.SearchStrategy[Saved] = st.one_of(
    st.builds(Finished, numbers, st.booleans()),
    st.builds(Kept, st.sampled_from(["decoder", "encoder"]), numbers, numbers, numbers),
    st.builds(Piece, payloads, ranges, ranges),
    st.builds(lambda block, step: Piece(Payload("latents", block, step)), numbers, numbers),
    st.builds(lambda block: Piece(Payload("encoded", block)), numbers),
)
PIECE = Piece(Payload("latents", 3, 2))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "run")
    made.prepare()
    return made


def latents() -> Tensor:
    return torch.arange(24.0).reshape(1, 2, 3, 4)


# -- names -------------------------------------------------------------------------------------------


@given(saved_files)
def test_names_come_back(saved: Saved) -> None:
    assert parse(str(saved)) == saved
    assert str(saved).count("/") == 1


@given(saved_files, st.data())
def test_other_names_are_not_ours(saved: Saved, data: st.DataObject) -> None:
    name = str(saved)
    at = data.draw(st.integers(0, len(name)))
    changed = name[:at] + data.draw(st.sampled_from(["/", "../", "0", "-", " ", "\n", "\0", "x", "."])) + name[at:]
    found = parse(changed)
    assert found is None or str(found) == changed


def test_what_names_say() -> None:
    assert str(Piece(Payload("kv", 3, None), (0, 2), (1, 4))) == "state/kv.b3.c.l0-2.h1-4.safetensors"
    assert str(Finished(7, True)) == "blocks/b7.frames.safetensors"
    for wrong in ("state/../run.json", "state/latents.b03.s2.safetensors", "blocks/b1.frames.safetensors.part", ""):
        assert parse(wrong) is None
    assert parse("state/latents.b٣.s2.safetensors") is None  # a digit, but not an ASCII one


# -- writing and reading -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.float8_e4m3fn])
def test_a_file_comes_back_bit_for_bit(store: Store, dtype: torch.dtype) -> None:
    tensor = latents().to(dtype)
    store.write(PIECE, {"tensor": tensor})
    store.require(PIECE, "tensor", Header.of((1, 2, 3, 4), dtype))
    found = store.read(PIECE, "tensor")
    assert found.dtype == dtype
    assert torch.equal(found.view(torch.uint8), tensor.view(torch.uint8))
    part = store.read(PIECE, "tensor", (slice(None), slice(1, 2)))
    assert torch.equal(part.view(torch.uint8), tensor[:, 1:2].contiguous().view(torch.uint8))
    assert list(store.state()) == [PIECE]


def test_a_codecs_state_comes_back_with_its_marks(store: Store) -> None:
    """An entry without numbers is a mark, and views of one memory are files of their own."""
    base = latents()
    state = {"0": base[0], "1": torch.empty(0), "2": base[0, 1].T}
    store.write(Kept("decoder", 4), {key: tensor.contiguous().clone() for key, tensor in state.items()})
    found = store.read_all(Kept("decoder", 4))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_writing_again_replaces_whole(store: Store) -> None:
    store.write(PIECE, {"tensor": latents()})
    store.write(PIECE, {"tensor": latents() + 1})
    assert torch.equal(store.read(PIECE, "tensor"), latents() + 1)
    assert [entry.name for entry in (store.folder / "state").iterdir()] == [Path(str(PIECE)).name]


def test_a_file_is_on_disk_before_it_has_its_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a power cut would show: its contents are flushed, then it is named, then the name is flushed."""
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushes(file: int) -> None:
        events.append(Path(f"/proc/self/fd/{file}").readlink().suffix or "folder")
        fsync(file)

    def names(path: Path, target: Path) -> Path:
        events.append("named")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", flushes)
    monkeypatch.setattr(Path, "replace", names)
    store.write(PIECE, {"tensor": latents()})
    assert events == [".part", "named", "folder"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1000 bytes: as with a full disk, a write fails halfway."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_told_and_nothing_half_written_stays(store: Store) -> None:
    store.write(PIECE, {"tensor": latents()})
    with pytest.raises(OutputError, match=r"latents\.b3\.s2\.safetensors: cannot be written .*--resume"):
        store.write(PIECE, {"tensor": torch.zeros(10_000)})
    assert len(list((store.folder / "state").iterdir())) == 1
    assert torch.equal(store.read(PIECE, "tensor"), latents())


def test_a_folder_that_is_gone_is_told(store: Store) -> None:
    (store.folder / "state").rmdir()
    with pytest.raises(OutputError, match=r"latents\.b3\.s2.*cannot be written \(No such file"):
        store.write(PIECE, {"tensor": latents()})
    with pytest.raises(StateError, match="cannot be made"):
        Store(Path("/dev/null/run")).prepare()


# -- files from strangers ----------------------------------------------------------------------------


def forged(path: Path, header: object, data: bytes = b"", length: int | None = None) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


HUGE = {"tensor": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
WANTED = Header((1, 2, 3, 4), "F32")


@pytest.mark.parametrize("size", [0, 7, 8, 50, -1])
def test_a_truncated_file_is_refused(store: Store, size: int) -> None:
    store.write(PIECE, {"tensor": latents()})
    path = store.folder / str(PIECE)
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    with pytest.raises(StateError, match=r"latents\.b3\.s2.*damaged"):
        store.require(PIECE, "tensor", WANTED)


def test_forged_sizes_are_refused(store: Store) -> None:
    path = store.folder / str(PIECE)
    forged(path, HUGE)
    with pytest.raises(StateError, match="damaged"):
        store.headers(PIECE)
    forged(path, {}, length=2**62)
    with pytest.raises(StateError, match="damaged"):
        store.headers(PIECE)
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(StateError, match="damaged"):
        store.headers(PIECE)


def test_other_tensors_are_refused_with_what_they_are(store: Store) -> None:
    for tensors, told in (
        ({"tensor": latents()[0]}, r"tensor F32 \[2, 3, 4\] instead of tensor F32 \[1, 2, 3, 4\]"),
        ({"tensor": latents().half()}, r"tensor F16 \[1, 2, 3, 4\] instead"),
        ({"other": latents()}, r"other F32"),
        ({"tensor": latents(), "more": latents()}, "more"),
        ({}, "holds nothing"),
    ):
        store.write(PIECE, tensors)
        with pytest.raises(StateError, match=told):
            store.require(PIECE, "tensor", WANTED)


def test_links_are_refused(store: Store, tmp_path: Path) -> None:
    secret = Store(tmp_path / "other")
    secret.prepare()
    secret.write(PIECE, {"tensor": latents()})
    path = store.folder / str(PIECE)
    path.symlink_to(secret.folder / str(PIECE))
    assert list(store.state()) == []
    with pytest.raises(StateError, match="is a link"):
        store.read(PIECE, "tensor")
    store.write(PIECE, {"tensor": latents() + 1})  # replaces the link, and leaves alone what it led to
    assert torch.equal(secret.read(PIECE, "tensor"), latents())
    linked = Store(tmp_path / "linked")
    linked.folder.mkdir()
    (linked.folder / "state").symlink_to(secret.folder / "state")
    with pytest.raises(StateError, match="is a link"):
        linked.prepare()
    assert list(linked.state()) == []
    with pytest.raises(StateError, match="is a link"):
        linked.headers(PIECE)


def test_only_leftovers_are_swept(store: Store) -> None:
    store.write(PIECE, {"tensor": latents()})
    folder = store.folder / "state"
    for name in (".latents.b3.s2.safetensors.abc_1234.part", ".tmpAb12Cd"):
        (folder / name).touch()
    for name in ("notes.txt", ".hidden", ".latents.part"):
        (folder / name).touch()
    store.sweep()
    assert {entry.name for entry in folder.iterdir()} == {
        "notes.txt",
        ".hidden",
        ".latents.part",
        Path(str(PIECE)).name,
    }
    assert list(store.state()) == [PIECE]
    store.delete(PIECE)
    store.delete(PIECE)
    assert list(store.state()) == []
