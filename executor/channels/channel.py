"""`Channel`: how ranks hand tensors to one another; `LocalChannel` over threads, `TorchChannel` over processes.

Transfers are posted and return at once; `wait` on what they return blocks until it is done. On one link, messages of
one payload arrive in the order they were sent: a payload goes once, or layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from planner.action import Payload


class Pending(Protocol):
    """A posted transfer."""

    def wait(self) -> None:
        """Blocks until the tensors may be read (receive) or reused (send); on CUDA, the stream does."""


class Channel(Protocol):
    """One rank's end of the connections to all others. `packs`: K/V is packed on its way (see `packed`)."""

    rank: int
    size: int
    packs: bool

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        """Posts a send of a tensor, contiguous or K/V as in its slot (see `pieces`), which must not change until
        the send is waited for; `live` if it is a layer of a payload that is being made.
        """

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        """Posts a receive into a tensor of the same shape, likewise; what it held is lost at once or any time later."""

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        """Posts what goes to and comes from each peer at one step of work that ranks do together; contiguous tensors,
        those between two ranks in the same order on both.

        Two ranks that work together make their exchanges in the same order.
        """

    def barrier(self) -> None:
        """Returns once every rank has called it."""

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank; as for `gather`."""

    def gather(self, value: Any) -> list[Any] | None:
        """Every rank's value by rank, on rank 0; None elsewhere. Values are the project's own, never a stranger's."""


class Together:
    """Several transfers as one."""

    def __init__(self, parts: list[Pending]) -> None:
        self._parts = parts

    def wait(self) -> None:
        for part in self._parts:
            part.wait()
