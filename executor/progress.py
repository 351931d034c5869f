"""Tells a waiting user what goes on, on standard error, once there has been something to wait for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE_S = 2.0  # a terminal is quiet for so long
LOG_S = 10.0  # elsewhere, such as in a log: for so long, and between lines

Say = Callable[[str], None]


@contextmanager
def progress(first: str, *, patience_s: float | None = None) -> Iterator[Say]:
    """Within: calling the value names the current work. A spinner with a clock on a terminal, a line now and then
    elsewhere; nothing of what is done in less than `patience_s` (by default 2 s on a terminal, 10 s elsewhere).
    """
    from rich.console import Console

    seen = sys.stderr.isatty()  # by somebody; rich would also believe the environment
    console = Console(stderr=True, force_terminal=seen)
    shown: _Spinner | _Lines = _Spinner(console, first) if seen else _Lines(console, first)
    timer = Timer(shown.patience_s if patience_s is None else patience_s, shown.begin)
    timer.daemon = True
    timer.start()
    try:
        yield shown.say
    finally:
        timer.cancel()
        shown.end()


class _Spinner:
    """On a terminal; leaves nothing behind."""

    patience_s = PATIENCE_S

    def __init__(self, console: Console, first: str) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(first, total=None)
        self._lock, self._over = Lock(), False

    def begin(self) -> None:
        with self._lock:
            if not self._over:
                self._bar.start()

    def say(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def end(self) -> None:
        with self._lock:
            self._over = True
            self._bar.stop()


class _Lines:
    """In a log: what goes on, if it is new, and not too often."""

    patience_s = LOG_S

    def __init__(self, console: Console, first: str) -> None:
        self._console, self._text, self._told_s, self._over = console, first, float("inf"), False

    def begin(self) -> None:
        if self._over:
            return
        self._told_s = time.monotonic()
        self._console.print(f"{self._text} ...", markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        known, self._text = self._text, text
        if text != known and time.monotonic() - self._told_s >= LOG_S:
            self.begin()

    def end(self) -> None:
        self._over = True
