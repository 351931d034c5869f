"""The devices a plan may use, and how they are joined.

Rates are vendors' data-sheet peaks (dense, without sparsity); the cost model applies an efficiency. Prices are
typical on-demand figures per device and hour, there to be overridden by what the user pays.
"""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from planner.errors import InputError
from planner.value import Value, as_before

MAX_DEVICES = 4096
T = TypeVar("T")


class Device(Value):
    """One accelerator (or CPU core): peak bf16 rate, memory, memory bandwidth, price, rated power."""

    kind: str
    peak_tflops: PositiveFloat
    memory_bytes: PositiveInt
    memory_gbps: PositiveFloat = Field(description="memory bandwidth, gigabytes per second")
    price_per_hour: float = Field(ge=0, default=0.0, description="money per device and hour")
    power_watts: float | None = Field(default=None, gt=0, description="the most it takes, by its data sheet")
    source: str = "given"

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return as_before(self, handler(self), "power_watts")


Sharing = Literal["pair", "port", "bus"]


class Link(Value):
    """How devices are joined: a message takes latency + bytes / bandwidth, and has its way to itself meanwhile.

    `sharing`, what messages contend for: `pair`, nothing but others from the same device to the same one; `port`, one
    way out of each end and one way in (a switch, a network card); `bus`, all of a node's messages one after another.
    `collective_us` is what one collective costs on top of its bytes: launching it and waiting for the slowest.
    """

    kind: str
    latency_us: int = Field(ge=0, le=10**10)
    bandwidth_gbps: float = Field(ge=1e-6, le=1e9, description="gigabytes per second, one direction")
    sharing: Sharing = "pair"
    collective_us: int = Field(default=0, ge=0, le=10**10)
    source: str = "given"


