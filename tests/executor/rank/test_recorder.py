"""Spans are whole microseconds from the clip's start and never run backwards."""

from __future__ import annotations

import time

import torch

from executor.channels.local_channel import LocalWorld
from executor.job import RUN_UP_NS, common_start_ns
from executor.rank.recorder import Recorder
from planner.action import Action, Kind

CPU = torch.device("cpu")
PASS = Action(Kind.DENOISE, 0, 0)


def test_spans_count_from_the_start() -> None:
    recorder = Recorder(CPU, time.monotonic_ns() - 5_000_000)
    start = recorder.mark()
    recorder.span(PASS, start, recorder.mark())
    ((action, begin, end),) = recorder.rows()
    assert action == PASS
    assert 5_000 <= begin <= end


def test_a_transfer_ends_when_it_is_waited_for() -> None:
    recorder = Recorder(CPU, time.monotonic_ns())
    posted = recorder.mark()
    index = recorder.span(Action(Kind.SEND, 0, 0, "kv", 1), posted, posted)
    recorder.span(PASS, recorder.mark(), recorder.mark())
    time.sleep(0.002)
    recorder.close(index, recorder.mark())
    send, compute = recorder.rows()
    assert send.action.kind is Kind.SEND
    assert send.end_us >= send.start_us + 2_000
    assert send.end_us >= compute.end_us


def test_a_moment_before_the_start_counts_as_the_start() -> None:
    recorder = Recorder(CPU, time.monotonic_ns() + 10**12)
    recorder.span(PASS, recorder.mark(), recorder.mark())
    ((_, begin, end),) = recorder.rows()
    assert (begin, end) == (0, 0)


def test_ranks_wait_for_the_common_start() -> None:
    before = time.monotonic_ns()
    start = common_start_ns(LocalWorld(1).channel(0))
    assert before < start <= time.monotonic_ns()
    assert start >= before + RUN_UP_NS // 2
