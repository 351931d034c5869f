"""Ranks as threads of one process: a send copies its tensor at once."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from torch import Tensor

from executor.channels.channel import Pending, Together
from executor.errors import RankError
from planner.action import Payload

PATIENCE_S = 300.0
_WORK = "work done together"


class LocalWorld:
    """What the threads share: mailboxes, a barrier, and whether a rank has failed."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size)
        self.arrived: dict[tuple[int, int, Hashable], deque[Tensor]] = defaultdict(deque)
        self.gathered: dict[int, Any] = {}
        self.shared: Any = None
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
    """One thread's end."""

    packs = False

    def __init__(self, world: LocalWorld, rank: int) -> None:
        self._world = world
        self.rank = rank
        self.size = world.size

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        return self._post((payload, live), tensor, target)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        return self._await((payload, live), tensor, source, str(payload))

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        posted = [self._post(_WORK, part, target) for target, parts in outs.items() for part in parts]
        coming = [self._await(_WORK, room, source, "its part") for source, parts in rooms.items() for room in parts]
        return Together(posted + coming)

    def barrier(self) -> None:
        try:
            self._world.barrier.wait(PATIENCE_S)
        except threading.BrokenBarrierError:
            raise RankError(f"rank {self.rank}: another rank failed before the barrier") from None

    def broadcast(self, value: Any) -> Any:
        if self.rank == 0:
            self._world.shared = value
        self.barrier()
        shared = self._world.shared
        self.barrier()  # nobody may write the next before all have read this one
        return shared

    def gather(self, value: Any) -> list[Any] | None:
        self._world.gathered[self.rank] = value
        self.barrier()
        return [self._world.gathered[rank] for rank in range(self.size)] if self.rank == 0 else None

    def _post(self, key: Hashable, tensor: Tensor, target: int) -> Pending:
        with self._world.changed:
            self._world.arrived[self.rank, target, key].append(tensor.clone())
            self._world.changed.notify_all()
        return _Done()

    def _await(self, key: Hashable, tensor: Tensor, source: int, what: str) -> Pending:
        box = (source, self.rank, key)

        def finish() -> None:
            world = self._world
            with world.changed:
                done = world.changed.wait_for(lambda: world.failed or bool(world.arrived.get(box)), PATIENCE_S)
                if world.failed or not done:
                    raise RankError(f"rank {self.rank}: {what} from rank {source} never came")
                arrived = world.arrived[box].popleft()
                if not world.arrived[box]:
                    del world.arrived[box]
            tensor.copy_(arrived)

        return _Done(finish)


class _Done:
    """A transfer that is over once it is waited for."""

    def __init__(self, finish: Callable[[], None] = lambda: None) -> None:
        self._finish = finish

    def wait(self) -> None:
        self._finish()
