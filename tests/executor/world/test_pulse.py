"""What a rank tells of itself, and what its parent reads of it."""

from __future__ import annotations

import mmap
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.world.pulse import Page, Pulse, State, untold


def test_a_pulse_counts_and_tells_its_action() -> None:
    pulse = Pulse()
    assert pulse.beat()[:3] == (1, State.PREPARES, "")
    pulse.told("denoise b0.s0", True)
    assert pulse.beat()[:3] == (2, State.COMPUTES, "denoise b0.s0")
    pulse.told("recv kv b0.s0 from r1", False)
    assert pulse.beat()[:3] == (3, State.WAITS, "recv kv b0.s0 from r1")
    pulse.enter(State.GATHERS)
    assert pulse.beat()[:3] == (4, State.GATHERS, "recv kv b0.s0 from r1")
    time.sleep(0.01)
    assert 0.01 <= pulse.beat().for_s < 5
    untold("denoise b0.s0", True)


@given(texts=st.lists(st.text(max_size=300), min_size=1, max_size=5), state=st.sampled_from(State))
def test_a_page_gives_back_what_it_was_told(texts: list[str], state: State) -> None:
    page = Page(len(texts))
    assert mmap.PAGESIZE % Page.LINE == 0
    for rank, text in enumerate(texts):
        page.tell(rank, state, text, time.monotonic_ns())
        page.beat(rank)
    for rank, text in enumerate(texts):
        beat = page.read(rank)
        fits = text.encode()[: Page.LINE - Page.TEXT_AT]
        assert beat.action == fits.decode(errors="replace")
        assert beat.state is state
        assert beat.number > 0


@pytest.mark.dist
def test_a_page_is_never_read_half_written() -> None:
    page = Page(1)
    page.tell(0, State.WAITS, "b" * 100, 1)
    page.read(0)  # else a reader that finds the writer in the midst of a line has no word before to fall back on
    writer = os.fork()
    while writer == 0:  # until it is killed; a thread would share this process's lock, and so never be seen at work
        page.tell(0, State.COMPUTES, "a" * 200, 1)
        sum(range(100))  # a little work between actions
        page.tell(0, State.WAITS, "b" * 100, 1)
        sum(range(100))
    seen, deadline = set[tuple[State, str]](), time.monotonic() + 30
    try:
        # However busy the machine, the writer comes to its turn.
        while len(seen) < 2 and time.monotonic() < deadline:
            seen |= {(beat.state, beat.action) for beat in (page.read(0) for _ in range(20_000))}
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert seen == {(State.COMPUTES, "a" * 200), (State.WAITS, "b" * 100)}


def test_a_page_shows_beats_and_ages() -> None:
    page = Page(2)
    pulse = Pulse(page, 1)
    assert page.read(1).number == 0
    pulse.start(0.01)
    pulse.told("commit b0", True)
    first, deadline = page.read(1), time.monotonic() + 30
    while (second := page.read(1)).number <= first.number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert second.number > first.number > 0
    assert second.for_s > first.for_s
    assert second.action == "commit b0"
    assert page.read(0).number == 0
