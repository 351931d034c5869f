"""Links: sizes that a plan sends, echoes, their line, and what posting takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from executor.channels.channel import Channel, Pending
from executor.channels.local_channel import LocalChannel, LocalWorld
from executor.measuring import profile_links
from executor.measuring.profile_links import ECHOES, MOST_PRODUCTS, fitted, post_us, sizes, transfers, wiring, work_of
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


READ_NS = 1_000_000


class Clock:
    """A clock that goes on when it is told to, and by `READ_NS` as it is read; one for all threads, or one for each."""

    def __init__(self, patch: pytest.MonkeyPatch, *, shared: bool) -> None:
        self._own = SimpleNamespace() if shared else threading.local()
        self._one_at_a_time = threading.Lock()
        patch.setattr(profile_links, "time", SimpleNamespace(perf_counter_ns=lambda: self.passes(READ_NS)))

    def passes(self, ns: int) -> int:
        with self._one_at_a_time:
            self._own.now_ns = getattr(self._own, "now_ns", 0) + ns
            return int(self._own.now_ns)


def slow(clock: Clock, send_us: int, receive_us: int = 0) -> type[LocalChannel]:
    """A channel whose posts take so long."""

    class Slow(LocalChannel):
        def send(self, payload: Payload, tensor: Tensor, target: int, *, live: bool = False) -> Pending:
            clock.passes(send_us * 1000)
            return super().send(payload, tensor, target, live=live)

        def receive(self, payload: Payload, tensor: Tensor, source: int, *, live: bool = False) -> Pending:
            clock.passes(receive_us * 1000)
            return super().receive(payload, tensor, source, live=live)

    return Slow


def test_times_are_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message takes five milliseconds, and the peer's answer as long."""
    clock = Clock(monkeypatch, shared=True)
    (found,), _ = on_threads(slow(clock, 5_000), 2, lambda channel: transfers(channel, [8], CPU))
    # The peer reads the clock too, twice at most within an echo.
    assert 5_000 <= found.timing.median_us <= 5_000 + 3 * READ_NS // 2000


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


@pytest.mark.parametrize(("send_us", "receive_us", "expected"), [(0, 0, 0), (2_000, 4_000, 3_000)])
def test_a_post_takes_half_of_what_a_pair_takes(
    monkeypatch: pytest.MonkeyPatch, send_us: int, receive_us: int, expected: int
) -> None:
    """Of three ranks, each of which is kept from its work by its own posts; the third has no part in it."""
    channel = slow(Clock(monkeypatch, shared=False), send_us, receive_us)
    assert on_threads(channel, 3, lambda end: post_us(end, 4096, CPU, 100.0)) == [expected, expected, 0]


@pytest.mark.parametrize(("asked_us", "products"), [(20_000, 200), (150, 2), (0, 1), (10**9, MOST_PRODUCTS)])
def test_work_lasts_as_long_as_asked_for_within_reason(
    monkeypatch: pytest.MonkeyPatch, asked_us: int, products: int
) -> None:
    """Ten products take from one reading of the clock to the next, so each a tenth of a millisecond."""
    Clock(monkeypatch, shared=True)
    work, done = work_of(CPU, asked_us), list[object]()
    monkeypatch.setattr(torch, "mm", lambda *given: done.append(given))
    work()
    assert len(done) == products
