"""Links: sizes that a plan sends, echoes, their line, and what posting takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from executor.channels.channel import Channel, Pending
from executor.channels.local_channel import LocalChannel, LocalWorld
from executor.measuring.profile_links import ECHOES, fitted, post_us, sizes, transfers, wiring, work_of
from models.catalog import CATALOG
from planner.action import Payload
from planner.profile import Timing, Transfer
from tests.tiny import TINY_SPEC

CPU = torch.device("cpu")
T = TypeVar("T")


def on_threads(channel: type[LocalChannel], count: int, work: Callable[[Channel], T]) -> list[T]:
    world, found = LocalWorld(count), dict[int, T]()

    def main(rank: int) -> None:
        found[rank] = work(channel(world, rank))

    threads = [threading.Thread(target=main, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[rank] for rank in range(count)]


@pytest.mark.parametrize("spec", [TINY_SPEC, *CATALOG.values()], ids=lambda spec: spec.name)
def test_sizes_run_from_what_is_sent_least_to_a_blocks_kv(spec) -> None:  # type: ignore[no-untyped-def]
    found = sizes(spec)
    assert found[-1] == max(spec.kv_bytes_per_block, spec.latent_bytes_per_block)
    assert {spec.latent_bytes_per_block, spec.kv_bytes_per_block} <= set(found)
    assert list(found) == sorted(set(found))
    assert len(found) <= 12


def test_every_rank_is_reached_from_the_first() -> None:
    found = on_threads(LocalChannel, 3, lambda channel: transfers(channel, [8, 4096], CPU))
    assert [(t.source, t.target, t.size_bytes) for t in found[0]] == [(0, 1, 8), (0, 1, 4096), (0, 2, 8), (0, 2, 4096)]
    assert {t.timing.samples for t in found[0]} == {ECHOES}
    assert found[1:] == [(), ()]


class SlowToSend(LocalChannel):
    """A message takes five milliseconds."""

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        time.sleep(0.005)
        return super().send(payload, tensor, target, live=live)


def test_times_are_one_way() -> None:
    (found,), _ = on_threads(SlowToSend, 2, lambda channel: transfers(channel, [8], CPU))
    assert 5_000 <= (found.timing.lower_us or 0) < 9_500


def test_links_are_wired_both_ways_and_alike_on_all_ranks() -> None:
    found = wiring(3)
    assert list(found.links) == [(0, 1, False), (0, 2, False), (1, 0, False), (2, 0, False)]
    assert len(set(found.tags.values())) == len(found.tags) == 2


def row(size: int, us: int, *, lower: int | None = None, target: int = 1) -> Transfer:
    timing = Timing(median_us=us, p95_us=us, samples=9, lower_us=lower)
    return Transfer(source=0, target=target, size_bytes=size, timing=timing)


def test_a_line_by_hand() -> None:
    """100 us and 2 GB/s; one size is disturbed."""
    rows = [row(size, 100 + size // 2000) for size in (20_000, 200_000, 2_000_000, 20_000_000)] + [row(400_000, 5000)]
    found = fitted(rows)
    assert found.latency_us == pytest.approx(100, abs=2)
    assert found.bandwidth_gbps == pytest.approx(2, rel=0.02)


def test_latency_is_that_of_the_quicker_ones() -> None:
    rows = [row(size, 100 + size // 2000, lower=60 + size // 2000) for size in (20_000, 200_000, 2_000_000)]
    assert fitted(rows).latency_us == pytest.approx(60, abs=2)


def test_a_link_that_seems_quicker_with_more_bytes_has_a_line_all_the_same() -> None:
    found = fitted([row(1000, 50), row(100_000, 40)])
    assert found.latency_us == 45
    assert found.bandwidth_gbps > 0


def test_where_medians_tell_nothing_lower_quartiles_may() -> None:
    found = fitted([row(size, 2000, lower=100 + size // 1000) for size in (10_000, 100_000, 1_000_000)])
    assert found.latency_us == pytest.approx(100, abs=1)
    assert found.bandwidth_gbps == pytest.approx(1)


def test_links_of_several_peers_give_a_typical_one() -> None:
    rows = [row(size, target * 10 + size // 1000, target=target) for target in (1, 2, 9) for size in (10_000, 100_000)]
    assert fitted(rows).latency_us == 20


# -- what posting takes the host -----------------------------------------------------------------


class SlowToPost(LocalChannel):
    """Each post keeps its rank from its work."""

    def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
        time.sleep(0.002)
        return super().send(payload, tensor, target, live=live)

    def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
        time.sleep(0.004)
        return super().receive(payload, tensor, source, live=live)


@pytest.mark.parametrize(("channel", "least", "most"), [(LocalChannel, 0, 2_000), (SlowToPost, 2_500, 6_000)])
def test_a_post_takes_half_of_what_a_pair_takes(channel: type[LocalChannel], least: int, most: int) -> None:
    """Of three ranks; the third has no part in it."""
    found = on_threads(channel, 3, lambda end: post_us(end, 4096, CPU, 100.0))
    assert all(least <= us <= most for us in found[:2]), found
    assert found[2] == 0


def test_work_lasts_as_long_as_asked_for_within_reason() -> None:
    work = work_of(CPU, 20_000)
    start = time.perf_counter_ns()
    work()
    assert time.perf_counter_ns() - start > 2_000_000
    brief = work_of(CPU, 0)
    start = time.perf_counter_ns()
    brief()
    assert time.perf_counter_ns() - start < 10**9
