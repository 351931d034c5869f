"""Why a rank failed, in words: each cause with what to do about it."""

from __future__ import annotations

import signal

import pytest
import torch
import torch.distributed as dist

from executor.errors import RankError
from executor.world.causes import ending, lost_connection, out_of_memory, tells_memory

CLOSED = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:45775.")
ALLOCATION = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")


def wrapped(cause: Exception) -> RankError:
    """As the worker raises it."""
    try:
        try:
            raise cause
        except Exception as error:
            raise RankError(f"rank 0 at recv kv b0.c from r1: {error}") from error
    except RankError as error:
        return error


@pytest.mark.parametrize("error", [CLOSED, dist.DistNetworkError("no route"), ConnectionResetError("reset by peer")])
def test_a_lost_connection_is_another_ranks_fault(error: Exception) -> None:
    assert lost_connection(error)
    assert lost_connection(wrapped(error))


@pytest.mark.parametrize("error", [ValueError("closed by peer"), RuntimeError("out of luck"), MemoryError()])
def test_other_errors_are_a_ranks_own(error: Exception) -> None:
    assert not lost_connection(error)
    assert not lost_connection(wrapped(error))


def test_an_error_that_is_its_own_cause_ends() -> None:
    error = RuntimeError("round")
    error.__cause__ = other = RuntimeError("and round")
    other.__cause__ = error
    assert not lost_connection(error)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), ALLOCATION])
def test_out_of_memory(error: Exception) -> None:
    assert out_of_memory(wrapped(error))
    assert not out_of_memory(wrapped(CLOSED))


def test_lack_of_memory_comes_with_the_plans_bytes_and_the_fix() -> None:
    error = wrapped(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    with pytest.raises(RankError) as told, tells_memory(0, lambda: (3_500_000_000, 80_000_000_000)):
        raise error
    text = str(told.value)
    assert text.startswith("rank 0 at recv kv b0.c from r1: CUDA out of memory. Tried to allocate 2.00 GiB; ")
    assert "the plan needs 3.50 GB here, of the 80.00 GB" in text
    assert "more ranks" in text


def test_lack_of_memory_before_the_first_action() -> None:
    expected = r"^rank 2 as it prepares: no memory; out of memory"
    with pytest.raises(RankError, match=expected), tells_memory(2, lambda: (1, 2)):
        raise MemoryError


def test_other_errors_pass() -> None:
    expected = r"^rank 0 at recv kv b0\.c from r1: out of luck$"
    with pytest.raises(RankError, match=expected), tells_memory(0, lambda: (1 // 0, 0)):
        raise wrapped(ValueError("out of luck"))


def test_endings() -> None:
    assert "killed by SIGKILL" in ending(-9)
    assert "out of memory" in ending(-9)
    assert "PYTHONFAULTHANDLER" in ending(-11)
    assert ending(-signal.SIGUSR1) == "killed by SIGUSR1"
    assert "exit code 3" in ending(3)
    assert ending(-signal.SIGRTMIN) == "killed by SIGRTMIN"
    assert ending(-(signal.SIGRTMIN + 1)) == f"killed by signal {signal.SIGRTMIN + 1}"
