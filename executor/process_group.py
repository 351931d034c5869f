"""Starts and leaves a `torch.distributed` world: the only reader of the environment.

A world is either `torchrun`'s, announced by RANK and WORLD_SIZE, or one of local ranks that `launch` forks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist

from executor.errors import WorldError

PATIENCE = timedelta(minutes=5)


class World(NamedTuple):
    """This process's place among the ranks; `rendezvous` is where they meet (a torch init method)."""

    rank: int
    size: int
    local_rank: int
    rendezvous: str


def from_environment() -> World | None:
    """The world `torchrun` announces, or None outside of it. Raises WorldError if the announcement is damaged."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        return World(rank, size, int(os.environ.get("LOCAL_RANK", rank)), "env://")
    except ValueError as error:
        raise WorldError(f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers: {error}") from error


def local_world(rank: int, size: int, folder: str) -> World:
    """A world of processes on this machine that meet in a file of `folder`."""
    return World(rank, size, rank, f"file://{folder}/rendezvous")


def device_of(kind: str, local_rank: int) -> torch.device:
    """The torch device for a rank planned on a device of that kind. Raises WorldError if this machine lacks it."""
    if kind.startswith("cpu"):
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise WorldError(
            f"the plan wants a {kind} for local rank {local_rank}, but this machine has {torch.cuda.device_count()} "
            "CUDA device(s); plan for what is here, e.g. --device cpu-core"
        )
    return torch.device("cuda", local_rank)


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """Within: this process is a rank of the world, over NCCL on CUDA and gloo on the CPU."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    elif world.rendezvous.startswith("file://"):
        # Local ranks need no name resolution: a machine without one could not find its own interface.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=world.rendezvous,
        rank=world.rank,
        world_size=world.size,
        timeout=PATIENCE,
    )
    yield
    # Not after a failure: leaving would fail the other ranks before this one could say why it stopped.
    dist.destroy_process_group()
