"""Local ranks end together: with all results, or with the first failure and no process left over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
import torch

from executor.errors import RankError, WorldError
from executor.forked import on_local_ranks
from executor.process_group import World

pytestmark = pytest.mark.dist


def test_results_come_in_rank_order() -> None:
    def late_first(world: World) -> tuple[int, int, int]:
        time.sleep(0.1 * (2 - world.rank))
        return world.rank, world.size, torch.get_num_threads()

    assert on_local_ranks(3, late_first) == [(0, 3, 1), (1, 3, 1), (2, 3, 1)]


def test_an_error_of_ours_is_told_in_one_line() -> None:
    def refuse(world: World) -> None:
        if world.rank == 1:
            raise WorldError("no such device")
        time.sleep(60)

    with pytest.raises(RankError, match=r"^no such device$"):
        on_local_ranks(2, refuse)
    assert not multiprocessing.active_children()


def test_a_bug_comes_with_its_traceback() -> None:
    def stumble(world: World) -> None:
        raise KeyError(f"missing on {world.rank}")

    with pytest.raises(RankError, match=r"rank 0: Traceback(.|\n)*KeyError: 'missing on 0'"):
        on_local_ranks(1, stumble)


def test_a_killed_rank_is_named() -> None:
    def die(world: World) -> None:
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(RankError, match=r"rank 1 died \(exit code -9\)"):
        on_local_ranks(2, die)
    assert not multiprocessing.active_children()
