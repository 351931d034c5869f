"""Hands finished blocks on as frames: to a callback, a file, a pipe, several of them, and in the stream's order.

Frames are [F, H, W, 3] uint8.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from torch import Tensor

from executor.errors import OutputError

# Takes a block's number and its frames; called once a block, in the stream's order.
FrameSink: TypeAlias = Callable[[int, Tensor], None]


def fan_out(*sinks: FrameSink) -> FrameSink:
    """A sink that gives each block to all of `sinks`, in their order."""

    def give(block: int, frames_FHWC: Tensor) -> None:
        for sink in sinks:
            sink(block, frames_FHWC)

    return give


class InOrder:
    """Puts blocks that finish out of order, on several ranks, back in order; a context, safe to call from any thread.

    At most `limit` blocks wait for an earlier one. Where one more comes, `put` waits up to `wait_s` for room, which
    only helps if another thread brings the missing block.
    """

    def __init__(self, sink: FrameSink, *, limit: int, first: int = 0, wait_s: float = 0.0) -> None:
        self._sink, self._limit, self._wait_s = sink, limit, wait_s
        self._next = first
        self._held: dict[int, Tensor] = {}
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    @property
    def next_block(self) -> int:
        """The block that goes out next: all before it have been handed on."""
        return self._next

    def put(self, block: int, frames_FHWC: Tensor) -> None:
        """Hands the block on, and those that waited for it, or holds it until the ones before it are there.

        Raises OutputError if the block came before, if there is no room for it, or if the sink has failed; and
        whatever the sink raises.
        """
        with self._changed:
            self._await_room(block)
            if block < self._next or block in self._held:
                raise OutputError(f"block {block} came twice")
            self._held[block] = frames_FHWC
            try:
                while self._next in self._held:
                    self._sink(self._next, self._held.pop(self._next))
                    self._next += 1
            except BaseException as error:
                self._failure = error
                raise
            finally:
                self._changed.notify_all()

    def _await_room(self, block: int) -> None:
        deadline = time.monotonic() + self._wait_s
        while block > self._next and len(self._held) >= self._limit and self._failure is None:
            if not self._changed.wait(deadline - time.monotonic()):
                raise OutputError(
                    f"block {block} cannot wait for block {self._next}: {self._limit} blocks wait already "
                    f"({', '.join(map(str, sorted(self._held)))}); raise the limit, or decode on fewer ranks"
                )
        if self._failure is not None:
            raise OutputError(f"the output failed before block {block}: {self._failure}") from self._failure

    def close(self) -> None:
        """Raises OutputError if blocks still wait for one that never came."""
        if self._held:
            waiting = ", ".join(map(str, sorted(self._held)))
            raise OutputError(f"block {self._next} never came; blocks {waiting} waited for it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
