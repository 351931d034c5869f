"""What a profile says is what the cost model needs to foretell the times that were measured."""

from __future__ import annotations

import pytest

from executor.errors import RankError
from executor.measuring.profile_tables import merged, tables
from executor.measuring.rounds import Found
from models.catalog import load_spec
from planner.action import Action
from planner.cluster import Cluster
from planner.cost import Costs
from planner.flow import Flow
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.profile import Profile, points
from planner.workload import Workload

SPEC = load_spec("toy")  # a window of 4 blocks, 5 passes
PROBLEM = Problem(model=SPEC, cluster=Cluster.of("cpu-core"), workload=Workload(blocks=30))
# A pass takes 1000 and 100 for each block it reads.
ALONE = {f"{kind} {c}": [1000.0 + 100 * c] for kind, most in (("denoise", 8), ("clean", 4)) for c in range(most)}
SIDE = {"decode_first": [400.0], "decode": [500.0, 510.0, 520.0], "encode": [77.0], "recache": [3300.0]}
BATCHES = {"batch 2": [1950.0], "batch 3": [2470.0], "batch 4": [3120.0], "batch 5": [3770.0]}
SHARES = (0.5, 0.4, 0.5, 0.5)  # of the 1300 that a pass at full context takes alone


def made(times: dict[str, list[float]], missing: dict[str, str] | None = None) -> Profile:
    fields = tables(PROBLEM, Found(times, missing or {}))
    given = {"model": "toy", "device": "cpu-core", "software": "given", "link_latency_us": 1, "link_bandwidth_gbps": 1}
    return Profile.model_validate(given | fields)


def foretold(profile: Profile, pattern: str, placement: str, action: str) -> int:
    problem = PROBLEM.model_copy(update={"profile": profile})
    flow = Flow(problem, Pattern.parse(pattern, SPEC), Placement.parse(placement))
    return Costs(problem, flow).compute_us(Action.parse(action), 0)


def test_tables_by_hand() -> None:
    found = made(ALONE | SIDE)
    assert points(found.denoise) == [(c, 1000 + 100 * c) for c in range(8)]
    assert points(found.clean) == [(c, 1000 + 100 * c) for c in range(4)]
    assert (found.decode_first.median_us, found.decode.median_us, found.decode.samples) == (400, 510, 3)
    assert (found.encode_us, found.recache_us, found.text_us) == (77, 3300, None)
    assert (found.batch_share, found.tick_overhead_us, found.joint_stretch) == ((), 0, None)


def test_batches_are_foretold() -> None:
    found = made(ALONE | SIDE | BATCHES)
    assert found.batch_share == pytest.approx(SHARES)
    batch = "batch 26.0 b22.c b23.s3 b24.s2 b25.s1 b26.s0"
    assert foretold(found, "cascade:1", "batched", batch) == 3770


def test_a_batch_that_is_no_slower_adds_a_little_all_the_same() -> None:
    found = made(ALONE | SIDE | {"batch 2": [1200.0], "batch 3": [1951.3]})
    # The third adds what is left once the second counts as it is written down.
    assert found.batch_share == pytest.approx((1e-3, 0.5))


def test_a_batch_that_is_missing_ends_what_is_known_of_batches() -> None:
    few = {name: times for name, times in BATCHES.items() if name != "batch 3"}
    assert made(ALONE | SIDE | few, {"batch 3": "out of memory"}).batch_share == (0.5,)


def test_a_tick_is_foretold() -> None:
    # Reading 7, 6, 5, 4 and 3 blocks: 1700 + 800 + 600 + 700 + 650, and 350 beyond.
    found = made(ALONE | SIDE | BATCHES | {"tick 5": [4800.0]})
    assert (found.tick_overhead_us, found.joint_stretch) == (350, None)
    tick = "tick 26 b22.c b23.s3 b24.s2 b25.s1 b26.s0"
    assert foretold(found, "cascade:1:live-joint", "batched", tick) == 4800


def test_a_tick_quicker_than_its_passes_is_foretold_as_their_stretch() -> None:
    found = made(ALONE | SIDE | BATCHES | {"tick 5": [4147.0]})
    assert found.tick_overhead_us == 0
    assert found.joint_stretch == pytest.approx(1.1)
    tick = "tick 26 b22.c b23.s3 b24.s2 b25.s1 b26.s0"
    assert foretold(found, "cascade:1:live-joint", "batched", tick) == pytest.approx(4147, abs=5)


def test_what_is_missing_is_told_and_stood_in_for() -> None:
    times = {name: us for name, us in (ALONE | SIDE).items() if "clean" not in name and name != "decode"}
    found = made(times, {"decode": "out of memory", "clean 0": "out of time"})
    assert found.clean == found.denoise
    sheet = Costs(PROBLEM, Flow(PROBLEM, Pattern.sequential(SPEC), Placement()))
    assert found.decode.median_us == pytest.approx(sheet.compute_us(Action.parse("decode b1"), 0), abs=1)
    assert found.decode_first.median_us == 400
    assert "decode: out of memory" in found.missing
    assert "decode: the data sheet's figure stands in" in found.missing
    assert any(text.startswith("clean: none was measured") for text in found.missing)


def test_a_device_without_room_for_any_pass_is_told() -> None:
    with pytest.raises(RankError, match="nothing could be measured: denoise 0: out of memory"):
        tables(PROBLEM, Found({}, {"denoise 0": "out of memory"}))


def test_ranks_are_taken_together_and_one_that_lacks_a_point_decides() -> None:
    found = merged([Found({"a": [1.0], "b": [2.0]}, {}), Found({"a": [3.0]}, {"b": "out of memory"})])
    assert found == Found({"a": [1.0, 3.0]}, {"b": "out of memory"})
