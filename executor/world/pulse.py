"""What a rank tells of itself while it works: a beat, and the action it is at since when."""

from __future__ import annotations

import mmap
import struct
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What a rank does; the order is the page's code for it."""

    PREPARES = "prepares"
    COMPUTES = "computes"
    WAITS = "waits"
    GATHERS = "gathers"
    DONE = "is done"


STATES = tuple(State)


class Beat(NamedTuple):
    """A sign of life: `number` grows for as long as the rank's interpreter runs."""

    number: int
    state: State
    action: str  # empty before the first
    for_s: float  # how long it has been at it


NO_BEAT = Beat(0, State.PREPARES, "", 0.0)


class Page:
    """A page of memory that forked ranks write and their parent reads, also after a rank's death.

    Telling takes about a microsecond, and no lock: each rank has one line, whose sequence number is odd while it is
    being written.
    """

    LINE, BEAT_AT, TEXT_AT = 256, 16, 24
    SEQUENCE, HEAD, BEAT = struct.Struct("<I"), struct.Struct("<BBxxq"), struct.Struct("<q")
    TRIES = 20

    def __init__(self, size: int) -> None:
        self._page = mmap.mmap(-1, size * self.LINE)
        self._known = [bytes(self.LINE)] * size  # each rank's line as last read whole

    def tell(self, rank: int, state: State, action: str, since_ns: int) -> None:
        """Called by the rank's working thread only."""
        at, text = rank * self.LINE, action.encode()[: self.LINE - self.TEXT_AT]
        sequence = self.SEQUENCE.unpack_from(self._page, at)[0] | 1
        # By slices, each one copy: pack_into would first write zeros, and zero is even.
        self._page[at : at + 4] = self.SEQUENCE.pack(sequence)
        self._page[at + 4 : at + self.BEAT_AT] = self.HEAD.pack(len(text), STATES.index(state), since_ns)
        self._page[at + self.TEXT_AT : at + self.TEXT_AT + len(text)] = text
        self._page[at : at + 4] = self.SEQUENCE.pack((sequence + 1) & 0xFFFFFFFF)

    def beat(self, rank: int) -> None:
        at = rank * self.LINE + self.BEAT_AT
        self._page[at : at + 8] = self.BEAT.pack(time.monotonic_ns())

    def read(self, rank: int) -> Beat:
        """The rank's last word, or the one before while it tells; that may be for long, if it is stopped there."""
        for _ in range(self.TRIES):
            line = self._page[rank * self.LINE : (rank + 1) * self.LINE]
            if self._is_whole(rank, line):
                self._known[rank] = line
                break
        line = self._known[rank]
        length, state, since_ns = self.HEAD.unpack_from(line, 4)
        action = line[self.TEXT_AT : self.TEXT_AT + length].decode(errors="replace")
        beat = self.BEAT.unpack_from(line, self.BEAT_AT)[0]
        return Beat(beat, STATES[state], action, max(0, time.monotonic_ns() - since_ns) / 1e9 if since_ns else 0.0)

    def _is_whole(self, rank: int, line: bytes) -> bool:
        """Whether a line was read between two tellings."""
        before, now = self.SEQUENCE.unpack_from(line)[0], self.SEQUENCE.unpack_from(self._page, rank * self.LINE)[0]
        return bool(before == now and now % 2 == 0)


Told = Callable[[object, bool], None]


def untold(action: object, computes: bool) -> None:
    """For ranks that nobody watches."""


class Pulse:
    """One rank's own account; on a page its parent reads, if it has one. `changed` is set as anything begins."""

    def __init__(self, page: Page | None = None, rank: int = 0) -> None:
        self._page = page
        self.rank = rank
        self.changed = threading.Event()
        self._beats = 0
        self._now: tuple[State, str, int] = (State.PREPARES, "", time.monotonic_ns())

    def told(self, action: object, computes: bool) -> None:
        """An action begins: computes (or posts), or waits for another rank's transfer."""
        self._enter(State.COMPUTES if computes else State.WAITS, str(action))

    def enter(self, state: State) -> None:
        """Something else than an action begins."""
        self._enter(state, self._now[1])

    @property
    def action(self) -> str:
        return self._now[1]

    @property
    def state(self) -> State:
        return self._now[0]

    def beat(self) -> Beat:
        """The next sign of life."""
        self._beats += 1
        state, action, since_ns = self._now
        return Beat(self._beats, state, action, (time.monotonic_ns() - since_ns) / 1e9)

    def start(self, every_s: float) -> None:
        """Beats on the page from a thread of its own, until the process ends."""
        if self._page is not None:
            self._enter(*self._now[:2])
            self._page.beat(self.rank)
            threading.Thread(target=_beat_for_ever, args=(self._page, self.rank, every_s), daemon=True).start()

    def _enter(self, state: State, action: str) -> None:
        self._now = (state, action, time.monotonic_ns())
        self.changed.set()
        if self._page is not None:
            self._page.tell(self.rank, *self._now)


def _beat_for_ever(page: Page, rank: int, every_s: float) -> None:
    while True:
        time.sleep(every_s)
        page.beat(rank)
