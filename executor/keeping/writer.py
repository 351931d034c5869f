"""Writes to disk beside the rank: what it hands over is copied at once, so that the rank may go on and overwrite it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from types import TracebackType
from typing import NamedTuple, Self

import torch
from torch import Tensor

from executor.errors import OutputError

DEPTH = 8  # writes that wait at most; one more holds up the rank
STALL_S = 300.0


class Copied(NamedTuple):
    """Tensors on their way to the host."""

    tensors: dict[str, Tensor]
    done: torch.cuda.Event | None

    def wait(self) -> dict[str, Tensor]:
        """The tensors, once they are there."""
        if self.done is not None:
            self.done.synchronize()
        return self.tensors


def copied(tensors: Mapping[str, Tensor]) -> Copied:
    """Copies of the tensors on the host; on CUDA the stream copies them in its turn, and nothing here waits for it."""
    if not any(tensor.is_cuda for tensor in tensors.values()):
        return Copied({key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}, None)
    there = {key: torch.empty(value.shape, dtype=value.dtype, pin_memory=True) for key, value in tensors.items()}
    for key, tensor in tensors.items():
        there[key].copy_(tensor.detach(), non_blocking=True)
    done = torch.cuda.Event()
    done.record()
    return Copied(there, done)


class Writer:
    """A thread that does jobs in order; a context that ends when all are done."""

    def __init__(self, *, depth: int = DEPTH, stall_s: float = STALL_S) -> None:
        self._depth, self._stall_s = depth, stall_s
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: deque[Future[None]] = deque()

    def do(self, job: Callable[[], None]) -> None:
        """Leaves a job with the thread. Raises what an earlier one raised, or OutputError if none ends for too long."""
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._depth):
            self._finish(self._waiting.popleft())
        self._waiting.append(self._thread.submit(job))

    def close(self) -> None:
        """Returns once all is written. Raises as `do` does."""
        try:
            while self._waiting:
                self._finish(self._waiting.popleft())
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _finish(self, job: Future[None]) -> None:
        try:
            job.result(self._stall_s)
        except TimeoutError:
            raise OutputError(f"the run's folder took nothing for {self._stall_s:g} s; is its disk there?") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        # What is finished is worth keeping, whatever has gone wrong; but the first error is the one to tell.
        try:
            self.close()
        except Exception:
            return
