"""Local ranks end together: with all results, or with the first failure, and no process left over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from executor.errors import RankError, WorldError
from executor.world.forked import on_local_ranks
from executor.world.limits import Limits
from executor.world.process_group import World
from tests.executor.processes import children, ends, is_alive

pytestmark = pytest.mark.dist

# Patience fit for a test: one second without a beat, not fifteen.
SHORT = Limits(beat_s=0.1, stall_s=1.0, action_s=1.0, wait_s=1.0)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Any:
    before = children(os.getpid())
    yield
    assert not multiprocessing.active_children()
    assert children(os.getpid()) <= before


def test_results_come_in_rank_order() -> None:
    def late_first(world: World) -> tuple[int, int, int]:
        time.sleep(0.1 * (2 - world.rank))
        return world.rank, world.size, torch.get_num_threads()

    assert on_local_ranks(3, late_first) == [(0, 3, 1), (1, 3, 1), (2, 3, 1)]


def test_large_results_come_whole() -> None:
    large = on_local_ranks(2, lambda world: bytes([world.rank]) * 30_000_000)
    assert large == [bytes(30_000_000), b"\1" * 30_000_000]


def test_an_error_of_ours_is_told_in_one_line() -> None:
    def refuse(world: World) -> None:
        if world.rank == 1:
            raise WorldError("no such device")
        time.sleep(60)

    with pytest.raises(RankError, match=r"^no such device$"):
        on_local_ranks(2, refuse)


def test_a_bug_comes_with_its_traceback() -> None:
    def stumble(world: World) -> None:
        raise KeyError(f"missing on {world.rank}")

    with pytest.raises(RankError, match=r"rank 0: Traceback(.|\n)*KeyError: 'missing on 0'"):
        on_local_ranks(1, stumble)


def test_a_result_that_cannot_travel_is_told() -> None:
    with pytest.raises(RankError, match=r"rank 0: Traceback(.|\n)*pickle"):
        on_local_ranks(1, lambda _: threading.Lock())


def test_a_killed_rank_is_named_with_its_action() -> None:
    def die(world: World) -> None:
        told(world, "denoise b3.s1", True)
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    with pytest.raises(RankError, match=r"^rank 1 at denoise b3\.s1: killed by SIGKILL.*out of memory"):
        on_local_ranks(2, die)


def test_a_rank_that_leaves_without_a_result_is_named() -> None:
    with pytest.raises(RankError, match=r"^rank 0: its process ended without a result \(exit code 3\)"):
        on_local_ranks(1, lambda _: os._exit(3))


def test_a_stopped_rank_is_named_and_ended() -> None:
    def stop(world: World) -> None:
        told(world, "recv kv b0.s1 from r0", False)
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(60)

    start = time.monotonic()
    with pytest.raises(RankError, match=r"^rank 1 at recv kv b0\.s1 from r0: no sign of life for \d+\.\d s"):
        on_local_ranks(2, stop, SHORT._replace(wait_s=50))
    assert time.monotonic() - start < 20


def test_a_rank_that_never_lets_go_of_pythons_lock_is_named() -> None:
    def hold(world: World) -> None:
        if world.rank == 0:
            # A C call that keeps the lock: no other thread of this process runs meanwhile.
            import ctypes

            ctypes.PyDLL(None).sleep(60)
        time.sleep(60)

    with pytest.raises(RankError, match=r"^rank 0: no sign of life"):
        on_local_ranks(2, hold, SHORT)


def test_an_action_that_takes_too_long_is_named() -> None:
    def dwell(world: World) -> None:
        told(world, f"denoise b{world.rank}.s0", world.rank == 1)
        time.sleep(60)

    with pytest.raises(RankError, match=r"^rank 1 at denoise b1\.s0: computes one action for \d+\.\d s"):
        on_local_ranks(2, dwell, SHORT)


def test_ranks_that_wait_for_each_other_are_named() -> None:
    def wait(world: World) -> None:
        told(world, f"recv kv b{world.rank}.s0 from r{1 - world.rank}", False)
        time.sleep(60)

    with pytest.raises(RankError, match=r"so do all others.*recv kv b\d\.s0"):
        on_local_ranks(2, wait, SHORT)


def test_the_cause_is_told_not_what_follows_from_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    def fail(world: World) -> None:
        if world.rank == 0:
            while not ready.exists():  # a busy machine may begin the other one late
                time.sleep(0.001)
            raise RuntimeError("gloo: Connection closed by peer [127.0.0.1]:1")
        ready.touch()
        time.sleep(0.05)
        raise WorldError("the cause")

    with pytest.raises(RankError, match=r"^the cause$"):
        on_local_ranks(2, fail)


def test_what_ranks_started_ends_with_them(tmp_path: Path) -> None:
    def start(world: World) -> None:
        child = subprocess.Popen(["sleep", "300"])
        (tmp_path / f"{world.rank}").write_text(f"{os.getpid()} {child.pid}")
        while len(list(tmp_path.iterdir())) < world.size:
            time.sleep(0.01)
        raise WorldError("enough")

    with pytest.raises(RankError, match="enough"):
        on_local_ranks(2, start)
    found = [int(pid) for file in tmp_path.iterdir() for pid in file.read_text().split()]
    assert len(found) == 4
    assert ends(found, 5)


PARENT = """
import os, subprocess, sys, time
from pathlib import Path
from executor.world.forked import on_local_ranks
folder = Path(sys.argv[1])
def work(world):
    child = subprocess.Popen(["sleep", "300"])
    (folder / "new").with_suffix(f".{world.rank}").write_text(f"{os.getpid()} {child.pid}")
    (folder / "new").with_suffix(f".{world.rank}").rename(folder / str(world.rank))
    if world.rank == 1:
        os.kill(os.getpid(), 19)
    time.sleep(300)
try:
    on_local_ranks(2, work)
finally:
    (folder / "unwound").touch()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, -2)], ids=lambda n: str(n)
)
def test_no_rank_outlives_its_parent(tmp_path: Path, number: signal.Signals, code: int) -> None:
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=root, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    found = [int(pid) for rank in "01" for pid in (tmp_path / rank).read_text().split()]
    found += children(parent.pid)
    assert len(set(found)) == 5  # two ranks, what each started, and the guard
    assert all(map(is_alive, found))
    parent.send_signal(number)
    assert parent.wait(20) == code
    assert ends(found, 10)
    assert (tmp_path / "unwound").exists() == (number is not signal.SIGKILL)


def told(world: World, action: str, computes: bool) -> None:
    assert world.pulse is not None
    world.pulse.told(action, computes)
