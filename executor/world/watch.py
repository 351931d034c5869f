"""Ranks of a launcher's world watch one another over its store, so that none waits for one that has failed.

A rank that raises, is told to stop, dies on this machine, computes too long or deadlocks is known to every other
within `NOTICE_S` (2 s) of its limit; one whose connection broke and that is silent, after `LOST_S` (3 s); one that is
only silent (SIGSTOP, machine or network gone), after `stall_s`. A rank that learns of another's failure says so in one
line on standard error and ends its process with code 1, wherever its main thread is stuck, for the launcher to start
anew. A silent process on the same machine is killed first: its launcher would wait for it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from executor.errors import RankError
from executor.world.causes import lost_connection
from executor.world.judge import Finding, Judge
from executor.world.limits import LOST_S, NOTICE_S, Limits
from executor.world.meeting import Meeting
from executor.world.pulse import Beat, Pulse, State
from executor.world.signals import Signals, say

FAILED = 1
OFTENER = 5  # times in a beat that a rank may tell a new action


Report = Callable[[Exception], None]  # what is left for the launcher and for a post-mortem


class Watch:
    """One rank's watch over all. Within: two threads, one that talks to the store and one that judges.

    A store that hangs holds up the first alone. The main thread never touches this connection.
    """

    def __init__(self, meeting: Meeting, pulse: Pulse, limits: Limits, report: Report) -> None:
        self._meeting, self._store, self._pulse, self._limits = meeting, meeting.watch_store, pulse, limits
        self._me, self._report = meeting.rank, report
        self._judge = Judge(range(len(meeting.peers)), limits, time.monotonic())
        self._beats: list[Beat] = []
        self._notice: Finding | None = None  # the first that any rank posted
        self._mine: Finding | None = None  # what this rank has to post
        self._rounds, self._round_over, self._urgent = 0, threading.Condition(), threading.Event()
        self._talked = time.monotonic()
        self._store_error = ""
        self._gone: dict[int, int] = {}  # dead processes by rank, and the round after which their last word is known
        self._lost = self._over = False
        self._bereft = False  # this rank is done, but another has failed

    # -- the main thread ---------------------------------------------------------------------------

    def __enter__(self) -> Watch:
        self._signals = Signals()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._talking, self._judging)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._leave()
            elif isinstance(error, Exception):
                self._fail(error)
        except (KeyboardInterrupt, SystemExit) as signalled:
            error = signalled
            raise
        finally:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                self._interrupted(error)
            self._over = True
            self._hurry()
            self._signals.restore(self._threads)

    def _leave(self) -> None:
        """Says goodbye; who keeps the store stays until all others have."""
        self._pulse.enter(State.DONE)
        self._round(time.monotonic() + NOTICE_S)
        while self._meeting.hosts and not (self._bereft or self._store_error):
            if all(beat.state is State.DONE for beat in self._beats):
                break
            time.sleep(0.02)
            self._round(time.monotonic() + self._limits.beat_s)
        self._over = True
        self._hurry()
        self._threads[0].join(NOTICE_S)
        if not (self._threads[0].is_alive() or self._store_error):
            with suppress(RuntimeError):
                self._part()

    def _part(self) -> None:
        """The last word to the store, which ends when all have said it."""
        self._store.set(f"left {self._me}", "")
        deadline, others = time.monotonic() + NOTICE_S, [f"left {rank}" for rank in range(len(self._meeting.peers))]
        while self._meeting.hosts and time.monotonic() < deadline and not self._store.check(others):
            time.sleep(0.01)

    def _fail(self, error: Exception) -> None:
        """Tells the others, unless it was one of them; then this does not return, or returns after `LOST_S`."""
        if lost_connection(error):
            self._lost = True
            time.sleep(LOST_S + NOTICE_S)
        action = self._pulse.action
        cause = str(error).removeprefix(f"rank {self._me} at {action}: ") or type(error).__name__
        self._post(Finding(self._me, action, cause))
        self._report(error)
        self._outlast()

    def _interrupted(self, error: BaseException) -> None:
        """Tells the others, unless the signal behind it has been told already."""
        if not self._signals.handled.wait(NOTICE_S / 2):
            self._post(Finding(self._me, self._pulse.action, f"ended by {type(error).__name__}"))

    # -- talking -----------------------------------------------------------------------------------

    def _talking(self) -> None:
        while not self._over:
            self._urgent.clear()
            self._pulse.changed.clear()
            try:
                self._exchange()
            except RuntimeError as error:  # of torch.distributed, one way or another
                self._store_error = str(error).splitlines()[0]
                return
            with self._round_over:
                self._rounds, self._talked = self._rounds + 1, time.monotonic()
                self._round_over.notify_all()
            # Actions are told as they begin, but not each of many short ones.
            if not self._urgent.wait(self._limits.beat_s / OFTENER):
                self._pulse.changed.wait(self._limits.beat_s * (1 - 1 / OFTENER))

    def _exchange(self) -> None:
        """Tells this rank's beat and finding, reads those of all."""
        self._store.set(f"beat {self._me}", json.dumps(self._pulse.beat()))
        if self._mine is not None:
            self._store.compare_set("notice", "", json.dumps(self._mine))
        found = self._store.multi_get([f"beat {rank}" for rank in range(len(self._meeting.peers))])
        self._beats = [_beat(text) for text in found]
        if self._store.check(["notice"]):
            self._notice = Finding(*json.loads(self._store.get("notice")))

    def _hurry(self) -> None:
        self._urgent.set()
        self._pulse.changed.set()

    def _round(self, deadline: float) -> None:
        """Returns after an exchange with the store that began after this call."""
        with self._round_over:
            wanted = self._rounds + 2
            while self._rounds < wanted and time.monotonic() < deadline and not self._store_error:
                self._hurry()
                self._round_over.wait(0.05)

    def _post(self, finding: Finding) -> Finding:
        """Tells the finding, unless another was first; the one that stands."""
        if self._mine is None:
            self._mine = finding
        self._round(time.monotonic() + NOTICE_S / 2)
        return self._notice or finding

    # -- judging -----------------------------------------------------------------------------------

    def _judging(self) -> None:
        looked = time.monotonic()
        while not self._over:
            number = self._signals.wait(self._limits.beat_s / 2)
            now = time.monotonic()
            if now - looked > self._limits.beat_s + 1:
                self._talked = now  # this very process was stopped
            looked = now
            if number:
                self._stop(number)
            elif self._mine is None:
                self._look(now)

    def _look(self, now: float) -> None:
        finding = self._notice or self._found(now)
        if finding is None:
            return
        if self._notice is None:
            finding = self._post(finding)
        if self._pulse.state is State.DONE:
            self._bereft = True
            return
        if finding.silent and finding.rank != self._me:
            self._kill(finding.rank)
        self._end(f"stops: {finding}", FAILED)

    def _found(self, now: float) -> Finding | None:
        """What this rank sees by itself."""
        for rank, beat in enumerate(self._beats):
            self._judge.hear(rank, beat, now)
        # Without the launcher's store other ranks end too; without a rank's, that rank's end is the cause.
        storeless = self._storeless(now)
        apart = storeless is not None and self._meeting.host is None
        found = storeless if apart else self._dead() or storeless
        return found or self._judge.verdict(now, LOST_S if self._lost else None)

    def _storeless(self, now: float) -> Finding | None:
        """That the store is gone or stopped, and with it who keeps it."""
        if not self._store_error and now - self._talked <= self._limits.stall_s:
            return None
        what = self._store_error or f"it does not answer for {now - self._talked:.1f} s"
        cause = f"{self._meeting.keeper} is gone or stopped: {what}"
        host = self._meeting.host
        if host is None:
            return Finding(self._me, self._pulse.action, cause)
        return Finding(host, self._judge.last(host).action, cause, silent=True)

    def _dead(self) -> Finding | None:
        """A rank of this machine whose process has ended before its work has."""
        here = self._meeting.peers[self._me].place
        for rank, peer in enumerate(self._meeting.peers):
            if peer.place != here or not peer.is_gone:
                continue
            if self._rounds < self._gone.setdefault(rank, self._rounds + 2) and not self._store_error:
                self._hurry()  # its last word may not be read yet
            elif self._judge.last(rank).state is not State.DONE:
                cause = f"its process {peer.pid} is gone (killed or crashed; the launcher tells its exit code)"
                return Finding(rank, self._judge.last(rank).action, cause)
        return None

    def _kill(self, rank: int) -> None:
        """Ends a silent rank on this machine, which may be stopped and so deaf to its launcher."""
        peer = self._meeting.peers[rank]
        if peer.place == self._meeting.peers[self._me].place and not peer.is_gone:
            with suppress(OSError):
                os.kill(peer.pid, signal.SIGKILL)

    # -- ending ------------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        """After a signal: tells why if it is another's failure, and ends the process if the main thread does not."""
        deadline = time.monotonic() + NOTICE_S
        name, finding = signal.Signals(number).name, self._mine or self._notice
        while finding is None and time.monotonic() < deadline - NOTICE_S / 2:
            self._round(deadline)
            finding = self._notice or self._found(time.monotonic())
            if not self._gone:
                break
        if finding is not None and finding.rank != self._me:
            self._post(finding)
            self._say(f"stops: {finding}")
        elif not self._lost:
            self._post(Finding(self._me, self._pulse.action, f"was told to stop ({name})"))
        self._signals.handled.set()
        while not self._over:
            if time.monotonic() > deadline:
                os._exit(128 + number)
            time.sleep(0.02)

    def _end(self, text: str, code: int) -> NoReturn:
        self._say(text)
        try:
            raise RankError(f"rank {self._me} {text}")
        except RankError as error:
            self._report(error)  # with this traceback, or torchrun would show none
        self._outlast()
        os._exit(code)

    def _outlast(self) -> None:
        """Gives the others time to hear of a failure, if the store goes with this process."""
        deadline, here = time.monotonic() + NOTICE_S, self._meeting.peers[self._me].place
        others = [peer for rank, peer in enumerate(self._meeting.peers) if rank != self._me]
        while self._meeting.hosts and time.monotonic() < deadline:
            if all(peer.place == here and peer.is_gone for peer in others):
                return
            time.sleep(0.02)

    def _say(self, text: str) -> None:
        at = f" at {self._pulse.action}" if self._pulse.action else ""
        say(f"rank {self._me}{at} {text}")


def _beat(text: bytes) -> Beat:
    number, state, action, for_s = json.loads(text)
    return Beat(int(number), State(state), str(action), float(for_s))
