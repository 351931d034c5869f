"""What a rank does on a CUDA device, on tensors without numbers: it never reads one on the host, nor mixes devices.

A read would hold up the host until the device has caught up, and with it all that the rank has to ask for next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from executor.bind import Rank
from executor.packed import PackedChannel
from executor.recorder import Recorder
from executor.worker import Worker
from models import forward
from models.loaded import LoadedModel
from models.sampler import after_step
from models.vae import WanCodec
from planner.action import Payload
from planner.cluster import Cluster
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.equal import Case, case
from tests.tiny import TINY_SPEC, tiny_model

CUDA = torch.device("cuda", 0)
DENSE = torch.contiguous_format
WAYS = [
    ("sequential", "free*ulysses:2@2"),
    ("sequential-recompute", "free"),
    ("cascade:1", "batched@2"),
    ("cascade:1:live-causal", "step"),
    ("cascade:2:live-joint", "batched@1"),
    ("cascade:1:live-joint", "block"),
    ("layers", "ring@2"),
]


class Nowhere:
    """A channel on which nothing comes, and at once; all tensors must lie on the device."""

    packs = False

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Nowhere:
        assert tensor.device == CUDA, f"{payload} to {target}, live {live}"
        return self

    receive = send

    def exchange(self, outs: Mapping[int, Sequence[Tensor]], rooms: Mapping[int, Sequence[Tensor]]) -> Nowhere:
        assert all(part.device == CUDA for parts in (*outs.values(), *rooms.values()) for part in parts)
        return self

    def wait(self) -> None: ...

    def barrier(self) -> None: ...

    def broadcast(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]


class NoWaiting(TorchDispatchMode):
    """Copies between host and device, but those for which nobody waits, are errors."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = torch.device(kwargs.get("device") or "meta")
        if func is torch.ops.aten._to_copy.default and args[0].device.type != target.type != "meta":
            assert target == CUDA and kwargs.get("non_blocking"), f"{args[0].device} -> {target}"
        return func(*args, **kwargs)


def _copy(x: Tensor, other: Tensor) -> Tensor:
    assert x.device == other.device
    return torch.ops.aten.copy_(x, other)


def _indexed(x: Tensor, index: Any) -> Tensor:
    """x[index] for whole numbers, slices, None and dots."""
    parts, dim = index if isinstance(index, tuple) else (index,), 0
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        dots = x.dim() - sum(part is not None for part in parts) + 1
        parts = (*parts[:at], *[slice(None)] * dots, *parts[at + 1 :])
    for part in parts:
        if isinstance(part, int):
            x = x.select(dim, part)
            continue
        x = x.unsqueeze(dim) if part is None else torch.ops.aten.slice(x, dim, part.start, part.stop, part.step or 1)
        dim += 1
    return x


@pytest.fixture
def no_numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, tensors have a shape and a device only; those made before count as being on the host."""
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(forward, "_same_buffer", lambda *pair: len({x.untyped_storage()._cdata for x in pair}) == 1)
    # These ask for the device itself, before they come to tensors without numbers.
    monkeypatch.setattr(FakeTensor, "__getitem__", _indexed, raising=False)
    monkeypatch.setattr(FakeTensor, "__setitem__", lambda x, index, value: _copy(_indexed(x, index), value), raising=False)
    monkeypatch.setattr(FakeTensor, "copy_", _copy, raising=False)
    monkeypatch.setattr(FakeTensor, "contiguous", lambda x: x if x.is_contiguous() else x.clone(memory_format=DENSE))
    for kept in (forward._turn, forward._move):
        kept.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    for kept in (forward._turn, forward._move):
        kept.cache_clear()


@pytest.mark.usefixtures("no_numbers")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("pattern", "placement"), WAYS)
def test_no_rank_reads_what_it_computes(pattern: str, placement: str, packed: bool) -> None:
    workload = Workload(blocks=5, decode=True)
    problem = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 4), workload=workload)
    chosen = case(problem, pattern, placement)
    for rank in range(4):
        walk(chosen, rank, packed=packed)


def walk(chosen: Case, rank: int, *, packed: bool = False) -> None:
    program = [row.action for row in chosen.plan.ranks[rank]]
    nowhere = Nowhere(rank, 4)
    channel = PackedChannel(nowhere) if packed else nowhere
    work = Rank(on_cuda(), chosen.problem, chosen.flow, channel, program, prompts=chosen.prompts, seed=0, fused=True)
    work.warm_up()
    with NoWaiting():
        Worker(work, channel, Recorder(torch.device("cpu"), 0), chosen.flow).walk(program)


def on_cuda() -> LoadedModel:
    """The tiny model, its transformer in bfloat16."""
    model = tiny_model()
    assert isinstance(model.vae, WanCodec)
    _move(model.wan.transformer, torch.bfloat16)
    _move(model.vae.vae, torch.float32)
    return model


def _move(module: nn.Module, dtype: torch.dtype) -> None:
    """As `to` would, which fails on tensors without numbers."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    moved = torch.empty(tensor.shape, dtype=dtype, device=CUDA)
                    held[name] = nn.Parameter(moved, requires_grad=False) if held is part._parameters else moved


@pytest.mark.usefixtures("no_numbers")
def test_a_read_would_be_found() -> None:
    latents = torch.zeros(4, 2, 4, 4, device=CUDA)
    with pytest.raises(DataDependentOutputException):
        latents.sum().item()
    with pytest.raises(RuntimeError, match="same device"):
        after_step(TINY_SPEC, latents, torch.zeros(4, 2, 4, 4), 0, 0, 0)
