"""What `torch.save` wrote is read only if it is a table of plain tensors.

Claims: no call in a pickle runs; nothing is allocated beyond the file's own size; whatever the bytes, the answer is
tensors or a CheckpointError that names the file and the fix.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import pickled
from models.errors import CheckpointError
from models.pickled import MAX_PICKLE_BYTES, read_pickled
from tests.models.forged import TABLE, Trap, number, table, tensor, text, write_torch, write_trap

HUGE = 10**12


def _refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_pickled(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


# -- what is read --------------------------------------------------------------------------------


def test_tables_in_tables_are_joined_and_what_is_no_tensor_left_out(tmp_path: Path) -> None:
    inner = OrderedDict(a=torch.arange(3.0), b=torch.ones(2, 2, dtype=torch.bfloat16), steps=7)
    optimizer = {"state": {0: {"momentum": torch.ones(9)}}, "param_groups": [{"lr": 1e-3, "params": [0, 1]}]}
    torch.save({"generator": {"model": inner}, "optimizer": optimizer, "step": 12, "name": "x"}, tmp_path / "x.pt")
    found = read_pickled(tmp_path / "x.pt")
    assert found.keys() == {"generator.model.a", "generator.model.b"}
    assert torch.equal(found["generator.model.a"], torch.arange(3.0))
    assert found["generator.model.b"].dtype == torch.bfloat16


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not tell what is mapped")
def test_tensors_are_views_of_the_file(tmp_path: Path) -> None:
    """So that of three models in a file only the one that is run is read."""
    _sound(tmp_path / "x.pt")
    found = read_pickled(tmp_path / "x.pt")
    ranges = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    (begin, end), *others = [[int(side, 16) for side in place.split("-")] for place in ranges]
    assert not others
    assert all(begin <= value.data_ptr() < end for value in found.values())


def test_tensors_that_share_or_stride_their_numbers_are_read(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"t": whole.T, "part": whole[1:, 2], "whole": whole, "one": torch.tensor(3.0)}, tmp_path / "x.pt")
    found = read_pickled(tmp_path / "x.pt")
    assert torch.equal(found["t"], whole.T)
    assert torch.equal(found["part"], whole[1:, 2])
    assert found["one"].item() == 3


def test_the_forging_by_hand_makes_what_torch_makes(tmp_path: Path) -> None:
    """So that the refusals below are of what they forge, not of a slip in forging."""
    write_torch(tmp_path / "x.pt", table({"w": tensor((4, 4), (4, 1))}))
    assert torch.equal(read_pickled(tmp_path / "x.pt")["w"], torch.zeros(4, 4))
    assert torch.equal(torch.load(tmp_path / "x.pt", weights_only=True)["w"], torch.zeros(4, 4))


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_call_in_a_pickle_never_runs(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "trap.pt"
    write_trap(path, os.system, f"touch {mark}", protocol=protocol)
    torch.load(path, weights_only=False)
    assert mark.exists()
    mark.unlink()
    message = _refusal(path)
    assert "not opened, as it asks to " in message
    assert "save its tensors alone" in message
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_a_plain_pickle_is_not_opened(suffix: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = (tmp_path / "plain").with_suffix(suffix)
    path.write_bytes(pickle.dumps({"w": Trap(os.system, f"touch {mark}")}))
    assert "truncated, or not a file that torch.save of 1.6 or later wrote" in _refusal(path)
    assert not mark.exists()


def test_a_pickle_of_the_old_format_is_not_opened(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "1.6 or later" in _refusal(tmp_path / "old.pt")


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", [(bytearray, HUGE), (torch.Tensor, 10**6, 10**6), (torch.UntypedStorage, HUGE), (set, (1, 2)), (Counter,)]
)
def test_a_call_that_torch_would_allow_is_refused(call: tuple[Any, ...], tmp_path: Path) -> None:
    write_trap(tmp_path / "x.pt", *call, protocol=3)
    assert "not opened, as it asks to call" in _refusal(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["torch\nFloatStorage.x", "torch\nUntypedStorage", "torch\nTensor", "posix\nsystem"])
def test_a_name_that_only_begins_as_a_harmless_one_is_refused(name: str, tmp_path: Path) -> None:
    write_torch(tmp_path / "x.pt", table({"w": f"c{name}\n".encode()}))
    assert f"asks to call '{name.replace(chr(10), '.')}'" in _refusal(tmp_path / "x.pt")


def test_a_file_that_cannot_be_mapped_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("unable to mmap 57154095512 bytes from file <x.pt>: Cannot allocate memory (12)")

    _sound(tmp_path / "x.pt")
    monkeypatch.setattr(torch, "load", fails)
    assert "cannot be mapped into memory; where it is larger" in _refusal(tmp_path / "x.pt")


def test_a_copy_of_a_table_is_refused(tmp_path: Path) -> None:
    """Each would take another table's room for a few bytes of pickle."""
    write_torch(tmp_path / "x.pt", table({"w": tensor((4,), (1,)), "copy": TABLE + b"(]" + b"tR"}))
    assert "to copy tables" in _refusal(tmp_path / "x.pt")
    kept = TABLE + b"q\x05" + b")R" + text("k") + number(1) + b"s"
    write_torch(tmp_path / "y.pt", table({"a": kept, "copy": b"h\x05" + b"(}tR"}))
    assert "to copy tables" in _refusal(tmp_path / "y.pt")


