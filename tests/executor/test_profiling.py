"""A profile has what a plan needs, read off the very loop that will run it."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import Tensor

from executor.channel import LocalChannel, LocalWorld, Pending
from executor.errors import WorldError
from executor.profiling import _post_us, _tables, _work, profile
from planner.action import Action, Kind, Payload, TimedAction
from planner.cluster import Cluster
from planner.problem import Problem
from planner.profile import Profile
from planner.search import plan
from planner.workload import Workload
from tests.tiny import TINY_SPEC, tiny_model


@pytest.mark.dist
@pytest.mark.parametrize("busy_ranks", [1, 2])
def test_a_profile_plans_its_model(busy_ranks: int) -> None:
    cluster = Cluster.of("cpu-core", busy_ranks)
    found = profile(tiny_model(), cluster, prompt="anything", busy_ranks=busy_ranks, repeats=2)
    assert (found.model, found.device, found.busy_ranks) == ("tiny", "cpu-core", busy_ranks)
    assert len(found.denoise) == len(found.clean) == TINY_SPEC.window // TINY_SPEC.frames_per_block
    # Three steps of one block at each shallow context; of three blocks at the full one; on every rank, twice.
    assert [timing.samples for timing in found.denoise] == [6 * busy_ranks, 6 * busy_ranks, 18 * busy_ranks]
    assert found.decode_first.samples == 2 * busy_ranks
    assert all(timing.median_us <= timing.p95_us for timing in found.denoise)
    if busy_ranks == 1:
        assert found.link_bandwidth_gbps == cluster.link.bandwidth_gbps
        assert found.post_us == 0
    # Milliseconds on a machine with other things to do, but not seconds.
    assert 0 <= found.post_us < 10**6
    assert Profile.from_json(found.to_json()) == found
    problem = Problem(model=TINY_SPEC, cluster=cluster, workload=Workload(blocks=3), profile=found)
    assert (plan(problem).evidence.gap or 0) >= 0


def test_tables_sort_spans_by_what_they_depend_on() -> None:
    def span(text: str, us: int) -> TimedAction:
        return TimedAction(Action.parse(text), 100, 100 + us)

    spans = [span("denoise b0.s0", 10), span("denoise b0.s1", 30), span("denoise b0.s2", 20), span("commit b0", 5)]
    spans += [span("denoise b1.s0", 40), span("commit b1", 6), span("decode b0", 70), span("decode b1", 80)]
    spans += [span("decode b2", 90), TimedAction(Action(Kind.FREE, 0, 0, "kv"), 0, 9999)]
    tables = _tables(tiny_model(), spans)
    assert [timing.median_us for timing in tables["denoise"]] == [20, 40]
    assert [timing.median_us for timing in tables["clean"]] == [5, 6]
    assert tables["decode_first"].median_us == 70
    assert (tables["decode"].median_us, tables["decode"].p95_us, tables["decode"].samples) == (85, 90, 2)


def test_a_model_without_a_decoder_is_refused() -> None:
    with pytest.raises(WorldError, match="no decoder"):
        profile(tiny_model()._replace(vae=None), Cluster.of("cpu-core"), prompt="x")


# -- what posting takes the host -----------------------------------------------------------------

CPU = torch.device("cpu")


class SlowToPost(LocalChannel):
    """Each post keeps its rank from its work."""

    def send(self, payload: Payload, tensor: Tensor, target: int) -> Pending:
        time.sleep(0.002)
        return super().send(payload, tensor, target)

    def receive(self, payload: Payload, tensor: Tensor, source: int) -> Pending:
        time.sleep(0.004)
        return super().receive(payload, tensor, source)


@pytest.mark.parametrize(("channel", "least", "most"), [(LocalChannel, 0, 2_000), (SlowToPost, 2_500, 6_000)])
def test_a_post_takes_half_of_what_a_pair_takes(channel: type[LocalChannel], least: int, most: int) -> None:
    """Of three ranks; the third has no part in it."""
    world, found = LocalWorld(3), [-1] * 3

    def main(rank: int) -> None:
        found[rank] = _post_us(channel(world, rank), 4096, CPU, 100.0)

    threads = [threading.Thread(target=main, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(least <= found[rank] <= most for rank in (0, 1)), found
    assert found[2] == 0


def test_work_lasts_as_long_as_asked_for_within_reason() -> None:
    work = _work(CPU, 20_000)
    start = time.perf_counter_ns()
    work()
    assert time.perf_counter_ns() - start > 2_000_000
    brief = _work(CPU, 0)
    start = time.perf_counter_ns()
    brief()
    assert time.perf_counter_ns() - start < 10**9
