"""A sink at work beside the one who fills it: encoding and copying from the device hold up no rank.

Frames are [F, H, W, 3] uint8.
"""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Self

from torch import Tensor

from executor.errors import OutputError
from executor.output.stream_out import FrameSink


class Background:
    """Runs a sink in a thread of its own, in order; a context, and its `write` is a sink.

    At most `depth` blocks wait for the sink; one more waits in `write`, up to `stall_s`. On CUDA the frames must have
    been made on the default stream, or be finished: the sink's thread copies them there.
    """

    def __init__(self, sink: FrameSink, *, depth: int = 4, stall_s: float = 60.0) -> None:
        self._sink, self._stall_s = sink, stall_s
        self._waiting: queue.Queue[tuple[int, Tensor] | None] = queue.Queue(max(1, depth))
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)
        self._thread.start()

    def write(self, block: int, frames_FHWC: Tensor) -> None:
        """Leaves the block with the sink. Raises OutputError if the sink has failed, or takes nothing for too long."""
        self._raise_failure()
        self._leave((block, frames_FHWC))

    def close(self) -> None:
        """Waits until all that was written has gone out. Raises OutputError if it did not."""
        if self._thread.is_alive():
            self._leave(None)
            self._thread.join(self._stall_s)
            if self._thread.is_alive():
                raise OutputError(f"the output did not finish within {self._stall_s:g} s")
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if kind is None:
                raise

    def _leave(self, item: tuple[int, Tensor] | None) -> None:
        try:
            self._waiting.put(item, timeout=self._stall_s)
        except queue.Full:
            raise OutputError(f"the output took no block for {self._stall_s:g} s") from None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            if isinstance(self._failure, OutputError):
                raise self._failure
            raise OutputError(f"the output failed: {self._failure}") from self._failure

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            # After a failure the rest is only taken away, so that nobody waits for room.
            if self._failure is None:
                try:
                    self._sink(*item)
                except BaseException as error:
                    self._failure = error