def test_attributes_are_given_to_few_objects_only(tmp_path: Path) -> None:
    built = TABLE + b")R}" + text("_metadata") + number(1) + b"sb"
    write_torch(tmp_path / "few.pt", table({"w": tensor((4,), (1,)), **{str(at): built for at in range(16)}}))
    assert read_pickled(tmp_path / "few.pt").keys() == {"w"}
    write_torch(tmp_path / "many.pt", table({"w": tensor((4,), (1,)), **{str(at): built for at in range(17)}}))
    assert "asks to build objects" in _refusal(tmp_path / "many.pt")


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (tensor((10**6, 10**6), (10**6, 1)), "damaged, or not a table of tensors"),
        (tensor((10**6, 10**6), (0, 0)), "w claims [1000000, 1000000] of fewer numbers"),
        (tensor((5, 4), (0, 1)), "w claims [5, 4] of fewer numbers"),
        (tensor((4, 4), (4, 1), offset=-8), "damaged"),
        (tensor((4, 4), (4, 1), offset=HUGE), "damaged"),
        (tensor((4, 4), (-4, 1)), "damaged"),
        (tensor((10**6, 10**6), (10**6, 1), there=HUGE), "damaged"),
        (tensor((4, 4), (4, 1), there=-16), "damaged"),
        (tensor((-4, 4), (4, 1)), "damaged"),
    ],
)
def test_a_forged_size_is_refused(forged: bytes, words: str, tmp_path: Path) -> None:
    write_torch(tmp_path / "x.pt", table({"w": forged}))
    assert words in _refusal(tmp_path / "x.pt")


def test_one_storage_under_many_names_is_refused(tmp_path: Path) -> None:
    """Each name alone is as large as the file; whoever copied them all would need a hundred times that."""
    many = {str(at): tensor((10**5,), (1,), there=10**5) for at in range(100)}
    write_torch(tmp_path / "x.pt", table(many), numbers_held=10**5)
    assert "claims 40000000 bytes of tensors in a file of" in _refusal(tmp_path / "x.pt")
    write_torch(tmp_path / "y.pt", table(dict(list(many.items())[:3])), numbers_held=10**5)
    assert len(read_pickled(tmp_path / "y.pt")) == 3  # three names of one model are not suspicious


def test_a_packed_file_is_refused(tmp_path: Path) -> None:
    """64 MiB of zeros pack into 64 KiB."""
    write_torch(tmp_path / "x.pt", bytes(64 * 2**20), packed=True)
    assert (tmp_path / "x.pt").stat().st_size < 2**17
    assert "packed entries" in _refusal(tmp_path / "x.pt")


def test_a_file_with_two_pickles_is_refused(tmp_path: Path) -> None:
    """torch finds names whatever their case: it could open another than was looked over."""
    sound = table({"w": tensor((4,), (1,))})
    for at, name in enumerate(["forged/DATA.PKL", "data.pkl"]):
        path = tmp_path / f"{at}.pt"
        write_torch(path, sound)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, pickle.dumps(Trap(bytearray, HUGE)))
        assert "not one that torch.save wrote" in _refusal(path)
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        archive.writestr("words.txt", "no pickle")
    assert "not one that torch.save wrote" in _refusal(tmp_path / "y.pt")


def test_a_table_beyond_all_need_is_refused(tmp_path: Path) -> None:
    write_torch(tmp_path / "x.pt", table({"w": tensor((4,), (1,)), "x" * MAX_PICKLE_BYTES: number(1)}))
    assert f"over {MAX_PICKLE_BYTES}" in _refusal(tmp_path / "x.pt")


def test_a_table_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    write_torch(
        tmp_path / "x.pt", b"\x80\x02}q\x00" + text("w") + tensor((4,), (1,)) + b"s" + text("self") + b"h\x00s."
    )
    assert read_pickled(tmp_path / "x.pt").keys() == {"w"}


def test_one_key_twice_is_refused(tmp_path: Path) -> None:
    torch.save({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)}, tmp_path / "x.pt")
    assert "holds a.b twice" in _refusal(tmp_path / "x.pt")


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [{}, {"step": 3}, [torch.ones(2)], "words"])
def test_a_file_without_a_table_of_tensors_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert "holds no table of tensors" in _refusal(tmp_path / "x.pt")


def _sound(path: Path) -> bytes:
    torch.save({"generator": OrderedDict(a=torch.arange(30.0), b=torch.ones(4, 5)), "step": 3}, path)
    return path.read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 500, -1])
def test_a_truncated_file_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(_sound(path)[:kept])
    message = _refusal(path)
    assert "truncated, or not a file that torch.save of 1.6 or later wrote" in message
    assert "fetch it again" in message


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_the_damage_it_is_told_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.pt"
    content = bytearray(_sound(path))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError):
        assert sum(value.nbytes for value in read_pickled(path).values()) <= 4 * len(content)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_whatever_the_pickle_it_is_told(tmp_path: Path, content: bytes, begun: bool) -> None:
    write_torch(tmp_path / "x.pt", b"\x80\x02}" + content + b"." if begun else content)
    with pytest.raises(CheckpointError):
        read_pickled(tmp_path / "x.pt")


def test_without_the_look_beforehand_torch_would_allocate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is needed: `weights_only` alone opens an empty tensor of any size."""
    write_trap(tmp_path / "x.pt", torch.Tensor, 1000, 1000)
    look: Callable[..., None] = lambda path, pickle: None  # noqa: E731, ARG005
    monkeypatch.setattr(pickled, "_look_over", look)
    assert "of tensors in a file of" in _refusal(tmp_path / "x.pt")
