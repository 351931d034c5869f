"""Ranks of a `torch.distributed` world: gloo on CPU, NCCL on CUDA."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from executor.channels.channel import Pending, Together
from executor.channels.pieces import in_pieces, pieces_of
from executor.errors import WorldError
from executor.world.process_group import limits_from_environment
from planner.action import LEAVING, Kind, Payload, TimedAction
from planner.flow import Flow

WORK_TAG = 0  # of exchanges; payloads are numbered from 1
NCCL = "nccl"
IN_SLOTS = frozenset({"kv", "context"})

# CUDA keeps at most 32 streams apart (`process_group.CUDA_NEEDS`), and torch has as many: one is the compute stream's.
MOST_STREAMS = 31
# Of a link's kernels, each of which holds a multiprocessor from when it is posted until its peer has come: with NCCL's
# own number, up to 32, a few early receives would leave no room for the passes that they wait for.
LINK_CTAS = 4


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
    on all ranks. Each group has its own stream on the device, which waits for the compute stream as it was when the
    transfer was posted; `wait` lets the compute stream wait, never the host.

    Raises WorldError if a rank would have more such groups than CUDA keeps streams apart.
    """

    packs = False

    def __init__(self, wiring: Wiring) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._tags = wiring.tags
        self._links: dict[tuple[int, int, bool], dist.ProcessGroup | None] = {}
        self._gangs: dict[int, dist.ProcessGroup | None] = {}
        self._under_way: deque[_Work] = deque()
        self._by_group = groups_of()
        if self._by_group is not None:
            require_streams(wiring)
            self._make_groups(wiring, self._by_group)
            self._connect(wiring, torch.device("cuda" if self._by_group == NCCL else "cpu"))

    def _make_groups(self, wiring: Wiring, backend: str) -> None:
        for source, target, live in wiring.links:
            self._links[source, target, live] = _new_group((source, target), backend, LINK_CTAS)
        for ranks in wiring.gangs:
            group = _new_group(ranks, backend)
            if self.rank in ranks:
                self._gangs |= {peer: group for peer in ranks if peer != self.rank}

    def _connect(self, wiring: Wiring, device: torch.device) -> None:
        """One number over each group, in the same order on all ranks: NCCL connects ranks when they first talk, which
        takes long and holds up the host.
        """
        for (source, target, _), group in self._links.items():
            number = torch.zeros(1, device=device)
            if self.rank == source:
                self._post(dist.isend, [number], target, group, WORK_TAG).wait()
            elif self.rank == target:
                self._post(dist.irecv, [number], source, group, WORK_TAG).wait()
        for ranks in wiring.gangs:
            if self.rank in ranks:
                peers = [peer for peer in ranks if peer != self.rank]
                outs, rooms = ({peer: [torch.zeros(1, device=device)] for peer in peers} for _ in range(2))
                self.exchange(outs, rooms).wait()
        if device.type == "cuda":
            torch.cuda.synchronize()

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        group = self._links.get((self.rank, target, live))
        parts = pieces_of(tensor) if _in_pieces(payload, tensor) else [tensor.contiguous()]
        return self._post(dist.isend, parts, target, group, self._tags[payload])

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        group, tag = self._links.get((source, self.rank, live)), self._tags[payload]
        if _in_pieces(payload, tensor):
            return self._post(dist.irecv, pieces_of(tensor), source, group, tag)
        if tensor.is_contiguous():
            return self._post(dist.irecv, [tensor], source, group, tag)
        room = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        return _Copied(self._post(dist.irecv, [room], source, group, tag), room, tensor)

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Pending:
        if self._by_group is None:
            leaving = [self._post(dist.isend, parts, peer, None, WORK_TAG) for peer, parts in outs.items()]
            coming = [self._post(dist.irecv, parts, peer, None, WORK_TAG) for peer, parts in rooms.items()]
            return Together([*leaving, *coming])
        ops = [dist.P2POp(dist.isend, part, peer, self._gangs[peer]) for peer, parts in outs.items() for part in parts]
        ops += [
            dist.P2POp(dist.irecv, room, peer, self._gangs[peer]) for peer, parts in rooms.items() for room in parts
        ]
        return _Work(dist.batch_isend_irecv(ops), ops) if ops else Together([])

    def _post(self, way: Any, parts: Sequence[Tensor], peer: int, group: dist.ProcessGroup | None, tag: int) -> _Work:
        """Posts what goes one way to or from a peer, whose rank is the world's whatever the group."""
        if self._by_group is None:
            return _Work([way(part, peer, None, tag) for part in parts], parts)
        # As one batch: one kernel, over the group's own communicator, and not one more that torch makes of two ranks.
        work = _Work(dist.batch_isend_irecv([dist.P2POp(way, part, peer, group) for part in parts]), parts)
        self._under_way.append(work)
        while self._under_way and self._under_way[0].let_go():
            self._under_way.popleft()
        return work

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
    """`torch.distributed` requests; holds their tensors, which must live until they are done."""

    def __init__(self, works: Sequence[dist.Work | None], tensors: object) -> None:
        assert all(work is not None for work in works), "this rank is in no group of the link"
        self._works = [work for work in works if work is not None]
        self._tensors: object = tensors

    def wait(self) -> None:
        for work in self._works:
            work.wait()
        self._tensors = None

    def let_go(self) -> bool:
        """Gives the tensors up if all is done, though nobody has waited yet: a packed copy need not stay for long."""
        if self._tensors is not None and all(work.is_completed() for work in self._works):
            self._tensors = None
        return self._tensors is None


class _Copied:
    """A receive that puts what came where it belongs once it is waited for."""

    def __init__(self, work: _Work, room: Tensor, tensor: Tensor) -> None:
        self._work, self._room, self._tensor = work, room, tensor

    def wait(self) -> None:
        self._work.wait()
        self._tensor.copy_(self._room)


def require_streams(wiring: Wiring) -> None:
    """Raises WorldError if a rank would have more groups than streams. One that waits would then hold up others'."""
    groups = Counter(rank for source, target, _ in wiring.links for rank in (source, target))
    groups.update(rank for ranks in wiring.gangs for rank in ranks)
    rank, most = max(groups.items(), key=lambda found: (found[1], -found[0]), default=(0, 0))
    if most > MOST_STREAMS:
        raise WorldError(
            f"rank {rank} would exchange with others in {most} ways, but CUDA keeps at most {MOST_STREAMS} such "
            "streams apart, and ranks could wait for one another for ever; plan with a placement that binds "
            "blocks or steps to devices ('block', 'step'), or for fewer devices"
        )


def _in_pieces(payload: Payload, tensor: Tensor) -> bool:
    return payload.carries in IN_SLOTS and in_pieces(tensor.shape, tensor.dtype)


def groups_of() -> str | None:
    """The backend whose messages need groups of their own, of those that this world has."""
    return NCCL if NCCL in dist.get_backend() else None


def _new_group(ranks: Sequence[int], backend: str, ctas: int | None = None) -> dist.ProcessGroup | None:
    # Who is late is the judge's to say, long before.
    timeout = timedelta(seconds=limits_from_environment().prepare_s)
    options = _options(timeout, ctas) if backend == NCCL else None
    group: dist.ProcessGroup | None = dist.new_group(sorted(ranks), timeout, backend, pg_options=options)
    return group


def _options(timeout: timedelta, ctas: int | None) -> Any:
    """A new group's own; its kernels come before those of passes, which hold far more of the device."""
    options = dist.ProcessGroupNCCL.Options(is_high_priority_stream=True)
    options._timeout = timeout
    if ctas is not None:
        options.config.max_ctas = ctas
    return options
