"""A run's folder: what is no run to go on with is refused, and what is damaged in it is told and made anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from executor.errors import OutputError, RankError, StateError
from executor.keeping.run_folder import RUN, Keep, claimed, place_of
from executor.keeping.saved import Finished, Kept, Piece, Saved
from executor.keeping.store import Store
from executor.launch import Clip
from executor.measuring.machine import versions
from tests.executor.runs import (
    ONE,
    case,
    nearly_done,
    run,
    same,
    state_of,
    tear,
    uninterrupted,
)
from tests.planner.clips import cascade


@pytest.fixture
def kept(tmp_path: Path) -> Keep:
    return nearly_done(tmp_path / "run")


# -- what is no run to go on with --------------------------------------------------------------------


def test_a_folder_is_not_run_over_by_accident(kept: Keep, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="holds a run already; go on with it by --resume"):
        run(ONE, kept._replace(resume="no"))
    with pytest.raises(StateError, match="holds no run to go on with"):
        run(ONE, kept._replace(folder=tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    (kept.folder / RUN).unlink()
    with pytest.raises(StateError, match=r"blocks of a run whose run\.json is gone"):
        run(ONE, kept._replace(resume="no"))


def test_any_block_of_another_run_keeps_one_from_beginning(kept: Keep, tmp_path: Path) -> None:
    store = Store(tmp_path / "other")
    store.prepare()
    shutil.copy(kept.folder / str(Finished(0, True)), store.folder / str(Finished(1, True)))
    with pytest.raises(StateError, match=r"blocks of a run whose run\.json is gone"):
        run(ONE, Keep(store.folder, 1))


def test_a_run_that_made_nothing_may_be_begun_anew(kept: Keep) -> None:
    for saved in [Finished(block, True) for block in range(5)] + sorted(state_of(kept.folder), key=str):
        (kept.folder / str(saved)).unlink(missing_ok=True)
    assert same(run(ONE, kept._replace(resume="no")), uninterrupted(cascade(2), True))


def test_another_run_is_refused_with_what_differs(kept: Keep) -> None:
    told: dict[str, Callable[[], Clip]] = {
        r"seed was 0, is 1$|seed was 0, is 1;": lambda: run(ONE, kept, seed=1),
        r'prompts was \["anything"\], is \["else"\]': lambda: run(ONE, kept, prompts="else"),
        "save_every was 1, is 2": lambda: run(ONE, kept._replace(every=2)),
        r"pattern\.offset was 2, is 3": lambda: run(case(cascade(3), "free", 1), kept),
        r"workload\.decode was true, is false": lambda: run(case(cascade(2), "free", 1, decode=False), kept),
        r"workload\.blocks was 5, is 6": lambda: run(case(cascade(2), "free", 1, blocks=6), kept),
    }
    for text, call in told.items():
        with pytest.raises(StateError, match=text):
            call()
    record = json.loads((kept.folder / RUN).read_text())
    (kept.folder / RUN).write_text(json.dumps(record | {"weights": "0" * 12}))
    with pytest.raises(StateError, match='weights was "000000000000", is "'):
        run(ONE, kept)


def test_other_software_than_it_began_under_is_told_and_the_run_goes_on(kept: Keep) -> None:
    place = kept.folder / RUN
    record = json.loads(place.read_text())
    assert record["software"] == versions()
    clip = run(ONE, kept._replace(folder=copy_of(kept.folder)))
    assert clip.start is not None
    assert clip.start.warnings == ()
    place.write_text(json.dumps(record | {"software": {**versions(), "torch": "1.0", "gone": "2"}}))
    clip = run(ONE, kept)
    assert clip.start is not None
    assert clip.start.warnings == (
        f"the run began under torch 1.0 and goes on under torch {torch.__version__}: what is left may differ in its "
        "last digits",
    )
    assert same(clip, uninterrupted(cascade(2), True))
    assert json.loads(place.read_text())["software"]["torch"] == "1.0"


def test_a_record_without_versions_is_none_to_warn_of(kept: Keep) -> None:
    place = kept.folder / RUN
    record = json.loads(place.read_text())
    del record["software"]
    place.write_text(json.dumps(record))
    clip = run(ONE, kept)
    assert clip.start is not None
    assert clip.start.warnings == ()


def copy_of(folder: Path) -> Path:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    return copy


def test_a_decoder_state_that_fits_no_decoder_is_refused_with_its_file(kept: Keep) -> None:
    store = Store(kept.folder)
    for saved in state_of(kept.folder):
        if isinstance(saved, Kept):
            tensors = store.read_all(saved)
            store.write(saved, {key: value[..., :1] for key, value in tensors.items() if key != "1"})
    with pytest.raises((StateError, RankError), match=r"decoder\.b\d\.p0-1\.safetensors: state lacks entries 1 of"):
        run(ONE, kept)
    for saved in state_of(kept.folder):
        if isinstance(saved, Kept):
            store.delete(saved)
    assert same(run(ONE, kept), uninterrupted(cascade(2), True))


def test_a_damaged_record_is_refused(kept: Keep) -> None:
    place = kept.folder / RUN
    text = place.read_text()
    for damaged in ("", text[:-10], text.replace("run/1", "run/2"), text.replace('"seed"', '"sead"')):
        place.write_text(damaged)
        with pytest.raises(StateError, match=r"run\.json"):
            run(ONE, kept)
    place.rename(kept.folder / "elsewhere.json")
    place.symlink_to("elsewhere.json")
    with pytest.raises(StateError, match=r"run\.json: is a link"):
        run(ONE, kept)


def test_two_runs_do_not_share_a_folder(kept: Keep) -> None:
    with claimed(kept), pytest.raises(StateError, match=f"{kept.folder}: another run is at work in it"):
        run(ONE, kept)
    assert same(run(ONE, kept), uninterrupted(cascade(2), True))


def test_a_lock_that_is_a_link_is_not_followed(kept: Keep, tmp_path: Path) -> None:
    (kept.folder / ".lock").unlink(missing_ok=True)
    (kept.folder / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"\.lock: cannot be made .* remove what is there"):
        run(ONE, kept)
    assert not (tmp_path / "elsewhere").exists()


def test_documents_are_files_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("link.json", "pipe.json"):
        with pytest.raises(StateError, match=f"{name}: is a link or no file"):
            place_of(tmp_path, name)
    (tmp_path / "file.json").touch()
    assert [place_of(tmp_path, name).name for name in ("file.json", "none.json")] == ["file.json", "none.json"]


# -- damaged files -----------------------------------------------------------------------------------


def test_damaged_state_is_told_and_made_anew(kept: Keep) -> None:
    state = sorted(state_of(kept.folder), key=str)
    assert state
    for number, saved in enumerate(state):
        copy = kept._replace(folder=kept.folder.with_name(f"copy{number}"))
        shutil.copytree(kept.folder, copy.folder)
        tear(copy.folder, saved)
        clip = run(ONE, copy)
        assert same(clip, uninterrupted(cascade(2), True)), saved
        assert clip.start is not None
        assert any(str(saved) in fault for fault in clip.start.faults)


def test_a_forged_shape_is_told_and_made_anew(kept: Keep) -> None:
    store = Store(kept.folder)
    piece = next(saved for saved in sorted(state_of(kept.folder), key=str) if isinstance(saved, Piece))
    shutil.copy(kept.folder / str(piece), kept.folder / str(piece._replace(layers=(0, 10**8))))
    store.write(piece, {"tensor": torch.zeros(2, 2)})
    clip = run(ONE, kept)
    assert clip.start is not None
    assert any("F32 [2, 2] instead of tensor F32" in fault for fault in clip.start.faults)
    assert any("layers or heads that tiny does not have" in fault for fault in clip.start.faults)
    assert same(clip, uninterrupted(cascade(2), True))


def test_a_damaged_block_is_made_anew(kept: Keep) -> None:
    tear(kept.folder, Finished(0, True))
    clip = run(ONE, kept)
    assert clip.start is not None
    assert clip.start.cut.block == 0
    assert ["b0.frames" in fault for fault in clip.start.faults] == [True]
    assert same(clip, uninterrupted(cascade(2), True))


def test_strangers_in_the_folder_are_left_alone(kept: Keep) -> None:
    (kept.folder / "state" / "notes.txt").write_text("mine")
    (kept.folder / "state" / "kv.b0.c.l0-1.h0-1.safetensors.bak").write_text("mine")
    assert same(run(ONE, kept), uninterrupted(cascade(2), True))
    assert {entry.name for entry in (kept.folder / "state").iterdir()} == {
        "notes.txt",
        "kv.b0.c.l0-1.h0-1.safetensors.bak",
    }


def test_a_full_disk_is_told_with_the_file_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, write = Keep(tmp_path / "run", 1), Store.write

    def full(self: Store, saved: Saved, tensors: Mapping[str, Tensor]) -> None:
        if saved == Finished(2, True):
            raise OutputError(f"{saved}: cannot be written (No space left on device)")
        write(self, saved, tensors)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises((RankError, OutputError), match=r"b2\.frames\.safetensors: cannot be written"):
        run(case(cascade(2), "step", 2), keep)
    monkeypatch.undo()
    assert same(run(ONE, keep._replace(resume="yes")), uninterrupted(cascade(2), True))
