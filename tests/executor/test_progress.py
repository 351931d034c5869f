"""What goes on is told on standard error, and only to those who have waited."""

from __future__ import annotations

import sys
from threading import Timer

import pytest

from executor import progress as module
from executor.progress import progress


class AtOnce(Timer):
    """Patience that ends when it begins."""

    def start(self) -> None:
        self.function()

    def cancel(self) -> None:
        pass


class Never(AtOnce):
    """Patience that never ends."""

    def start(self) -> None:
        pass


def see(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is a terminal."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def test_who_does_not_wait_is_told_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "Timer", Never)
    with progress("planning") as say:
        say("still planning")
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "Timer", AtOnce)
    monkeypatch.setattr("executor.progress.time.monotonic", lambda: now[0])
    with progress("planning [1]") as say:
        say("at 1 s")
        now[0] = module.LOG_S + 1
        say("at 11 s")
        say("at 11 s, again")
        now[0] *= 3
        say("at 33 s")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "planning [1] ...\nat 11 s ...\nat 33 s ...\n"


def test_a_terminal_gets_a_spinner_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    see(monkeypatch)
    monkeypatch.setattr(module, "Timer", AtOnce)
    with progress("planning") as say:
        say("solving")
    told = capsys.readouterr()
    assert told.out == ""
    assert "planning" in told.err
    assert told.err.endswith("\x1b[2K"), "the line is wiped"


@pytest.mark.parametrize("seen", [True, False])
def test_patience_that_ends_too_late_shows_nothing(
    seen: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock strikes when the work is already done."""
    if seen:
        see(monkeypatch)
    late: list[Timer] = []

    class Late(Never):
        def start(self) -> None:
            late.append(self)

    monkeypatch.setattr(module, "Timer", Late)
    with progress("planning"):
        pass
    late[0].function()
    assert "planning" not in capsys.readouterr().err


def test_an_error_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = []

    class Kept(Never):
        def cancel(self) -> None:
            cancelled.append(self)

    monkeypatch.setattr(module, "Timer", Kept)
    with pytest.raises(ValueError, match="no"), progress("planning"):
        raise ValueError("no")
    assert len(cancelled) == 1
