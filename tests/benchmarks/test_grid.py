"""The committed grid is large, varied and what its seed draws; a sample of it is solved to valid schedules."""

from __future__ import annotations

from collections import Counter

import pytest

from planner.instance import ANY, ORDER
from tests.benchmarks.grid import STRATA, Row, build, load, sample
from tests.benchmarks.raw_cpsat import coloured
from tests.benchmarks.varied import Result, results
from tests.planner.validity import faults

ROWS = load()

FEATURES = {
    "4 blocks": lambda row: row.blocks == 4,
    "20 blocks": lambda row: row.blocks == 20,
    "3 passes": lambda row: len(row.passes_us) == 3,
    "6 passes": lambda row: len(row.passes_us) == 6,
    "equal passes": lambda row: len(set(row.passes_us)) == 1,
    "unequal passes": lambda row: len(set(row.passes_us)) > 1,
    "growing context": lambda row: row.growth_percent > 0,
    "no decoder": lambda row: row.decode_us == 0,
    "small decodes": lambda row: 0 < row.decode_us < min(row.passes_us),
    "large decodes": lambda row: row.decode_us > max(row.passes_us),
    "chained decodes": lambda row: row.chained,
    "decoder apart": lambda row: row.apart,
    "full cascade": lambda row: row.offset == 1,
    "sequential": lambda row: row.offset == len(row.passes_us),
    "between": lambda row: 1 < row.offset < len(row.passes_us),
    "one device": lambda row: len(row.speeds_percent) == 1,
    "eight devices": lambda row: len(row.speeds_percent) == 8,
    "unequal devices": lambda row: len(set(row.speeds_percent)) > 1,
    "pair lanes": lambda row: row.links == "pair",
    "port lanes": lambda row: row.links == "port",
    "transfers, any device": lambda row: row.links != "none" and row.placement == "free",
    "pinned by block": lambda row: row.placement == "block",
    "pinned by step": lambda row: row.placement == "step",
    "long window": lambda row: row.window > 1,
    "clean pass": lambda row: row.clean,
}


def test_grid_is_what_its_seed_draws() -> None:
    assert sample() == ROWS


def test_grid_is_large_and_repeats_nothing() -> None:
    assert len(ROWS) >= 400
    assert len(set(ROWS)) == len(ROWS)
    assert Counter(row.stratum for row in ROWS) == STRATA


@pytest.mark.parametrize("feature", FEATURES)
def test_grid_covers(feature: str) -> None:
    assert sum(map(FEATURES[feature], ROWS)) >= 10


@pytest.mark.parametrize("stratum", STRATA)
def test_no_stratum_is_trivial(stratum: str) -> None:
    rows = [row for row in ROWS if row.stratum == stratum]
    open_choice = [row for row in rows if len(row.speeds_percent) > 1 and row.offset < len(row.passes_us)]
    assert len(open_choice) > len(rows) / 2


def test_instances_are_well_formed_and_the_same_each_time() -> None:
    for row in ROWS:
        instance = build(row)
        assert instance == build(row)
        assert instance.units == len(row.speeds_percent)
        assert instance.size == row.blocks * (len(row.passes_us) + (row.decode_us > 0)) - row.clean
        for task, (times, reads, leader) in enumerate(
            zip(instance.durations, instance.inputs, instance.stays, strict=True)
        ):
            assert any(times), row.name
            assert all(source < task for source, _ in reads), row.name
            assert leader == ANY or instance.durations[leader] == times, row.name
            assert all(payload == ORDER or payload // 2 == source for source, payload in reads), row.name


def test_instance_of_a_row_by_hand() -> None:
    row = Row(
        stratum="port",
        blocks=2,
        passes_us=(100, 50),
        growth_percent=10,
        growth_blocks=1,
        clean=True,
        offset=2,
        window=7,
        decode_us=30,
        chained=True,
        speeds_percent=(100, 40),
        links="port",
        latency_us=5,
        bytes_per_us=2,
        latents_bytes=4,
        kv_bytes=20,
        placement="step",
        apart=False,
    )
    instance = build(row)
    # Block 0: pass, clean pass, decode of the first; block 1: pass, decode.
    assert instance.durations == [(100, 0), (0, 125), (30, 75), (110, 0), (30, 75)]
    assert instance.inputs == [(), ((0, 0),), ((0, 0),), ((1, 3),), ((3, 6), (2, ORDER))]
    assert instance.stays == [ANY, ANY, ANY, ANY, 2]
    assert instance.blocks == [0, 0, 0, 1, 1]
    assert instance.wires is not None
    assert {pair: wire.lanes for pair, wire in instance.wires.items()} == {(0, 1): (0, 3), (1, 0): (1, 2)}
    assert instance.wires[0, 1].transfer_us(instance.payload_bytes[3]) == 15


def test_colours_are_as_many_as_overlap() -> None:
    assert coloured([0, 0, 5, 10, 10], [10, 5, 12, 12, 13]) == [1, 0, 0, 1, 2]


@pytest.fixture(scope="module")
def solved() -> list[Result]:
    small = [row for row in ROWS if row.blocks <= 8]
    return results([next(row for row in small if row.stratum == stratum) for stratum in STRATA])


def test_sample_is_solved_and_valid(solved: list[Result]) -> None:
    for result in solved:
        assert not faults(build(result.row), result.outcome.schedule)
        assert 0 < result.outcome.bound_us <= result.outcome.schedule.makespan_us
        assert result.outcome.gap < 0.5


def test_sample_is_never_worse_than_a_proven_optimum(solved: list[Result]) -> None:
    for result in solved:
        if result.rival_proven and result.rival_us is not None:
            assert result.outcome.bound_us <= result.rival_us
            assert not result.proven or result.outcome.schedule.makespan_us == result.rival_us
