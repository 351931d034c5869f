"""Blocks that finish out of order leave in order, and no more than a number of them wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from executor.errors import OutputError
from executor.output.stream_out import InOrder, fan_out


def frames(block: int) -> Tensor:
    return torch.full((1, 2, 2, 3), block, dtype=torch.uint8)


class Seen(list[tuple[int, int]]):
    """A sink that notes each block's number and what its frames show."""

    def __call__(self, block: int, frames_FHWC: Tensor) -> None:
        self.append((block, int(frames_FHWC.max())))


@given(st.permutations(range(8)), st.integers(0, 8))
def test_any_order_comes_out_in_order_if_there_is_room(order: Sequence[int], limit: int) -> None:
    """Room is needed for the most blocks that came while one before them had not."""
    seen, waiting, needed, out = Seen(), set[int](), 0, 0
    for block in order:
        waiting.add(block)
        while out in waiting:
            waiting.remove(out)
            out += 1
        needed = max(needed, len(waiting))
    try:
        with InOrder(seen, limit=limit) as reorder:
            for block in order:
                reorder.put(block, frames(block))
    except OutputError:
        assert limit < needed
        assert seen == [(block, block) for block in range(len(seen))]
    else:
        assert limit >= needed
        assert seen == [(block, block) for block in range(8)]


def test_blocks_leave_as_soon_as_they_can() -> None:
    seen = Seen()
    reorder = InOrder(seen, limit=2, first=5)
    for block, left in [(6, 0), (7, 0), (5, 3), (8, 4)]:
        reorder.put(block, frames(block))
        assert len(seen) == left
    assert reorder.next_block == 9


def test_an_error_names_the_block_that_is_missing() -> None:
    reorder = InOrder(Seen(), limit=2)
    reorder.put(1, frames(1))
    reorder.put(3, frames(3))
    with pytest.raises(OutputError, match=r"block 2 cannot wait for block 0: 2 blocks wait already \(1, 3\)"):
        reorder.put(2, frames(2))
    with pytest.raises(OutputError, match="block 0 never came; blocks 1, 3 waited"):
        reorder.close()
    reorder.put(0, frames(0))
    assert reorder.next_block == 2


@pytest.mark.parametrize("block", [0, 2])
def test_a_block_comes_once(block: int) -> None:
    reorder = InOrder(Seen(), limit=4)
    for one in (0, 2):
        reorder.put(one, frames(one))
    with pytest.raises(OutputError, match=f"block {block} came twice"):
        reorder.put(block, frames(block))


def test_a_thread_waits_for_room_that_another_makes() -> None:
    seen = Seen()
    with InOrder(seen, limit=1, wait_s=30) as reorder:
        reorder.put(1, frames(1))
        waiter = threading.Thread(target=reorder.put, args=(2, frames(2)))
        waiter.start()
        time.sleep(0.02)
        assert seen == []
        reorder.put(0, frames(0))
        waiter.join(30)
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_threads_in_any_order() -> None:
    seen = Seen()
    with InOrder(seen, limit=2, wait_s=30) as reorder:

        def bring(rank: int) -> None:
            for block in range(rank, 30, 3):
                reorder.put(block, frames(block))

        ranks = [threading.Thread(target=bring, args=(rank,)) for rank in range(3)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(30)
    assert seen == [(block, block) for block in range(30)]


def test_a_sink_that_failed_gets_nothing_more() -> None:
    calls: list[int] = []

    def sink(block: int, _: Tensor) -> None:
        calls.append(block)
        raise ValueError("disk full")

    reorder = InOrder(sink, limit=4)
    with pytest.raises(ValueError, match="disk full"):
        reorder.put(0, frames(0))
    with pytest.raises(OutputError, match="failed before block 1: disk full"):
        reorder.put(1, frames(1))
    assert calls == [0]


def test_the_end_says_nothing_where_another_error_is_on_its_way() -> None:
    reorder = InOrder(Seen(), limit=4)
    reorder.put(1, frames(1))
    with pytest.raises(KeyError), reorder:
        raise KeyError


def test_several_sinks_get_the_same() -> None:
    one, other = Seen(), Seen()
    fan_out(one, other)(3, frames(7))
    assert one == other == [(3, 7)]
