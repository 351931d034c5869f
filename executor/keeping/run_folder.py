"""A run's folder: what the run is of, whether another may go on with it, and from where.

run.json        all that decides the clip; another run goes on with this one only if its own is equal
blocks/         finished blocks, one file each
state/          what is needed to go on
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field

from executor.channels.channel import Channel
from executor.errors import StateError
from executor.keeping.alone import alone
from executor.keeping.cuts import Cut, Cuts
from executor.keeping.restart import newest
from executor.keeping.saved import Saved
from executor.keeping.store import Store
from executor.output.frame_sink import FrameSink
from models.spec import ModelSpec
from planner.errors import InputError
from planner.files import read_document, write_document
from planner.flow import Flow
from planner.patterns import Pattern
from planner.value import Document
from planner.workload import Workload

RUN = "run.json"
SHOWN = 60  # characters of a value that an error repeats
EVERY = 8  # blocks from cut to cut
RING_BITS = 20

Resume = Literal["no", "yes", "if-there"]


class RunRecord(Document):
    """What has to be equal for a run to go on with another's blocks: all that decides the clip's numbers.

    Cluster and placement are not part of it. `weights` is their fingerprint; `options` are those that change numbers.
    `software`: versions it began under. Others may go on with it, but are told: last digits can differ.
    """

    schema_name: Literal["blockcascade.run/1"] = "blockcascade.run/1"
    model: ModelSpec
    workload: Workload
    pattern: Pattern
    switch_ticks: tuple[int, ...] = ()
    prompts: tuple[str, ...] = Field(min_length=1)
    seed: int
    weights: str
    save_every: int = Field(ge=1)
    options: Mapping[str, str | int | float | bool | None] = {}
    software: Mapping[str, str] = {}

    @property
    def ticks_are_free(self) -> bool:
        """Whether programs are the same wherever prompts switch: then a plan may run with other ticks than its own."""
        return not self.workload.encode_text and not any(switch.recache for switch in self.workload.switches)


class Keep(NamedTuple):
    """Where a run keeps what it makes, and whether it goes on with what is there.

    `every`: blocks from one cut to the next. `sink` is opened on the rank that decodes, and gets the frames of every
    block of the clip in order, those that were finished before among them. Without `whole` the clip's frames and
    latents are not handed back: they are on disk. `documents` are put beside run.json as a run begins.
    """

    folder: Path
    every: int = EVERY
    resume: Resume = "no"
    sink: Callable[[], AbstractContextManager[FrameSink]] | None = None
    whole: bool = True
    documents: Mapping[str, Document] = MappingProxyType({})

    def again(self, restarts: int) -> Keep:
        """For ranks that a launcher has started anew so often: they go on with what is there."""
        return self._replace(resume="if-there") if restarts and self.resume == "no" else self


class Start(NamedTuple):
    """From where a run goes: a cut, the files of state it needs, the switch ticks, what could not be used, and what
    else is to be known of it.
    """

    cut: Cut
    adopted: frozenset[Saved]
    switch_ticks: tuple[int, ...]
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@contextmanager
def claimed(keep: Keep | None) -> Iterator[None]:
    """Within: the folder, if there is one, is this run's alone; it is made if a run may begin in it. For one process.

    Raises StateError if another run is at work there, or there is none to go on with.
    """
    if keep is None:
        yield
        return
    if keep.resume == "yes":
        read_record(keep.folder)
    Store(keep.folder).prepare()
    with alone(keep.folder):
        yield


def opened(keep: Keep, record: RunRecord, flow: Flow, dtype: torch.dtype) -> Start:
    """Begins a run in its folder or finds where to go on, and clears away what is of no use. For one process only.

    `dtype`: that of K/V. Raises StateError if the folder holds a run and none is asked for, holds none and one is, or
    one that differs; the text names the fields and both values.
    """
    store, place = Store(keep.folder), place_of(keep.folder, RUN)
    begun = store.holds_any()
    # A run that failed before it made anything may be begun anew.
    there = place.exists() and (begun or keep.resume != "no")
    if there and keep.resume == "no":
        raise StateError(f"{keep.folder}: holds a run already; go on with it by --resume, or name another folder")
    if not there and keep.resume == "yes":
        raise StateError(f"{keep.folder}: holds no run to go on with; drop --resume to begin one")
    warnings: tuple[str, ...] = ()
    if there:
        saved = _agreed(place, record)
        warnings = tuple(_other_software(saved, record)) if begun else ()
        record = saved
    store.prepare()
    if not there:
        if begun:
            raise StateError(f"{keep.folder}: holds blocks of a run whose {RUN} is gone; name another folder")
        for name, document in {**keep.documents, RUN: record}.items():
            _write(document, place_of(keep.folder, name))
    # Where prompts switch is of no matter to the cuts as long as nothing is re-cached.
    found = newest(store, flow, Cuts(flow, record.save_every), dtype)
    clear(store, found.state)
    return Start(found.cut, found.state, record.switch_ticks, found.faults, warnings)


def agreed(keep: Keep, record: RunRecord, flow: Flow, dtype: torch.dtype, channel: Channel) -> Start:
    """As `opened`, for the ranks of a launcher's world: rank 0 looks and clears away, all go on from the same cut.

    All ranks see the same folder.
    """
    start = opened(keep, record, flow, dtype) if channel.rank == 0 else None
    told = channel.broadcast(0 if start is None else start.cut.block << RING_BITS | start.cut.ring)
    if start is not None:
        return start
    cut = Cut(told >> RING_BITS, told % (1 << RING_BITS))
    return Start(cut, frozenset(), _agreed(keep.folder / RUN, record).switch_ticks)


def read_record(folder: Path) -> RunRecord:
    """What the run in a folder is of. Raises StateError if there is none, or it cannot be read."""
    place = place_of(folder, RUN)
    if not place.exists():
        raise StateError(f"{folder}: holds no run to go on with ({RUN} is not there); drop --resume to begin one")
    try:
        return read_document(RunRecord, str(place))
    except InputError as error:
        raise StateError(f"{error}; the run cannot be gone on with") from error


def place_of(folder: Path, name: str) -> Path:
    """Where a document of a run is or will be. Raises StateError for what is no file: a link, a pipe, a device."""
    place = folder / name
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise StateError(f"{place}: is a link or no file, and may lead anywhere; remove it")
    return place


def clear(store: Store, kept: frozenset[Saved]) -> None:
    """Deletes all state but these files, and what interrupted writes left; nobody may be writing."""
    store.sweep()
    for saved in set(store.state()) - kept:
        store.delete(saved)


def _agreed(place: Path, given: RunRecord) -> RunRecord:
    """The saved record, if a run of the given one may go on with it."""
    saved = read_record(place.parent)
    lines = list(_differences(saved, given))
    if lines:
        raise StateError(
            f"{place.parent}: the run there is another: {'; '.join(lines)}; make them equal, or name another folder"
        )
    return saved


def _other_software(saved: RunRecord, given: RunRecord) -> Iterator[str]:
    """What is to be known of going on under other versions than the run began under."""
    names = sorted(saved.software.keys() & given.software.keys())
    changed = [name for name in names if saved.software[name] != given.software[name]]
    if changed:
        was, now = (", ".join(f"{name} {record.software[name]}" for name in changed) for record in (saved, given))
        yield f"the run began under {was} and goes on under {now}: what is left may differ in its last digits"


def _differences(saved: RunRecord, given: RunRecord) -> Iterator[str]:
    a, b = (json.loads(record.to_json()) for record in (saved, given))
    del a["software"], b["software"]
    if saved.ticks_are_free:
        del a["switch_ticks"], b["switch_ticks"]
    for path, was, now in _unequal("", a, b):
        yield f"{path} was {_short(was)}, is {_short(now)}"


def _unequal(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from _unequal(f"{path}.{key}" if path else key, a.get(key), b.get(key))
    elif a != b:
        yield path, a, b


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _write(record: Document, place: Path) -> None:
    try:
        write_document(record, str(place))
    except InputError as error:
        raise StateError(str(error)) from error
