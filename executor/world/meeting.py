"""Ranks of a launcher's world meet in its store and agree, before anything starts.

A launcher may keep one store over many restarts, so what a dead predecessor wrote there must not count: every process
says hello under a name of its own, rank 0 calls a meeting of those names, and it begins once each has answered it.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # public, though not declared so

from executor.errors import WorldError
from executor.world.limits import NOTICE_S, Limits
from executor.world.pulse import NO_BEAT

POLL_S = 0.02


class Peer(NamedTuple):
    """A rank's process: where it runs, and what its run is made of."""

    name: str  # no other process has it
    host: str
    place: str  # processes that share it see each other's process ids
    pid: int
    started: str
    facts: dict[str, str]

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended; only to be asked in its own place."""
        return _started(self.pid) != self.started


class Meeting(NamedTuple):
    """All ranks at one start of the world; both stores are this start's alone.

    `host` is the rank that keeps the store that all use, None if the launcher does; `keeper` says it in words.
    """

    rank: int
    peers: list[Peer]
    torch_store: Store
    watch_store: Store
    host: int | None
    keeper: str

    @property
    def hosts(self) -> bool:
        """Whether the store ends with this process."""
        return self.host == self.rank


def this_process(facts: Mapping[str, str]) -> Peer:
    place = Path("/proc/sys/kernel/random/boot_id").read_text().strip() + str(Path("/proc/self/ns/pid").readlink())
    return Peer(uuid.uuid4().hex, socket.gethostname(), place, os.getpid(), _started(os.getpid()), dict(facts))


def meet(
    store: TCPStore,
    rank: int,
    size: int,
    facts: Mapping[str, str],
    limits: Limits,
    *,
    host: int | None = None,
    keeper: str = "rank 0",
) -> Meeting:
    """Returns on every rank once all are there and agree.

    Raises WorldError naming the ranks that differ and in what, or that did not come within `rendezvous_s`.
    """
    board = _Board(PrefixStore("blockcascade", store), rank, size, this_process(facts))
    try:
        name, peers = board.call(limits.rendezvous_s) if rank == 0 else board.answer(limits.rendezvous_s)
    except dist.DistError as error:
        raise WorldError(f"{keeper} is gone: {error}") from error
    own = PrefixStore(f"blockcascade/{name}", store)
    watch = PrefixStore(f"blockcascade/{name}/watch", store.clone())  # type: ignore[attr-defined]  # not in its stubs
    watch.set_timeout(timedelta(seconds=limits.stall_s))
    return Meeting(rank, peers, own, watch, host, keeper)


class _Board:
    """What ranks write for each other before they know that all are there."""

    def __init__(self, store: Store, rank: int, size: int, me: Peer) -> None:
        self._store, self._rank, self._size, self._me = store, rank, size, me
        store.set(f"hello {rank}", json.dumps(me))

    def call(self, seconds: float) -> tuple[str, list[Peer]]:
        """Rank 0: calls a meeting of who is there, anew whenever that changes, until each has answered."""
        deadline, called, name = time.monotonic() + seconds, list[str](), ""
        while time.monotonic() < deadline:
            peers = [self._hello(rank) for rank in range(self._size)]
            here = [peer for peer in peers if peer is not None]
            if len(here) == self._size and [peer.name for peer in here] != called:
                called, name = [peer.name for peer in here], uuid.uuid4().hex
                self._store.set("called", json.dumps([name, called]))
            if called and not self._unanswered(name):
                return self._settle(name, here)
            time.sleep(POLL_S)
        return self._give_up(seconds, [rank for rank in range(self._size) if self._hello(rank) is None], name)

    def answer(self, seconds: float) -> tuple[str, list[Peer]]:
        """Other ranks: answer the meeting that calls this very process, until it is settled."""
        deadline = time.monotonic() + seconds + NOTICE_S  # rank 0 gives up first, and says on whom
        while time.monotonic() < deadline:
            name, called = json.loads(self._read("called") or '["", []]')
            if self._me.name in called:
                self._store.set(f"answer {name} {self._rank}", "")
                settled = self._read(f"verdict {name}")
                if settled is not None:
                    self._store.set(f"read {name} {self._rank}", "")
                    refusal, peers = json.loads(settled)
                    return _settled(name, refusal, [Peer(*peer) for peer in peers])
            given_up, present = json.loads(self._read("given up") or '["", []]')
            if self._me.name in present:
                raise WorldError(given_up)
            time.sleep(POLL_S)
        other = self._hello(self._rank)
        if other is not None and other.name != self._me.name:
            raise WorldError(f"another process (on {other.host}, pid {other.pid}) is rank {self._rank} too")
        raise WorldError(f"rank 0 did not come within {seconds:g} s")

    def _give_up(self, seconds: float, absent: list[int], name: str) -> NoReturn:
        late = absent or self._unanswered(name)
        here = [peer.name for peer in map(self._hello, range(self._size)) if peer is not None]
        ranks = ", ".join(map(str, late))
        text = (
            f"of {self._size} ranks, {len(late)} did not come within {seconds:g} s: {ranks}; see why they did not start"
            ", or raise BLOCKCASCADE_RENDEZVOUS_S"
        )
        self._store.set("given up", json.dumps([text, here]))
        time.sleep(NOTICE_S)  # with this process the store may go
        raise WorldError(text)

    def _settle(self, name: str, here: list[Peer]) -> tuple[str, list[Peer]]:
        """Rank 0: tells all whether they agree."""
        refusal = disagreement([peer.facts for peer in here])
        for rank in range(self._size):  # one may die before its first
            self._store.set(f"{name}/watch/beat {rank}", json.dumps(NO_BEAT))
        self._store.set(f"verdict {name}", json.dumps([refusal, here]))
        if refusal:
            self._outlast(name)
        return _settled(name, refusal, here)

    def _outlast(self, name: str) -> None:
        """Waits until all have read the refusal: with this process the store may go, or a launcher stop the others."""
        deadline, keys = time.monotonic() + NOTICE_S, [f"read {name} {rank}" for rank in range(1, self._size)]
        while keys and not self._store.check(keys) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _unanswered(self, name: str) -> list[int]:
        return [rank for rank in range(1, self._size) if not self._store.check([f"answer {name} {rank}"])]

    def _hello(self, rank: int) -> Peer | None:
        text = self._read(f"hello {rank}")
        return None if text is None else Peer(*json.loads(text))

    def _read(self, key: str) -> str | None:
        return self._store.get(key).decode() if self._store.check([key]) else None


def disagreement(facts: list[dict[str, str]]) -> str:
    """What the ranks' facts differ in, and who holds what; empty if they agree."""
    parts = []
    for name in dict.fromkeys(name for own in facts for name in own):
        values = [own.get(name, "none") for own in facts]
        # The most common value stands; of several, the one of the lowest rank.
        common = max(values, key=values.count)
        parts += [
            f"rank {rank} has {name} {value}, not {common}" for rank, value in enumerate(values) if value != common
        ]
    return f"the ranks disagree: {'; '.join(parts)}; start all with the same files and versions" if parts else ""


def _settled(name: str, refusal: str, peers: list[Peer]) -> tuple[str, list[Peer]]:
    if refusal:
        raise WorldError(refusal)
    return name, peers


def _started(pid: int) -> str:
    """When the process began, in the kernel's ticks; empty if it has ended, whether or not it is reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]
