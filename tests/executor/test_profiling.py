"""A profile has what a plan needs, read off the very loop that will run it."""

from __future__ import annotations

import pytest

from executor.errors import WorldError
from executor.profiling import _tables, profile
from planner.action import Action, Kind, TimedAction
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
    assert Profile.from_json(found.to_json()) == found
    problem = Problem(model=TINY_SPEC, cluster=cluster, workload=Workload(blocks=3), profile=found)
    assert plan(problem).evidence.gap >= 0


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
