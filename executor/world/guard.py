"""Keeps a family of processes together: none outlives its parent, however that ends.

All are in one process group, led by a guard that does nothing but wait for the parent's end. Then it kills the group,
which reaches stopped processes and grandchildren too. Linux also kills each rank at its parent's death by itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.context import ForkContext, ForkProcess

PR_SET_PDEATHSIG = 1
REAP_S = 5.0  # a process that outlives SIGKILL by this long is stuck in the kernel; it is left to it


class Family:
    """The process group of one parent's ranks."""

    def __init__(self, context: ForkContext) -> None:
        self._parent = os.getpid()
        watched, self._held = os.pipe()
        self._guard = context.Process(target=_guard_main, args=(watched, self._held), daemon=True)
        self._guard.start()
        os.close(watched)
        assert self._guard.pid is not None
        self.leader = self._guard.pid
        with suppress(OSError):  # the guard does so too: whoever is first
            os.setpgid(self.leader, self.leader)

    def join(self) -> None:
        """Called by a new rank, first thing: it enters the family and loses the parent's handling of signals."""
        os.close(self._held)
        os.setpgid(0, self.leader)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # no longer in the terminal's foreground, but it may write
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)

    def adopt(self, process: ForkProcess) -> None:
        """Called by the parent after a start: a rank that is stopped before it could join is in the family too."""
        assert process.pid is not None
        with suppress(OSError):
            os.setpgid(process.pid, self.leader)

    def end(self, processes: list[ForkProcess]) -> None:
        """Kills and reaps all that is left of the family."""
        with suppress(ProcessLookupError):
            os.killpg(self.leader, signal.SIGKILL)
        for process in (*processes, self._guard):
            process.join(REAP_S)
        os.close(self._held)


def _guard_main(watched: int, held: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.close(held)
    os.read(watched, 1)  # returns when the parent's end of the pipe is closed, by itself or by its death
    os.killpg(0, signal.SIGKILL)
