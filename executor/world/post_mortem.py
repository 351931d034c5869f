"""What a failed rank leaves behind: its error for torchrun's summary, and torch's flight recorder."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from torch._C import _distributed_c10d as c10d
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

DUMP_S = 5.0  # symbols of stack traces take a second or two to find


class PostMortem(NamedTuple):
    """Where one rank leaves what."""

    error_file: bool  # a torchrun waits for one
    flights: str  # where the recorder's dumps go, less the rank's number; empty for none
    rank: int

    def report(self, error: Exception) -> None:
        """Called once, as the rank ends."""
        if self.error_file:
            get_error_handler().record_exception(error)
        if self.flights:
            # The recorder's lock may be held by a call that never returns.
            writer = threading.Thread(target=self._dump, daemon=True)
            writer.start()
            writer.join(DUMP_S)

    def _dump(self) -> None:
        """The latest collectives of this rank, for `torchfrtrace` to compare with those of the others."""
        dump = getattr(c10d, "_dump_nccl_trace", None) or getattr(c10d, "_dump_fr_trace")  # noqa: B009  # not in stubs
        with suppress(OSError, RuntimeError):
            Path(f"{self.flights}{self.rank}").write_bytes(dump())