class Cluster(Value):
    """Devices by rank, in nodes of consecutive ranks: `link` within a node, `network` between nodes.

    `nodes` holds how many devices each node has; empty means one node. Where the network's sharing is `port` or
    `bus`, a whole node has one port.
    """

    devices: tuple[Device, ...] = Field(min_length=1, max_length=MAX_DEVICES)
    link: Link
    nodes: tuple[PositiveInt, ...] = ()
    network: Link | None = None

    @model_validator(mode="after")
    def _nodes_hold_devices(self) -> Self:
        if self.nodes and sum(self.nodes) != len(self.devices):
            raise ValueError(f"nodes: hold {sum(self.nodes)} devices, there are {len(self.devices)}")
        if len(self.nodes) > 1 and self.network is None:
            raise ValueError("network: name the link between the nodes")
        return self

    @classmethod
    def of(
        cls,
        kind: str,
        count: int = 1,
        *,
        price_per_hour: float | None = None,
        link: str | Link | None = None,
        per_node: int | None = None,
        network: str | Link | None = None,
    ) -> Cluster:
        """`count` equal devices from the catalog, joined by their usual link unless `link` names another.

        With `per_node`, every so many devices are a node, and `network` (a 400 Gb/s InfiniBand if not named) joins
        the nodes. Raises InputError for an unknown kind, an unknown link or a count outside 1..4096.
        """
        if not 1 <= count <= MAX_DEVICES:
            raise InputError(f"cluster: count must be 1..{MAX_DEVICES}, not {count}")
        if per_node is not None and per_node < 1:
            raise InputError(f"cluster: per_node must be at least 1, not {per_node}")
        device = _look_up(kind, DEVICES, "device")
        if price_per_hour is not None:
            device = Device.from_data(device.model_dump() | {"price_per_hour": price_per_hour}, "cluster")
        if not isinstance(link, Link):
            link = _look_up(link or _USUAL_LINK[kind], LINKS, "link")
        if per_node is None or per_node >= count:
            return cls(devices=(device,) * count, link=link)
        if not isinstance(network, Link):
            network = _look_up(network or "infiniband-ndr", LINKS, "link")
        nodes = (per_node,) * (count // per_node) + ((count % per_node,) if count % per_node else ())
        return cls(devices=(device,) * count, link=link, nodes=nodes, network=network)

    @property
    def size(self) -> int:
        return len(self.devices)

    @property
    def node_of(self) -> tuple[int, ...]:
        """Each rank's node."""
        return tuple(node for node, count in enumerate(self.nodes or (self.size,)) for _ in range(count))

    def first(self, count: int) -> Cluster:
        """The cluster of the first `count` devices. Raises InputError if there are fewer."""
        if not 1 <= count <= self.size:
            raise InputError(f"ranks: asked for {count}, the cluster has {self.size} device(s)")
        kept = Counter(self.node_of[:count])
        nodes = tuple(kept[node] for node in sorted(kept)) if self.nodes else ()
        return self.model_copy(update={"devices": self.devices[:count], "nodes": nodes})


def _look_up(name: str, table: dict[str, T], noun: str) -> T:
    if name not in table:
        close = get_close_matches(name, table, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise InputError(f"unknown {noun} {name!r}{hint} Known: {', '.join(table)}")
    return table[name]


GB = 10**9
_POWER = "power: the sheet's highest thermal design power"
_PRICE = "price: typical on-demand rental, 2026; override with what you pay"


def _device(
    kind: str, tflops: float, memory_gb: int, memory_gbps: float, price: float, watts: float | None, sheet: str
) -> Device:
    return Device(
        kind=kind,
        peak_tflops=tflops,
        memory_bytes=memory_gb * GB,
        memory_gbps=memory_gbps,
        price_per_hour=price,
        power_watts=watts,
        source=f"{sheet}; {_PRICE}" + (f"; {_POWER}" if watts else ""),
    )


DEVICES = {
    device.kind: device
    for device in (
        _device("h100", 989.4, 80, 3350, 2.99, 700, "NVIDIA H100 SXM data sheet"),
        _device("h200", 989.4, 141, 4800, 3.79, 700, "NVIDIA H200 SXM data sheet"),
        _device("a100", 312.0, 80, 2039, 1.79, 400, "NVIDIA A100 80GB SXM data sheet"),
        _device("b200", 2250.0, 180, 8000, 5.99, 1000, "NVIDIA HGX B200 data sheet"),
        _device("l40s", 362.1, 48, 864, 0.99, 350, "NVIDIA L40S data sheet"),
        _device("4090", 165.2, 24, 1008, 0.44, 450, "NVIDIA Ada architecture white paper, fp32 accumulate"),
        _device("cpu-core", 0.2, 8, 10, 0.05, None, "one AVX-512 server core: 0.2 TFLOP/s measured fp32 matmul"),
    )
}


def _link(kind: str, latency_us: int, gbps: float, sharing: Sharing, collective_us: int, source: str) -> Link:
    return Link(
        kind=kind,
        latency_us=latency_us,
        bandwidth_gbps=gbps,
        sharing=sharing,
        collective_us=collective_us,
        source=source,
    )


LINKS = {
    link.kind: link
    for link in (
        _link("nvlink4", 10, 450, "port", 20, "NVIDIA H100 data sheet: 900 GB/s both ways"),
        _link("nvlink3", 10, 300, "port", 20, "NVIDIA A100 data sheet: 600 GB/s both ways"),
        _link("nvlink5", 10, 900, "port", 20, "NVIDIA HGX B200 data sheet: 1.8 TB/s both ways"),
        _link("pcie4", 15, 32, "port", 30, "PCIe 4.0 x16, one direction"),
        _link("pcie5", 15, 64, "port", 30, "PCIe 5.0 x16, one direction"),
        _link("infiniband-ndr", 20, 50, "port", 40, "NVIDIA ConnectX-7 data sheet: 400 Gb/s a port"),
        _link("ethernet-100g", 50, 12.5, "port", 100, "IEEE 802.3ba: 100 Gb/s; latencies of a TCP stack, typical"),
        _link("loopback", 150, 1.5, "pair", 300, "gloo between two processes, measured"),
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
