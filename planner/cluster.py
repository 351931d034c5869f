"""The devices a plan may use, and how they are joined.

Rates are vendors' data-sheet peaks (dense, without sparsity); the cost model applies an efficiency. Prices are
typical on-demand figures per device and hour, there to be overridden by what the user pays.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

from pydantic import Field, PositiveFloat, PositiveInt

from planner.errors import InputError
from planner.value import Value

MAX_DEVICES = 4096
T = TypeVar("T")


class Device(Value):
    """One accelerator (or CPU core): peak bf16 rate, memory, memory bandwidth, price."""

    kind: str
    peak_tflops: PositiveFloat
    memory_bytes: PositiveInt
    memory_gbps: PositiveFloat = Field(description="memory bandwidth, gigabytes per second")
    price_per_hour: float = Field(ge=0, default=0.0, description="money per device and hour")
    source: str = "given"


class Link(Value):
    """One direction between two devices: a message takes latency + bytes / bandwidth."""

    kind: str
    latency_us: int = Field(ge=0, le=10**10)
    bandwidth_gbps: float = Field(ge=1e-6, le=1e9, description="gigabytes per second, one direction")
    source: str = "given"


class Cluster(Value):
    """Devices by rank, every ordered pair joined by a link of its own."""

    devices: tuple[Device, ...] = Field(min_length=1, max_length=MAX_DEVICES)
    link: Link

    @classmethod
    def of(
        cls, kind: str, count: int = 1, *, price_per_hour: float | None = None, link: str | Link | None = None
    ) -> Cluster:
        """`count` equal devices from the catalog, joined by their usual link unless `link` names another.

        Raises InputError for an unknown kind, an unknown link or a count outside 1..4096.
        """
        if not 1 <= count <= MAX_DEVICES:
            raise InputError(f"cluster: count must be 1..{MAX_DEVICES}, not {count}")
        device = _look_up(kind, DEVICES, "device")
        if price_per_hour is not None:
            device = Device.from_data(device.model_dump() | {"price_per_hour": price_per_hour}, "cluster")
        if not isinstance(link, Link):
            link = _look_up(link or _USUAL_LINK[kind], LINKS, "link")
        return cls(devices=(device,) * count, link=link)

    @property
    def size(self) -> int:
        return len(self.devices)

    def first(self, count: int) -> Cluster:
        """The cluster of the first `count` devices. Raises InputError if there are fewer."""
        if not 1 <= count <= self.size:
            raise InputError(f"ranks: asked for {count}, the cluster has {self.size} device(s)")
        return self.model_copy(update={"devices": self.devices[:count]})


def _look_up(name: str, table: dict[str, T], noun: str) -> T:
    if name not in table:
        close = get_close_matches(name, table, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise InputError(f"unknown {noun} {name!r}{hint} Known: {', '.join(table)}")
    return table[name]


GB = 10**9
_PRICE = "price: typical on-demand rental, 2026; override with what you pay"


def _device(kind: str, tflops: float, memory_gb: int, memory_gbps: float, price: float, sheet: str) -> Device:
    return Device(
        kind=kind,
        peak_tflops=tflops,
        memory_bytes=memory_gb * GB,
        memory_gbps=memory_gbps,
        price_per_hour=price,
        source=f"{sheet}; {_PRICE}",
    )


DEVICES = {
    device.kind: device
    for device in (
        _device("h100", 989.4, 80, 3350, 2.99, "NVIDIA H100 SXM data sheet"),
        _device("h200", 989.4, 141, 4800, 3.79, "NVIDIA H200 SXM data sheet"),
        _device("a100", 312.0, 80, 2039, 1.79, "NVIDIA A100 80GB SXM data sheet"),
        _device("b200", 2250.0, 180, 8000, 5.99, "NVIDIA HGX B200 data sheet"),
        _device("l40s", 362.1, 48, 864, 0.99, "NVIDIA L40S data sheet"),
        _device("4090", 165.2, 24, 1008, 0.44, "NVIDIA Ada architecture white paper, fp32 accumulate"),
        _device("cpu-core", 0.2, 8, 10, 0.05, "one AVX-512 server core: 0.2 TFLOP/s measured fp32 matmul"),
    )
}

LINKS = {
    link.kind: link
    for link in (
        Link(kind="nvlink4", latency_us=10, bandwidth_gbps=450, source="NVIDIA H100 data sheet: 900 GB/s both ways"),
        Link(kind="nvlink3", latency_us=10, bandwidth_gbps=300, source="NVIDIA A100 data sheet: 600 GB/s both ways"),
        Link(
            kind="nvlink5", latency_us=10, bandwidth_gbps=900, source="NVIDIA HGX B200 data sheet: 1.8 TB/s both ways"
        ),
        Link(kind="pcie4", latency_us=15, bandwidth_gbps=32, source="PCIe 4.0 x16, one direction"),
        Link(kind="pcie5", latency_us=15, bandwidth_gbps=64, source="PCIe 5.0 x16, one direction"),
        Link(kind="loopback", latency_us=150, bandwidth_gbps=1.5, source="gloo between two processes, measured"),
    )
}

_USUAL_LINK = {
    "h100": "nvlink4",
    "h200": "nvlink4",
    "a100": "nvlink3",
    "b200": "nvlink5",
    "l40s": "pcie4",
    "4090": "pcie4",
    "cpu-core": "loopback",
}
