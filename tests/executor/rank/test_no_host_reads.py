"""Between a clip's actions the host reads no value of a device: on CUDA each such read would wait for the device.

On the CPU, where nobody waits, what would is found by the operators that it takes; on CUDA torch itself tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.kv_pack import pack, unpack_into
from tests.executor.equal import Case
from tests.executor.one_rank import alone, one_rank, walk

# What turns a tensor's values into Python's, or into a tensor's shape.
READS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero", "bincount")

CASES: list[tuple[str, str, dict[str, object]]] = [
    ("sequential", "free", {}),
    ("sequential", "free", {"switches": [{"at_us": 1, "recache": True}]}),
    ("sequential-recompute", "free", {}),
    ("cascade:2", "free", {}),
    ("cascade:1", "batched", {}),
    ("cascade:1:live-causal", "free", {}),
    ("cascade:1:live-joint", "batched", {}),
    ("layers", "ring", {}),
]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
    ),
]


class NoReads(TorchDispatchMode):
    """Within, an operator that reads values on the host is an error."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if any(name.startswith(read) for read in READS):
            raise AssertionError(f"{func} reads values on the host")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_reads(device: str) -> Iterator[None]:
    if device == "cpu":
        with NoReads():  # type: ignore[no-untyped-call]
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _on(device: str, pattern: str, placement: str, asked: dict[str, object]) -> Case:
    ticks = (6,) if "switches" in asked else ()
    chosen = alone(pattern, placement, ticks, **asked)
    return chosen._replace(model=chosen.model.to(torch.device(device)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("pattern", "placement", "asked"), CASES)
def test_a_clip_is_walked_without_waiting(device: str, pattern: str, placement: str, asked: dict[str, object]) -> None:
    chosen = _on(device, pattern, placement, asked)
    rank = one_rank(chosen)
    rank.warm_up()
    with no_reads(device):
        walk(chosen, rank)
    assert len(rank.frames) == chosen.problem.workload.blocks


@pytest.mark.parametrize("device", DEVICES)
def test_kv_is_packed_without_waiting(device: str) -> None:
    kv = torch.randn(3, 2, 5, 2, 4, device=device)
    with no_reads(device):
        unpack_into(pack(kv), torch.empty_like(kv))


def test_a_read_is_found() -> None:
    """Else the tests above would hold of anything."""
    numbers = torch.ones(2)
    for read in (lambda: numbers[0].item(), lambda: bool(numbers.any()), lambda: float(numbers[1]), numbers.nonzero):
        with no_reads("cpu"), pytest.raises(AssertionError, match="reads values on the host"):
            read()
