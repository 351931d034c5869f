"""A profile has what a plan needs, and says how it came about and what it lacks."""

from __future__ import annotations

import pytest
import torch

from executor.errors import WorldError
from executor.measuring.profiling import Asked, measured, profile
from models.loaded import LoadedModel
from models.random_weights import random_model
from planner.cluster import Cluster
from planner.problem import Problem
from planner.profile import Profile, points
from planner.search import plan
from planner.workload import Workload
from tests.tiny import TINY_SPEC, tiny_model


@pytest.mark.dist
@pytest.mark.parametrize("busy_ranks", [1, 2])
def test_a_profile_plans_its_model(busy_ranks: int) -> None:
    cluster = Cluster.of("cpu-core", busy_ranks)
    found = profile(tiny_model(), cluster, prompt="anything", busy_ranks=busy_ranks, repeats=2)
    assert (found.model, found.device, found.busy_ranks) == ("tiny", "cpu-core", busy_ranks)
    # A window of three blocks; a joint pattern's passes, four in flight, read up to three newer blocks too.
    assert [context for context, _ in points(found.denoise)] == [0, 1, 2, 3, 4, 5]
    assert [context for context, _ in points(found.clean)] == [0, 1, 2]
    # Five blocks in each of a rank's two clips; a block's first pass is told by its own figure.
    assert [row.samples for row in found.denoise] == [2 * n * busy_ranks for n in (2, 2, 6, 1, 1, 1)]
    assert (found.decode_first.samples, found.decode.samples) == (2 * busy_ranks, 8 * busy_ranks)
    assert all((row.lower_us or 0) <= row.median_us <= (row.upper_us or 0) <= row.p95_us for row in found.denoise[:3])
    assert len(found.batch_share) == TINY_SPEC.passes - 1
    assert None not in (found.encode_us, found.recache_us)
    assert (found.text_us, found.missing) == (None, ())
    assert found.taken.startswith("20")
    assert "diffusers" in found.software
    assert found.device_name
    if busy_ranks == 1:
        assert found.link_bandwidth_gbps == cluster.link.bandwidth_gbps
        assert (found.post_us, found.transfers) == (0, ())
    else:
        assert {(row.source, row.target) for row in found.transfers} == {(0, 1)}
        assert TINY_SPEC.kv_bytes_per_block in {row.size_bytes for row in found.transfers}
    # Milliseconds on a machine with other things to do, but not seconds.
    assert 0 <= found.post_us < 10**6
    assert Profile.from_json(found.to_json()) == found
    problem = Problem(model=TINY_SPEC, cluster=cluster, workload=Workload(blocks=3), profile=found)
    assert (plan(problem).evidence.gap or 0) >= 0


@pytest.mark.dist
def test_a_model_is_made_on_each_rank_and_need_not_exist_before() -> None:
    made = []

    def make(device: torch.device) -> LoadedModel:
        made.append(device)
        return random_model(TINY_SPEC, device=device)

    found = profile(make, Cluster.of("cpu-core"), prompt="x", repeats=1, together=False, clips=False)
    assert made == []
    assert [context for context, _ in points(found.denoise)] == [0, 1, 2]
    assert (found.batch_share, found.joint_stretch, found.tick_overhead_us) == ((), None, 0)
    assert [row.samples for row in found.denoise] == [1, 1, 1]
    assert not found.missing


@pytest.mark.dist
@pytest.mark.parametrize(("memory", "told"), [(10**12, None), (10**4, "clips: ")])
def test_clips_that_a_device_has_no_room_for_are_told(memory: int, told: str | None) -> None:
    cluster = Cluster.of("cpu-core")
    device = cluster.devices[0].model_copy(update={"memory_bytes": memory})
    small = cluster.model_copy(update={"devices": (device,)})
    found = profile(tiny_model(), small, prompt="x", repeats=1)
    assert [text[:7] for text in found.missing] == ([] if told is None else [told])


def test_a_model_without_a_decoder_is_refused() -> None:
    with pytest.raises(WorldError, match="no decoder"):
        measured(tiny_model()._replace(vae=None), "x", Asked())


def test_what_time_does_not_allow_is_missing() -> None:
    found = measured(tiny_model(), "x", Asked(limit_s=0))
    assert not found.times
    assert set(found.missing.values()) == {"out of time"}
    assert {"decode", "denoise 2", "clean 0", "tick 4", "recache", "encode"} <= set(found.missing)
