"""Clusters: the catalog is sane, and what it does not hold is refused with what it does."""

from __future__ import annotations

import pytest

from planner.cluster import DEVICES, LINKS, MAX_DEVICES, Cluster, Device, Link
from planner.errors import InputError


@pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.kind)
def test_each_device_names_its_source_and_has_a_usual_link(device: Device) -> None:
    assert DEVICES[device.kind] is device
    assert len(device.source) > 20
    assert device.source != "given"
    assert "price" in device.source
    assert device.price_per_hour > 0
    # Gigabytes and teraflops, not bytes or gigaflops.
    assert 1e9 <= device.memory_bytes <= 1e12
    assert 0.1 <= device.peak_tflops <= 1e4
    assert 1 <= device.memory_gbps <= 2e4
    assert Cluster.of(device.kind).link in LINKS.values()


@pytest.mark.parametrize("link", LINKS.values(), ids=lambda link: link.kind)
def test_each_link_names_its_source(link: Link) -> None:
    assert LINKS[link.kind] is link
    assert len(link.source) > 10
    assert link.source != "given"
    assert 1 <= link.latency_us <= 1000
    assert 1 <= link.bandwidth_gbps <= 2000
    # Launching a collective and waiting for the slowest takes longer than one message's latency.
    assert link.latency_us <= link.collective_us <= 1000


def test_figures_from_the_data_sheets() -> None:
    h100 = DEVICES["h100"]
    assert (h100.peak_tflops, h100.memory_bytes, h100.memory_gbps) == (989.4, 80_000_000_000, 3350)
    # A data sheet's NVLink figure counts both directions.
    assert LINKS["nvlink4"].bandwidth_gbps == 450


def test_of() -> None:
    cluster = Cluster.of("h100", 3)
    assert cluster.devices == (DEVICES["h100"],) * 3
    assert cluster.size == 3
    assert cluster.link == LINKS["nvlink4"]
    assert Cluster.of("h100").size == 1
    assert Cluster.of("h100", 2, link="pcie5").link == LINKS["pcie5"]
    own = Link(kind="string", latency_us=1, bandwidth_gbps=1)
    assert Cluster.of("h100", 2, link=own).link == own
    priced = Cluster.of("h100", 2, price_per_hour=0.0)
    assert [device.price_per_hour for device in priced.devices] == [0, 0]
    assert priced.devices[0].peak_tflops == DEVICES["h100"].peak_tflops


@pytest.mark.parametrize("count", [0, -1, MAX_DEVICES + 1])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=rf"cluster: count must be 1\.\.4096, not {count}$"):
        Cluster.of("h100", count)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^unknown device 'h10'; did you mean 'h100'\? Known: h100, .*cpu-core$"):
        Cluster.of("h10")
    with pytest.raises(InputError, match=r"^unknown device 'abacus'\. Known: h100, ") as refused:
        Cluster.of("abacus")
    assert "did you mean" not in str(refused.value)
    with pytest.raises(InputError, match=r"^unknown link 'pcie6'; did you mean 'pcie[45]'\? Known: nvlink4, "):
        Cluster.of("h100", link="pcie6")


def test_first() -> None:
    mixed = Cluster(devices=(DEVICES["h100"], DEVICES["a100"], DEVICES["l40s"]), link=LINKS["pcie4"])
    assert [device.kind for device in mixed.first(2).devices] == ["h100", "a100"]
    assert mixed.first(2).link == mixed.link
    assert mixed.first(3) == mixed
    for count in (0, 4, -1):
        with pytest.raises(InputError, match=rf"ranks: asked for {count}, the cluster has 3 device"):
            mixed.first(count)


def test_a_wrong_price_is_named() -> None:
    with pytest.raises(InputError, match="price_per_hour"):
        Cluster.of("h100", price_per_hour=-1)


# -- nodes ---------------------------------------------------------------------------------------


def test_nodes() -> None:
    cluster = Cluster.of("h100", 5, per_node=2)
    assert cluster.nodes == (2, 2, 1)
    assert cluster.node_of == (0, 0, 1, 1, 2)
    assert (cluster.link, cluster.network) == (LINKS["nvlink4"], LINKS["infiniband-ndr"])
    assert Cluster.of("h100", 4, per_node=2, network="ethernet-100g").network == LINKS["ethernet-100g"]
    own = Link(kind="string", latency_us=1, bandwidth_gbps=1)
    assert Cluster.of("h100", 4, per_node=2, network=own).network == own


def test_one_node_has_no_network() -> None:
    for per_node in (None, 3, 8):
        cluster = Cluster.of("h100", 3, per_node=per_node)
        assert (cluster.nodes, cluster.network, cluster.node_of) == ((), None, (0, 0, 0))


def test_the_first_of_several_nodes() -> None:
    cluster = Cluster.of("h100", 5, per_node=2)
    assert [cluster.first(count).nodes for count in (1, 2, 3, 4, 5)] == [(1,), (2,), (2, 1), (2, 2), (2, 2, 1)]
    assert cluster.first(5) == cluster
    assert cluster.first(3).network == cluster.network


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nodes": (2, 2)}, "nodes: hold 4 devices, there are 3"),
        ({"nodes": (2, 1)}, "network: name the link between the nodes"),
        ({"nodes": (3, 0), "network": LINKS["pcie4"]}, "nodes"),
    ],
)
def test_wrong_nodes_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cluster.from_data({"devices": (DEVICES["h100"],) * 3, "link": LINKS["nvlink4"], **fields}, "cluster")


def test_wrong_numbers_of_nodes_are_refused() -> None:
    with pytest.raises(InputError, match=r"cluster: per_node must be at least 1, not 0"):
        Cluster.of("h100", 4, per_node=0)
    with pytest.raises(InputError, match=r"^unknown link 'infiniband'; did you mean 'infiniband-ndr'\?"):
        Cluster.of("h100", 4, per_node=2, network="infiniband")


@pytest.mark.parametrize("field", [{"sharing": "star"}, {"collective_us": -1}, {"latency_us": -1}])
def test_a_wrong_link_is_named(field: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(field))):
        Link.from_data({"kind": "string", "latency_us": 1, "bandwidth_gbps": 1, **field}, "link")
