"""Ranks of a `torch.distributed` world: gloo on CPU, NCCL on CUDA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from executor.channel import Pending, Together
from planner.action import LEAVING, Kind, Payload, TimedAction
from planner.flow import Flow

WORK_TAG = 0  # of exchanges; payloads are numbered from 1


class Wiring(NamedTuple):
    """What ranks must know of one another's transfers before they start: the same on all of them.

    `links`: directed, and whether live; `gangs`: ranks that work together.
    """

    tags: Mapping[Payload, int]
    links: Sequence[tuple[int, int, bool]]
    gangs: Sequence[tuple[int, ...]]


def wiring(ranks: Sequence[Sequence[TimedAction]], flow: Flow) -> Wiring:
    """The wiring of a plan's rows."""
    sends = [(rank, row.action) for rank, rows in enumerate(ranks) for row in rows if row.action.kind in LEAVING]
    links = sorted({(rank, a.peer, a.kind is Kind.STREAM) for rank, a in sends if a.peer is not None})
    payloads = sorted({action.payload for _, action in sends}, key=str)
    units = [unit for unit in flow.layout.units[: flow.layout.denoising] if len(unit) > 1]
    # In a gang's tick each rank exchanges with those of its own place in the other units.
    members = list(zip(*flow.layout.units[: flow.layout.denoising], strict=True)) if flow.pattern.is_joint else []
    gangs = sorted({*units, *(ranks for ranks in members if len(ranks) > 1)})
    return Wiring({payload: number for number, payload in enumerate(payloads, 1)}, links, gangs)


class TorchChannel:
    """gloo matches messages by tag, and those of one tag by order.

    NCCL matches by order alone, and one communicator serves both directions in turn. So each directed link that the
    plan uses gets a group of its own, one more if payloads go over it live, and each gang one: made in the same order
    on all ranks. Each group has its own stream on the device.
    """

    packs = False

    def __init__(self, wiring: Wiring) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._tags = wiring.tags
        self._links: dict[tuple[int, int, bool], dist.ProcessGroup | None] = {}
        self._gangs: dict[int, dist.ProcessGroup | None] = {}
        self._nccl = "nccl" in dist.get_backend()
        if self._nccl:
            self._make_groups(wiring)

    def _make_groups(self, wiring: Wiring) -> None:
        for source, target, live in wiring.links:
            self._links[source, target, live] = dist.new_group(sorted((source, target)), backend="nccl")
        for ranks in wiring.gangs:
            group = dist.new_group(list(ranks), backend="nccl")
            if self.rank in ranks:
                self._gangs |= {peer: group for peer in ranks if peer != self.rank}
        self._connect(wiring)

    def _connect(self, wiring: Wiring) -> None:
        """One number over each link: NCCL connects two ranks when they first talk, which takes long."""
        for source, target, live in wiring.links:
            number, group = torch.zeros(1, device="cuda"), self._links[source, target, live]
            if self.rank == source:
                _Work(dist.isend(number, target, group), number).wait()
            elif self.rank == target:
                _Work(dist.irecv(number, source, group), number).wait()
        for ranks in wiring.gangs:
            if self.rank in ranks:
                peers = [peer for peer in ranks if peer != self.rank]
                numbers = torch.zeros(2, len(peers), device="cuda").unbind(1)
                self.exchange(
                    {peer: pair[:1] for peer, pair in zip(peers, numbers, strict=True)},
                    {peer: pair[1:] for peer, pair in zip(peers, numbers, strict=True)},
                ).wait()

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        group = self._links.get((self.rank, target, live))
        return _Work(dist.isend(tensor, target, group, self._tags[payload]), tensor)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        group = self._links.get((source, self.rank, live))
        return _Work(dist.irecv(tensor, source, group, self._tags[payload]), tensor)

    def exchange(self, outs: Mapping[int, Tensor], rooms: Mapping[int, Tensor]) -> Pending:
        if not self._nccl:
            leaving = [_Work(dist.isend(tensor, peer, None, WORK_TAG), tensor) for peer, tensor in outs.items()]
            coming = [_Work(dist.irecv(room, peer, None, WORK_TAG), room) for peer, room in rooms.items()]
            return Together([*leaving, *coming])
        ops = [dist.P2POp(dist.isend, tensor, peer, self._gangs[peer]) for peer, tensor in outs.items()]
        ops += [dist.P2POp(dist.irecv, room, peer, self._gangs[peer]) for peer, room in rooms.items()]
        return Together([_Work(work, ops) for work in dist.batch_isend_irecv(ops)]) if ops else Together([])

    def barrier(self) -> None:
        # Of a tensor on the CPU, which goes over gloo wherever the ranks compute.
        dist.all_reduce(torch.zeros(1))

    def broadcast(self, value: Any) -> Any:
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def gather(self, value: Any) -> list[Any] | None:
        gathered: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, gathered)
        return gathered


class _Work:
    """A `torch.distributed` request; holds its tensors, which must live until it is done."""

    def __init__(self, work: dist.Work | None, tensors: object) -> None:
        assert work is not None, "this rank is in no group of the link"
        self._work = work
        self._tensors = tensors

    def wait(self) -> None:
        self._work.wait()
