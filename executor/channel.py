"""`Channel`: how ranks hand tensors to one another; over threads in tests, over `torch.distributed` for real.

Sends and receives are posted and return at once; `wait` on what they return blocks until the transfer is done. A
transfer is named by its payload, which a plan sends at most once over a link.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from executor.errors import RankError
from planner.action import Payload

PATIENCE_S = 300.0


class Pending(Protocol):
    """A posted transfer."""

    def wait(self) -> None:
        """Blocks until the tensor may be read (receive) or reused (send)."""


class Channel(Protocol):
    """One rank's end of the connections to all others."""

    rank: int
    size: int

    def send(self, payload: Payload, tensor: Tensor, target: int) -> Pending:
        """Posts a send of a contiguous tensor."""

    def receive(self, payload: Payload, tensor: Tensor, source: int) -> Pending:
        """Posts a receive into a contiguous tensor."""

    def barrier(self) -> None:
        """Returns once every rank has called it."""

    def broadcast(self, value: int) -> int:
        """Rank 0's value, on every rank."""

    def gather(self, value: Any) -> list[Any] | None:
        """Every rank's value by rank, on rank 0; None elsewhere. Values are the project's own, never a stranger's."""


class _Copied:
    """A transfer that is done by the time it is waited for, or when an event says so."""

    def __init__(self, finish: Callable[[], None] = lambda: None) -> None:
        self._finish = finish

    def wait(self) -> None:
        self._finish()


class LocalWorld:
    """What the threads of a `LocalChannel` share: mailboxes, a barrier, and whether a rank has failed."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size)
        self.arrived: dict[tuple[int, int, Payload], Tensor] = {}
        self.gathered: dict[int, Any] = {}
        self.shared = 0
        self.changed = threading.Condition()
        self.failed = False

    def channel(self, rank: int) -> LocalChannel:
        return LocalChannel(self, rank)

    def fail(self) -> None:
        """Wakes every rank that waits, to stop."""
        with self.changed:
            self.failed = True
            self.changed.notify_all()
        self.barrier.abort()


class LocalChannel:
    """Ranks as threads of one process; a send copies its tensor at once."""

    def __init__(self, world: LocalWorld, rank: int) -> None:
        self._world = world
        self.rank = rank
        self.size = world.size

    def send(self, payload: Payload, tensor: Tensor, target: int) -> Pending:
        with self._world.changed:
            self._world.arrived[self.rank, target, payload] = tensor.clone()
            self._world.changed.notify_all()
        return _Copied()

    def receive(self, payload: Payload, tensor: Tensor, source: int) -> Pending:
        key = (source, self.rank, payload)

        def finish() -> None:
            with self._world.changed:
                done = self._world.changed.wait_for(
                    lambda: self._world.failed or key in self._world.arrived, PATIENCE_S
                )
                if self._world.failed or not done:
                    raise RankError(f"rank {self.rank}: {payload} from rank {source} never came")
                tensor.copy_(self._world.arrived.pop(key))

        return _Copied(finish)

    def barrier(self) -> None:
        try:
            self._world.barrier.wait(PATIENCE_S)
        except threading.BrokenBarrierError:
            raise RankError(f"rank {self.rank}: another rank failed before the barrier") from None

    def broadcast(self, value: int) -> int:
        if self.rank == 0:
            self._world.shared = value
        self.barrier()
        return self._world.shared

    def gather(self, value: Any) -> list[Any] | None:
        self._world.gathered[self.rank] = value
        self.barrier()
        return [self._world.gathered[rank] for rank in range(self.size)] if self.rank == 0 else None


class TorchChannel:
    """Ranks of a `torch.distributed` world: gloo on CPU, NCCL on CUDA.

    gloo matches messages by tag. NCCL matches them by order, and one communicator serves both directions in turn, so
    each directed link that the plan uses gets a group of its own, made in the same order on all ranks.
    """

    def __init__(self, links: Sequence[tuple[int, int]], tags: dict[Payload, int]) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._tags = tags
        self._groups: dict[tuple[int, int], dist.ProcessGroup | None] = defaultdict(lambda: None)
        if dist.get_backend() == "nccl":
            for link in sorted(links):
                self._groups[link] = dist.new_group(sorted(link))

    def send(self, payload: Payload, tensor: Tensor, target: int) -> Pending:
        return _Work(dist.isend(tensor, target, self._groups[self.rank, target], self._tags[payload]), tensor)

    def receive(self, payload: Payload, tensor: Tensor, source: int) -> Pending:
        return _Work(dist.irecv(tensor, source, self._groups[source, self.rank], self._tags[payload]), tensor)

    def barrier(self) -> None:
        dist.barrier()

    def broadcast(self, value: int) -> int:
        box = torch.tensor([value], dtype=torch.int64)
        if dist.get_backend() == "nccl":
            box = box.cuda()
        dist.broadcast(box, 0)
        return int(box.item())

    def gather(self, value: Any) -> list[Any] | None:
        gathered: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, gathered)
        return gathered


class _Work:
    """A `torch.distributed` request; holds its tensor, which must live until it is done."""

    def __init__(self, work: dist.Work | None, tensor: Tensor) -> None:
        assert work is not None, "this rank is in no group of the link"
        self._work = work
        self._tensor = tensor

    def wait(self) -> None:
        self._work.wait()
