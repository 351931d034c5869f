"""How long batches, groups, gangs and slices take: by hand, in the words of the profile."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from models.catalog import load_spec
from planner.action import Action, Kind
from planner.cluster import DEVICES, LINKS, Cluster
from planner.cost import Costs
from planner.errors import InputError
from planner.expand import expand
from planner.flow import Flow
from planner.passes import SERIAL_SHARE, Passes, at
from planner.patterns import Pattern
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import cascade, clip, costed, model, us
from tests.strategies import costings

# This link's collectives take 300 us, and its messages 5 us and a microsecond for each 1024 bytes.
COLLECTIVE_US = 305


def take(timing: Costs, text: str, rank: int = 0) -> int:
    return timing.compute_us(Action.parse(text), rank)


def entries(*known: tuple[int, int]) -> list[dict[str, int]]:
    return [{"median_us": us_, "p95_us": us_, "samples": 1, "context": context} for context, us_ in known]


def test_a_table_is_read_between_and_beyond_its_entries() -> None:
    table = us(100, 160)
    assert [at(table, context) for context in range(4)] == [100, 160, 220, 280]
    assert at(us(50), 7) == 50
    assert at(us(100, 10), 9) == 1


# -- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ((), 450),  # one after the other
        ((0.5,), 200 + 75 + 50),  # the longest whole, of each other one half
        ((0.5, 0.2), 200 + 75 + 20),
    ],
)
def test_batches_by_hand(share: tuple[float, ...], expected: int) -> None:
    # Passes that read 2, 1 and 0 blocks.
    timing = costed(clip(model(3), 9, measured={"batch_share": share}), cascade(1), "batched")
    assert take(timing, "batch 2.0 b0.s2 b1.s1 b2.s0") == expected


def test_a_batch_of_one_takes_what_its_pass_takes() -> None:
    timing = costed(clip(model(3), 9, measured={"batch_share": (0.5,)}), cascade(1), "batched")
    assert take(timing, "batch 1.0 b1.s0") == take(timing, "denoise b1.s0") == 150


# -- groups --------------------------------------------------------------------------------------


def group(placement: str, **measured: object) -> Costs:
    return costed(clip(model(1), 9, 4, measured=measured), cascade(1), placement)


def test_groups_by_hand() -> None:
    # Of 100 us a part stays, the rest is shared. 6 layers; of 16 tokens of 192 float32 numbers, 12288 bytes in all,
    # each of two ranks sends a half of its half by Ulysses (3 us), twice a half of all by tensor parallelism (12 us).
    half = 100 * (SERIAL_SHARE + (1 - SERIAL_SHARE) / 2)
    assert take(group("free*ulysses:2"), "denoise b0.s0") == math.ceil(half + 6 * 4 * (COLLECTIVE_US + 3))
    assert take(group("free*tensor:2"), "denoise b0.s0") == math.ceil(half + 6 * 2 * (COLLECTIVE_US + 12))
    # Three quarters of a quarter, and twice three quarters of all.
    quarter = 100 * (SERIAL_SHARE + (1 - SERIAL_SHARE) / 4)
    assert take(group("free*ulysses:4"), "denoise b0.s0") == math.ceil(quarter + 6 * 4 * (COLLECTIVE_US + 2.25))
    assert take(group("free*tensor:4"), "denoise b0.s0") == math.ceil(quarter + 6 * 2 * (COLLECTIVE_US + 18))


def test_a_measured_share_replaces_the_reckoning() -> None:
    measured = [{"method": "ulysses", "degree": 2, "share": 0.6}, {"method": "tensor", "degree": 4, "share": 0.4}]
    assert take(group("free*ulysses:2", parallel=measured), "denoise b1.s0") == 90
    assert take(group("free*tensor:4", parallel=measured), "denoise b1.s0") == 60
    bare = take(group("free*tensor:2"), "denoise b1.s0")
    assert take(group("free*tensor:2", parallel=measured), "denoise b1.s0") == bare


def test_what_only_the_first_rank_does_is_not_shared() -> None:
    assert take(group("free*ulysses:2"), "decode b1") == 60
    assert take(group("free*ulysses:2", text_us=33), "text p0") == 33


def test_a_group_waits_for_its_slowest_device_and_its_slowest_link() -> None:
    spec = load_spec("self-forcing-1.3b")

    def passes(placement: str, *kinds: str, nodes: tuple[int, ...] = ()) -> list[int]:
        cluster = Cluster(
            devices=tuple(DEVICES[kind] for kind in kinds),
            link=LINKS["nvlink4"],
            nodes=nodes,
            network=LINKS["ethernet-100g"],
        )
        problem = Problem(model=spec, cluster=cluster, workload=Workload(blocks=2))
        timing = costed(problem, Pattern.sequential(spec), placement)
        return [take(timing, "denoise b0.s0", rank) for rank in range(len(kinds))]

    pair = "free*ulysses:2"
    alone = passes("free", "h100", "a100")
    assert alone[0] < alone[1]
    fast, slow = passes(pair, "h100", "h100"), passes(pair, "a100", "a100")
    assert passes(pair, "h100", "a100") == passes(pair, "a100", "h100") == slow != fast
    # Ranks 2 and 3 are on different nodes, whoever is asked first.
    mixed = passes(pair, "h100", "h100", "h100", "h100", nodes=(3, 1))
    assert mixed[:2] == fast
    assert mixed[2] == mixed[3] > fast[0]
    assert passes(pair, "h100", "h100", "a100", "a100") == fast + slow


# -- gangs ---------------------------------------------------------------------------------------


def joint(placement: str, ranks: int, **measured: object) -> Costs:
    problem = clip(model(2, clean=True), 4, ranks, denoise_us=(100,), measured=measured)
    return costed(problem, cascade(1, "live-joint"), placement)


def test_a_gang_takes_its_slowest_share_and_a_barrier_a_layer() -> None:
    # Tick 2: block 0's clean pass, steps of blocks 1 and 2, on a rank each. Every rank lacks two blocks' K/V, 2 x
    # 24 576 bytes in each of 6 layers.
    timing = joint("block", 3)
    assert take(timing, "tick 2 b0.c") == 100 + 6 * (COLLECTIVE_US + 48)
    assert {take(timing, f"tick 2 {share}", rank) for rank, share in enumerate(("b0.c", "b1.s1", "b2.s0"))} == {
        take(timing, "tick 2")
    }
    # Two ranks: one runs two of the three passes, the other lacks two blocks.
    assert take(joint("block", 2), "tick 2") == 180 + 6 * (COLLECTIVE_US + 48)
    assert take(joint("block", 2, batch_share=(0.5,)), "tick 2") == 100 + 40 + 6 * (COLLECTIVE_US + 48)


def test_a_gang_of_one_has_no_barriers() -> None:
    assert take(joint("block", 3), "tick 0 b0.s0") == 100
    assert take(joint("batched", 1), "tick 2 b0.c b1.s1 b2.s0") == 280
    assert take(joint("batched", 1, tick_overhead_us=7), "tick 2 b0.c b1.s1 b2.s0") == 287
    assert take(joint("block", 3, tick_overhead_us=7), "tick 2") == 107 + 6 * (COLLECTIVE_US + 48)


def test_reading_newer_blocks_takes_as_long_as_reading_as_many_older() -> None:
    problem = clip(model(2), 3, 2, denoise_us=(100, 150, 250))
    timing = costed(problem, cascade(1, "live-joint"), "block")
    # Block 0's second step reads the block behind it, block 1's first step the one before it.
    assert timing.flow.blocks_read(0, 1) == timing.flow.blocks_read(1, 0) == 1
    assert take(timing, "tick 1") == 150 + 6 * (COLLECTIVE_US + 24)
    # Tick 2: block 1 reads one on either side, block 2 both older ones.
    assert take(timing, "tick 2") == 250 + 6 * (COLLECTIVE_US + 24)


def test_a_joint_pass_may_be_stretched_instead() -> None:
    problem = clip(model(2), 3, 2, denoise_us=(100, 150, 250), measured={"joint_stretch": 1.4})
    timing = costed(problem, cascade(1, "live-joint"), "block")
    # By what is older: block 1's first step reads one block, 150 x 1.4. A pass that runs alone stays as it is.
    assert take(timing, "tick 1") == 210 + 6 * (COLLECTIVE_US + 24)
    assert take(timing, "tick 0") == 100
    alone = costed(problem, cascade(2, "live-joint"), "block")
    assert take(alone, "tick 3") == 150


# -- an overhead while several blocks are in flight ------------------------------------------------

FLIGHT = {"flight_overhead_us": 13}


def test_passes_of_a_cascade_take_an_overhead_each() -> None:
    timing = costed(clip(model(2), 3, 2, denoise_us=(100,), measured=FLIGHT), cascade(1), "step")
    assert [take(timing, text) for text in ("denoise b0.s0", "denoise b1.s1", "decode b1")] == [113, 113, 60]


def test_a_batch_takes_it_once_and_a_slice_too() -> None:
    problem = clip(model(2), 3, 1, denoise_us=(120,), measured=FLIGHT)
    batched = costed(problem, cascade(1), "batched")
    assert take(batched, "batch 1.0 b0.s1 b1.s0") == 120 + 120 + 13
    assert take(batched, "batch 0.0 b0.s0") == 120 + 13
    ring = costed(clip(model(2), 3, 2, denoise_us=(120,), measured=FLIGHT), Pattern(name="layers", offset=1), "ring")
    assert take(ring, "slice 2.1 b0.s1 b2.s0", 1) == 120 + 13  # half of the layers of two passes
    assert take(ring, "slice 0.0 b0.s0") == 60 + 13


@pytest.mark.parametrize(("pattern", "placement"), [(Pattern(name="sequential", offset=2), "free"), (None, "block")])
def test_one_block_after_the_other_and_joint_ticks_do_not(pattern: Pattern | None, placement: str) -> None:
    chosen = pattern or cascade(1, "live-joint")
    told = [
        [take(costed(clip(model(2), 3, 2, measured=measured), chosen, placement), text) for text in texts]
        for measured in ({}, FLIGHT)
        for texts in [("tick 0", "tick 1", "tick 2") if pattern is None else ("denoise b0.s0", "denoise b1.s1")]
    ]
    assert told[0] == told[1]


# -- slices --------------------------------------------------------------------------------------


def ring(*kinds: str) -> list[int]:
    """Microseconds of each slice of one pass, on devices without a profile."""
    cluster = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=LINKS["pcie4"])
    problem = Problem(model=load_spec("self-forcing-1.3b"), cluster=cluster, workload=Workload(blocks=2))
    timing = costed(problem, Pattern(name="layers", offset=1), "ring")
    return [take(timing, f"slice 0.{rank} b0.s0", rank) for rank in range(len(kinds))]


def test_slices_hold_whole_layers_by_the_devices_speed() -> None:
    (whole,) = ring("h100")
    assert ring("h100", "h100") == [math.ceil(whole / 2)] * 2
    # 30 layers over four: 8, 7, 8 and 7.
    assert sum(ring("h100", "h100", "h100", "h100")) == pytest.approx(whole, abs=4)
    # An H100 has 3.17 times an A100's rate: 23 layers and 7.
    assert ring("h100", "a100")[0] == pytest.approx(whole * 23 / 30, abs=1)
    (slow,) = ring("a100")
    assert ring("h100", "a100")[1] == pytest.approx(slow * 7 / 30, abs=1)


def test_every_unit_of_a_ring_holds_a_layer() -> None:
    problem = clip(model(1), 2, 6, denoise_us=(600,))
    timing = costed(problem, Pattern(name="layers", offset=1), "ring")
    assert {take(timing, f"slice 0.{rank} b0.s0", rank) for rank in range(6)} == {100}
    message = r"^placement: a ring of 7 units needs 7 layers, by-hand has 6$"
    with pytest.raises(InputError, match=message):
        costed(clip(model(1), 2, 7), Pattern(name="layers", offset=1), "ring")


# -- keys ----------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(costings())
def test_equal_keys_have_equal_durations(timing: Costs) -> None:
    """What is remembered under a key is what would be reckoned anew, whoever asked first."""
    flow: Flow = timing.flow
    passes = Passes(timing.problem, flow)
    known: dict[object, float] = {}
    for action in expand(timing).actions:
        for unit, ranks in enumerate(flow.layout.units):
            if action.kind in (Kind.BATCH, Kind.SLICE) and unit != action.step:
                continue
            found = passes.action_us(action, ranks)
            assert known.setdefault(passes.key(action, ranks[0]), found) == found
