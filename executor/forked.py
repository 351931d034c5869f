"""Runs a function on local ranks: forked processes that end together, whatever happens to one of them."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, TypeVar

import torch

from executor.errors import RankError
from executor.process_group import World, local_world
from models.errors import BlockcascadeError

T = TypeVar("T")
GRACE_S = 5.0


def on_local_ranks(size: int, function: Callable[[World], T]) -> list[T]:
    """The function's result on each rank, in rank order; each rank computes on one thread.

    Results must pickle (they come back over a pipe of our own). Raises RankError naming the first rank that failed
    and why; the others are stopped.
    """
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="blockcascade-") as folder:
        pipes: list[Connection] = []
        processes: list[ForkProcess] = []
        grace_s = 0.0
        try:
            for rank in range(size):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(
                    target=_rank_main, args=(function, local_world(rank, size, folder), theirs), daemon=True
                )
                process.start()
                theirs.close()
                pipes.append(ours)
                processes.append(process)
            results = _collect(pipes, processes)
            grace_s = GRACE_S
            return results
        finally:
            _stop(processes, grace_s)


def _rank_main(function: Callable[[World], Any], world: World, pipe: Connection) -> None:
    torch.set_num_threads(1)
    try:
        pipe.send((True, function(world)))
    except BlockcascadeError as error:
        pipe.send((False, (time.monotonic_ns(), str(error))))
    except BaseException:
        pipe.send((False, (time.monotonic_ns(), f"rank {world.rank}: {traceback.format_exc()}")))
    finally:
        pipe.close()


def _collect(pipes: list[Connection], processes: list[ForkProcess]) -> list[Any]:
    results: dict[int, Any] = {}
    open_pipes = {pipe: rank for rank, pipe in enumerate(pipes)}
    while open_pipes:
        failures = []
        for ready in wait(list(open_pipes)):
            assert isinstance(ready, Connection)
            rank = open_pipes.pop(ready)
            try:
                fine, result = ready.recv()
            except EOFError:
                processes[rank].join(GRACE_S)
                fine, result = False, (0, f"rank {rank} died (exit code {processes[rank].exitcode})")
            if fine:
                results[rank] = result
            else:
                failures.append(result)
        if failures:
            # The first to fail is the cause; the others lost it as a peer.
            raise RankError(min(failures)[1])
    return [results[rank] for rank in range(len(pipes))]


def _stop(processes: list[ForkProcess], grace_s: float) -> None:
    """Lets ranks end by themselves for so long, then ends them."""
    for process in processes:
        process.join(grace_s)
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()
