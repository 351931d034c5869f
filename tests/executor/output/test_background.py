"""A sink in the background gets every block in order, holds a bounded number, and does not hide a failure."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from executor.errors import OutputError
from executor.output.background import Background

FRAMES = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)


def write_on(out: Background) -> None:
    for block in range(100):
        out.write(block, FRAMES)


def test_blocks_go_out_in_order_before_the_end() -> None:
    seen: list[tuple[int, str]] = []
    with Background(lambda block, _: seen.append((block, threading.current_thread().name))) as out:
        for block in range(20):
            out.write(block, FRAMES)
    assert seen == [(block, "frames") for block in range(20)]


def test_one_who_writes_does_not_wait_for_the_sink() -> None:
    go = threading.Event()

    def sink(*_: object) -> None:
        go.wait(10)

    with Background(sink, depth=3) as out:
        for block in range(4):  # one in the sink's hands, three waiting
            out.write(block, FRAMES)
        go.set()


def test_no_more_than_the_depth_waits() -> None:
    go, begun = threading.Event(), threading.Event()

    def sink(*_: object) -> None:
        begun.set()
        go.wait(10)

    out = Background(sink, depth=2, stall_s=0.05)
    out.write(0, FRAMES)
    assert begun.wait(10)
    out.write(1, FRAMES)
    out.write(2, FRAMES)
    with pytest.raises(OutputError, match=r"took no block for 0\.05 s"):
        out.write(3, FRAMES)
    with pytest.raises(OutputError, match="took no block"):
        out.close()
    go.set()


@pytest.mark.parametrize(("error", "words"), [(OutputError("gone"), "^gone$"), (ValueError("odd"), "failed: odd")])
def test_a_failure_comes_to_light_and_ends_the_output(error: Exception, words: str) -> None:
    seen: list[int] = []

    def sink(block: int, _: Tensor) -> None:
        seen.append(block)
        if block == 1:
            raise error

    out = Background(sink, depth=1)
    with pytest.raises(OutputError, match=words):
        write_on(out)
    with pytest.raises(OutputError, match=words):
        out.close()
    assert seen == [0, 1]


def test_a_failure_at_the_last_block_is_seen_at_the_end() -> None:
    def sink(*_: object) -> None:
        raise ValueError("odd")

    with pytest.raises(OutputError, match="odd"), Background(sink) as out:
        out.write(0, FRAMES)


def test_another_error_is_not_covered_by_the_sinks() -> None:
    def sink(*_: object) -> None:
        raise ValueError("odd")

    out = Background(sink)
    out.write(0, FRAMES)
    with pytest.raises(KeyError, match="first"), out:
        raise KeyError("first")
