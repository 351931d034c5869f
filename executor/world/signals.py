"""SIGINT and SIGTERM, and last words: what still works while the main thread is stuck."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from executor.world.limits import NOTICE_S

HANDLED = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
STDERR = 2  # the descriptor: sys.stderr may be a notebook's


def say(text: str) -> None:
    """One line on standard error, at once and in one piece."""
    os.write(STDERR, f"blockcascade: {text}\n".encode())


def unwind(number: int, frame: object) -> NoReturn:  # noqa: ARG001
    """A signal's handler: the main thread ends as after Ctrl-C, with the shell's code for the signal."""
    sys.exit(128 + number)


@contextmanager
def unwinds_on_sigterm() -> Iterator[None]:
    """Within: SIGTERM unwinds the main thread, so that processes, folders and the terminal are seen to."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Signals:
    """SIGINT and SIGTERM, told to a thread at once, also while the main thread is in a call that never returns.

    SIGTERM unwinds the main thread as SIGINT does. A signal with a handler of the user's own is left to it, and outside
    the main thread nothing is changed.
    """

    def __init__(self) -> None:
        self.handled = threading.Event()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._ours = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.getsignal(number) for number in HANDLED}
        self._told = [number for number, usual in HANDLED.items() if self._ours and self._before[number] == usual]
        if signal.SIGTERM in self._told:
            signal.signal(signal.SIGTERM, unwind)
        if self._ours:
            self._woken = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> int:
        """The signal that came, or 0 after so long."""
        if not select.select([self._read], [], [], seconds)[0]:
            return 0
        number = os.read(self._read, 1)[0]
        return number if number in self._told else 0

    def restore(self, threads: list[threading.Thread]) -> None:
        """Leaves signals as they were found, once the threads have ended."""
        if self._ours:
            signal.set_wakeup_fd(self._woken)
        if signal.SIGTERM in self._told:
            signal.signal(signal.SIGTERM, self._before[signal.SIGTERM])
        os.write(self._write, b"\0")
        for thread in threads:
            thread.join(NOTICE_S)
        if not any(thread.is_alive() for thread in threads):
            os.close(self._read)
            os.close(self._write)


@contextmanager
def ends_after(seconds: float, text: str) -> Iterator[None]:
    """Within: a call that never returns costs the process its life after so long."""

    def end() -> None:
        say(text)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
