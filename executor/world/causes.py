"""Why a rank failed, in words: from an exception, or from how its process ended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from executor.errors import RankError

# What gloo and NCCL say when it is the other side that failed.
LOST = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited", "ncclRemoteError", "Socket closed")
FULL = ("DefaultCPUAllocator", "out of memory")


def lost_connection(error: BaseException) -> bool:
    """Whether the error is only what another rank's failure looks like from here."""
    return any(
        isinstance(link, dist.DistNetworkError)
        or (isinstance(link, RuntimeError | OSError) and any(word in str(link) for word in LOST))
        for link in _chain(error)
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether host or device had no memory left."""
    return any(
        isinstance(link, torch.OutOfMemoryError | MemoryError)
        or (isinstance(link, RuntimeError) and any(word in str(link) for word in FULL))
        for link in _chain(error)
    )


def ending(exit_code: int) -> str:
    """How a process ended that said nothing more."""
    if exit_code >= 0:
        return f"its process ended without a result (exit code {exit_code})"
    name = next((known.name for known in signal.Signals if known == -exit_code), f"signal {-exit_code}")
    hints = {
        "SIGKILL": "; not by us: by hand, or by the kernel, out of memory (dmesg tells): use fewer ranks per machine",
        "SIGSEGV": "; a crash in native code: PYTHONFAULTHANDLER=1 shows where",
        "SIGABRT": "; native code gave up: what it said is above",
        "SIGBUS": "; shared memory or a disk is full: see /dev/shm",
    }
    return f"killed by {name}{hints.get(name, '')}"


@contextmanager
def tells_memory(rank: int, bytes_of: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Within: lack of memory is a RankError that also says what the plan foresaw, and the fix.

    `bytes_of` gives what the plan needs on this rank and what its device has; it is called only then.
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        text = (
            str(error) if isinstance(error, RankError) else f"rank {rank} as it prepares: {str(error) or 'no memory'}"
        )
        planned, there = bytes_of()
        raise RankError(
            f"{text.rstrip('.')}; out of memory: the plan needs {planned / 1e9:.2f} GB here, of the {there / 1e9:.2f} "
            "GB that its problem gives this device. Give the cluster's devices the memory that is really free, so that "
            "the planner keeps within it, or plan for more ranks, a decoder apart (PLACEMENT+decoder) or fewer blocks "
            "in flight"
        ) from error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it came from."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        link = link.__cause__ or link.__context__
