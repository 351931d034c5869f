"""Starts and leaves a `torch.distributed` world: the only reader of the environment.

A world is one of local ranks that `forked` starts and judges, or a launcher's: `torchrun`'s or any other's that gives
each process RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. In a launcher's world the ranks judge one another
(`watch`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, though not declared so

from executor.errors import WorldError
from executor.world.limits import Limits
from executor.world.meeting import Meeting, meet
from executor.world.post_mortem import PostMortem
from executor.world.pulse import Pulse
from executor.world.signals import ends_after
from executor.world.watch import Watch

Facts = Callable[[], Mapping[str, str]]


class World(NamedTuple):
    """This process's place among the ranks; `rendezvous` is where they meet (a torch init method).

    `pulse` is there when the parent judges; `restarts` counts how often the launcher has started these ranks anew.
    """

    rank: int
    size: int
    local_rank: int
    rendezvous: str
    pulse: Pulse | None = None
    restarts: int = 0


def from_environment() -> World | None:
    """The world that a launcher announces, or None outside of one. Raises WorldError if the announcement is damaged."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    rank, size = _whole("RANK", 0), _whole("WORLD_SIZE", 1)
    if not 0 <= rank < size:
        raise WorldError(f"RANK is {rank}, but must be 0..{size - 1}: WORLD_SIZE is {size}; mend the launcher's call")
    return World(rank, size, _whole("LOCAL_RANK", rank), "env://", restarts=_whole("TORCHELASTIC_RESTART_COUNT", 0))


def limits_from_environment() -> Limits:
    """The limits, each as BLOCKCASCADE_<NAME> says (seconds). Raises WorldError for one that is no positive number."""
    given = Limits()
    for name, usual in given._asdict().items():
        text = os.environ.get(f"BLOCKCASCADE_{name.upper()}", str(usual))
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < 1e6:
            raise WorldError(f"BLOCKCASCADE_{name.upper()} is {text!r}, but must be a number of seconds above 0")
        given = given._replace(**{name: seconds})
    return given


def local_world(rank: int, size: int, folder: str, pulse: Pulse | None = None) -> World:
    """A world of processes on this machine that meet in a file of `folder`."""
    return World(rank, size, rank, f"file://{folder}/rendezvous", pulse)


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
def joined(world: World, device: torch.device, facts: Facts = dict) -> Iterator[Pulse]:
    """Within: this process is a rank of the world, over gloo and, on CUDA, NCCL. The value is to be told each action.

    In a launcher's world the ranks first compare `facts`. Raises WorldError, on all ranks, if one differs or does not
    come within `rendezvous_s`; on each rank that has come, it names them.
    """
    limits = limits_from_environment()
    if device.type == "cuda":
        ready_cuda()
        torch.cuda.set_device(device)
    if world.rendezvous.startswith("file://"):
        # Local ranks need no name resolution: a machine without one could not find its own interface.
        if device.type == "cpu":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with _group(world, device, None, limits):
            yield world.pulse or Pulse()
        return
    meeting, pulse = _met(world, facts, limits), Pulse()
    with Watch(meeting, pulse, limits, _post_mortem(world.rank).report), _group(world, device, meeting, limits):
        yield pulse


@contextmanager
def _group(world: World, device: torch.device, meeting: Meeting | None, limits: Limits) -> Iterator[None]:
    """Within: torch's default process group is there, and every rank has reached it."""
    # Who is late is the judge's to say, long before; this only ends what no judge is left to see.
    timeout = timedelta(seconds=limits.prepare_s)
    place = {"init_method": world.rendezvous} if meeting is None else {"store": meeting.torch_store}
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, rank=world.rank, world_size=world.size, timeout=timeout, **place)
    control = None if backend == "gloo" else dist.new_group(backend="gloo", timeout=timeout)
    try:
        dist.monitored_barrier(control, timedelta(seconds=limits.rendezvous_s), wait_all_ranks=True)
    except RuntimeError as error:
        raise WorldError(f"ranks that met cannot reach each other: {error}; see GLOO_SOCKET_IFNAME") from error
    yield
    # Not after a failure: leaving would fail the other ranks before this one could say why it stopped.
    dist.destroy_process_group()


def _met(world: World, facts: Facts, limits: Limits) -> Meeting:
    """All ranks of a launcher's world, in agreement."""
    address = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not address[0] or not address[1].isdecimal():
        raise WorldError("RANK and WORLD_SIZE are set, but MASTER_ADDR and MASTER_PORT, where ranks meet, are not")
    by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    host = None if by_agent else 0
    store = _store(address[0], int(address[1]), host == world.rank, limits.rendezvous_s)
    keeper = f"the launcher's store at {':'.join(address)}" if by_agent else "rank 0, which keeps the ranks' store,"
    with ends_after(limits.rendezvous_s + limits.stall_s, f"rank {world.rank} stops: {keeper} does not answer"):
        return meet(store, world.rank, world.size, facts(), limits, host=host, keeper=keeper)


@cache  # as long as the process: who leaves one world may enter the next before the others have left
def _store(host: str, port: int, hosts: bool, timeout_s: float) -> TCPStore:
    try:
        return TCPStore(
            host,
            port,
            is_master=hosts,
            timeout=timedelta(seconds=timeout_s),
            wait_for_workers=False,
            multi_tenant=True,
        )
    except dist.DistError as error:
        what = "cannot keep a store at" if hosts else "nobody keeps a store at"
        raise WorldError(f"{what} MASTER_ADDR:MASTER_PORT {host}:{port}: {error}") from error


# What a rank's CUDA context and NCCL must be told, unless the user has told them otherwise.
CUDA_NEEDS = {
    # Streams share 8 queues otherwise, and a pass could lie behind a receive that waits for what the pass makes.
    "CUDA_DEVICE_MAX_CONNECTIONS": "32",
    # Loading a kernel when it is first called may wait for all that runs, receives among it.
    "CUDA_MODULE_LOADING": "EAGER",
    # torch's flight recorder notes NCCL's latest calls, and dumps them when one times out.
    "TORCH_FR_BUFFER_SIZE": "2000",
    "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
}


def ready_cuda() -> None:
    """Sets what CUDA reads once, when its context is made: to be called before."""
    for name, value in CUDA_NEEDS.items():
        os.environ.setdefault(name, value)


def _post_mortem(rank: int) -> PostMortem:
    """What to leave behind, as torchrun and torch's flight recorder are told by the environment."""
    places = (os.environ.get(name) for name in ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"))
    return PostMortem(bool(os.environ.get("TORCHELASTIC_ERROR_FILE")), next(filter(None, places), ""), rank)


def _whole(name: str, usual: int) -> int:
    text = os.environ.get(name, str(usual))
    if not text.lstrip("-").isdecimal():
        raise WorldError(f"{name} must be a whole number, not {text!r}")
    return int(text)
