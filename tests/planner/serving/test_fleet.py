"""Groups of a cluster: their limits, and which sizes are best."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.cluster import Cluster
from planner.problem import Problem
from planner.serving.fleet import Stations, best_split, fewest, fleet, limit_of, part
from planner.serving.policy import Policy
from planner.serving.station import Station
from planner.workload import Workload
from tests.planner.serving.by_hand import station_of

PROBLEM = Problem(model=load_spec("toy"), cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=7))


def _splits(devices: int, largest: int) -> Iterator[tuple[int, ...]]:
    yield ()
    for size in range(1, min(devices, largest) + 1):
        yield from ((size, *rest) for rest in _splits(devices - size, size))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 9))
def test_no_split_of_the_devices_holds_more(held: list[int], devices: int) -> None:
    held = [0, *held]
    found = best_split(devices, held)
    most = max(sum(held[size] for size in sizes) for sizes in _splits(devices, len(held) - 1))
    least = min(sum(sizes) for sizes in _splits(devices, len(held) - 1) if sum(held[s] for s in sizes) == most)
    assert (sum(held[size] for size in found), sum(found)) == (most, least)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(1, 9))
def test_no_fewer_devices_hold_as_many(held: list[int], sessions: int) -> None:
    held = [0, *held]
    found = fewest(sessions, held, 9)
    enough = [sum(sizes) for sizes in _splits(9, len(held) - 1) if sum(held[size] for size in sizes) >= sessions]
    assert (found is None) == (not enough)
    assert found is None or sum(found) == min(enough)


def test_what_limits_a_group() -> None:
    def limit(each: int | None, period_ms: int, fit: int, fps: float = 16.0) -> tuple[int, str]:
        policy = Policy(sizes=(1,), each=each)
        found = limit_of(station_of(period_ms, fit=fit), policy, PROBLEM, fps)
        return found.sessions, found.binds

    assert limit(None, 250, 9) == (3, "rate")
    assert limit(None, 251, 9) == (2, "rate")
    assert limit(None, 250, 2) == (2, "memory")
    assert limit(None, 250, 3) == (3, "memory")
    assert limit(1, 250, 3) == (1, "admission")
    assert limit(9, 250, 30, fps=8.0) == (6, "rate")


def test_the_sum_of_memory_and_of_time_is_told() -> None:
    text = limit_of(station_of(250, fit=2), Policy.parse("shared:1"), PROBLEM, 16.0).text
    assert text == "memory: weights 0.0 GB + K/V 3 x 0.0 GB > 3e-08 GB of invented"
    text = limit_of(station_of(800), Policy.parse("single"), PROBLEM, 16.0).text
    assert text == "rate: 800.0 ms a block > the 750 ms that it plays (15.00 fps for one session)"


def test_a_part_of_a_cluster_keeps_its_nodes() -> None:
    cluster = Cluster.of("h100", 8, per_node=4)
    assert part(cluster, 4, 4) == Cluster.of("h100", 4)
    assert part(cluster, 2, 4).nodes == (2, 2)
    assert part(cluster, 2, 4).network == cluster.network


def test_a_group_with_a_device_too_many_leaves_it_idle() -> None:
    """15 devices have no good placement for all of them; 14 of them do as well as 14 alone, and 15 are paid for."""
    problem = Problem(model=load_spec("self-forcing-1.3b"), cluster=Cluster.of("h100", 15), workload=Workload(blocks=7))
    stations = Stations(problem)

    def group(size: int) -> Station:
        (found,) = fleet(stations, Policy.parse(f"groups:{size}"), 16.0).stations
        return found

    fewer, more = group(14), group(15)
    assert (more.period_us, more.placement) == (fewer.period_us, f"{fewer.placement}@14")
    assert (more.devices, more.busy) == (15, (*fewer.busy, 0.0))
    assert more.price_per_hour == fewer.price_per_hour * 15 / 14


def test_idle_devices_only_for_more_sessions() -> None:
    """What is quicker on fewer devices but holds fewer sessions is not taken."""
    small, large = station_of(100, fit=1), station_of(110, fit=5)

    class Known(Stations):
        def of(self, *_: int) -> tuple[Station, ...] | str:
            return large, small

    def taken(fps: float) -> Station:
        (found,) = fleet(Known(PROBLEM), Policy.parse("shared:2"), fps).stations
        return found

    assert taken(16.0) == large
    assert taken(PROBLEM.model.pixel_frames(1) / 0.105) == small
