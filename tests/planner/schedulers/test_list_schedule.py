"""List scheduling: small schedules reckoned by hand for both rules, and what every schedule keeps to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from planner.action import Action, Kind, Payload
from planner.cluster import DEVICES, LINKS, Cluster
from planner.cost import costs
from planner.errors import InputError
from planner.graph import build_graph
from planner.patterns import Pattern
from planner.placement import Placement, all_placements
from planner.problem import Problem
from planner.schedulers.list_schedule import RULES, Rule, Schedule, Transfer, bottom_levels, list_schedule
from planner.workload import Workload
from tests.planner.clips import cascade, clip, model, scheduled
from tests.strategies import patterns, problems


def rows(schedule: Schedule) -> list[list[tuple[str, int, int]]]:
    return [[(str(row.action), row.start_us, row.end_us) for row in program] for program in schedule.ranks]


def transfers(schedule: Schedule) -> list[tuple[str, int, int, int, int]]:
    return [(str(way.payload), way.source, way.target, way.start_us, way.end_us) for way in schedule.transfers]


def test_bottom_levels_by_hand() -> None:
    problem = clip(model(1, clean=True), 2)
    timing = costs(problem)
    levels = bottom_levels(build_graph(problem, Pattern.sequential(problem.model), timing), timing, 1)
    assert {str(action): level for action, level in levels.items()} == {
        "decode b1": 60,
        "denoise b1.s0": 150 + 60,
        "decode b0": 40 + 60,
        "commit b0": 80 + 210,
        "denoise b0.s0": 100 + 290,
    }


def test_bottom_levels_count_on_the_fastest_rank() -> None:
    def levels(*kinds: str) -> dict[Action, int]:
        cluster = Cluster(devices=tuple(DEVICES[kind] for kind in kinds), link=LINKS["pcie4"])
        problem = Problem(model=load_spec("toy"), cluster=cluster, workload=Workload(blocks=2))
        timing = costs(problem)
        return bottom_levels(build_graph(problem, cascade(1), timing), timing, len(kinds))

    assert levels("cpu-core", "h200") == levels("h200", "h200") != levels("cpu-core", "cpu-core")


def test_the_oldest_block_is_shown_first_by_hand() -> None:
    """Decoding goes first, so the clean pass waits 6 us for the latents on the other rank."""
    problem = clip(model(1, clean=True), 2, 2)
    schedule = scheduled(problem, Pattern.sequential(problem.model), rule="oldest block")
    assert rows(schedule) == [
        [("denoise b0.s0", 0, 100), ("decode b0", 100, 140), ("decode b1", 342, 402)],
        [("commit b0", 106, 186), ("denoise b1.s0", 186, 336)],
    ]


@pytest.mark.parametrize("rule", ["earliest start", "longest tail"])
def test_a_sequential_clip_by_hand(rule: Rule) -> None:
    # The clean pass is more urgent than the first decode, which therefore leaves, and the decoder with it.
    problem = clip(model(1, clean=True), 2, 2)
    schedule = scheduled(problem, Pattern.sequential(problem.model), rule=rule)
    assert rows(schedule) == [
        [("denoise b0.s0", 0, 100), ("commit b0", 100, 180), ("denoise b1.s0", 180, 330)],
        [("decode b0", 106, 146), ("decode b1", 336, 396)],
    ]
    assert transfers(schedule) == [("latents b0.s0", 0, 1, 100, 106), ("latents b1.s0", 0, 1, 330, 336)]
    assert schedule.makespan_us == 396


def test_earliest_start_by_hand() -> None:
    # Block 1 begins first by its longer tail; block 0's decode can begin first on the rank that has its latents.
    schedule = scheduled(clip(model(2), 2, 2), cascade(1), rule="earliest start")
    assert rows(schedule) == [
        [("denoise b0.s0", 0, 100), ("denoise b1.s0", 100, 250)],
        [("denoise b0.s1", 106, 206), ("decode b0", 206, 246), ("denoise b1.s1", 256, 406), ("decode b1", 406, 466)],
    ]
    assert transfers(schedule) == [("latents b0.s0", 0, 1, 100, 106), ("latents b1.s0", 0, 1, 250, 256)]


def test_longest_tail_by_hand() -> None:
    # Block 1's second step is placed before block 0's decode, which then ends first on the other rank and keeps the
    # decoder there.
    schedule = scheduled(clip(model(2), 2, 2), cascade(1), rule="longest tail")
    assert rows(schedule) == [
        [("denoise b0.s0", 0, 100), ("denoise b1.s0", 100, 250), ("decode b0", 250, 290), ("decode b1", 412, 472)],
        [("denoise b0.s1", 106, 206), ("denoise b1.s1", 256, 406)],
    ]
    assert transfers(schedule) == [
        ("latents b0.s0", 0, 1, 100, 106),
        ("latents b1.s0", 0, 1, 250, 256),
        ("latents b0.s1", 1, 0, 206, 212),
        ("latents b1.s1", 1, 0, 406, 412),
    ]


def test_a_busy_link_by_hand() -> None:
    # K/V takes 149 us to travel and is made every 100 us, so the second waits for the link.
    schedule = scheduled(clip(model(2), 2, 2, decode=False), cascade(1), "block")
    assert rows(schedule) == [
        [("denoise b0.s0", 0, 100), ("denoise b0.s1", 100, 200)],
        [("denoise b1.s0", 249, 399), ("denoise b1.s1", 399, 549)],
    ]
    assert transfers(schedule) == [("kv b0.s0", 0, 1, 100, 249), ("kv b0.s1", 0, 1, 249, 398)]


def test_a_payload_goes_once_to_each_rank_by_hand() -> None:
    # Both steps of block 1 read the same K/V of block 0, as do block 2's on a third rank.
    problem = clip(model(2), 3, 3, decode=False)
    schedule = scheduled(problem, Pattern.sequential(problem.model), "block")
    assert transfers(schedule) == [
        ("kv b0.s1", 0, 1, 200, 349),
        ("kv b0.s1", 0, 2, 200, 349),
        ("kv b1.s1", 1, 2, 649, 798),
    ]


def test_the_other_direction_of_a_link_is_free_by_hand() -> None:
    # Steps on two ranks: latents go out while the ones before come back.
    problem = clip(model(3, window=1), 1, 2, decode=False)
    schedule = scheduled(problem, cascade(1), "step")
    assert transfers(schedule) == [("latents b0.s0", 0, 1, 100, 106), ("latents b0.s1", 1, 0, 206, 212)]
    assert schedule.makespan_us == 312


def test_a_decoder_apart_needs_a_second_rank() -> None:
    with pytest.raises(InputError, match="needs at least 2 ranks"):
        scheduled(clip(model(1), 1), cascade(1), "free+decoder")


@settings(max_examples=100)
@given(st.data(), problems(), st.sampled_from(RULES))
def test_every_schedule_is_sound(data: st.DataObject, problem: Problem, rule: Rule) -> None:
    pattern, ranks = data.draw(patterns(problem.model)), problem.cluster.size
    where = data.draw(st.sampled_from(all_placements(ranks, decode=problem.workload.decode)))
    timing = costs(problem)
    graph = build_graph(problem, pattern, timing)
    schedule = list_schedule(graph, timing, where, ranks, rule)

    placed = {row.action: (rank, row) for rank, program in enumerate(schedule.ranks) for row in program}
    assert sorted(row.action for program in schedule.ranks for row in program) == sorted(graph)
    assert schedule.makespan_us == max(row.end_us for _, row in placed.values())
    decoding = {rank for action, (rank, _) in placed.items() if action.kind is Kind.DECODE}
    assert len(decoding) == problem.workload.decode
    for rank, program in enumerate(schedule.ranks):
        for before, after in pairwise(program):
            assert before.end_us <= after.start_us
        for action, start, end in program:
            assert end - start == timing.compute_us(action, rank)
            assert rank in where.candidates(action, ranks, problem.model.steps)

    check_transfers(schedule, timing.transfer_us, placed={action: rank for action, (rank, _) in placed.items()})
    arrived = {(transfer.payload, transfer.target): transfer.end_us for transfer in schedule.transfers}
    made = {action: row.end_us for action, (_, row) in placed.items()}
    needed = set()
    for maker, reader, edge in graph.edges(data=True):
        rank, row = placed[reader]
        if edge["payload"] is None or placed[maker][0] == rank:
            assert row.start_us >= made[maker]
        else:
            needed.add((edge["payload"], rank))
            assert row.start_us >= arrived[edge["payload"], rank]
    assert needed == set(arrived)
    for payload, source, _, start, _ in schedule.transfers:
        maker = Action(Kind.COMMIT, payload.block) if payload.step is None else denoise(payload)
        assert placed[maker][0] == source
        assert start >= made[maker]


def denoise(payload: Payload) -> Action:
    return Action(Kind.DENOISE, payload.block, payload.step)


def check_transfers(schedule: Schedule, duration: Callable[[Payload], int], placed: dict[Action, int]) -> None:
    """Between different ranks, once for each payload and target, one at a time on each link, as long as it takes."""
    ways = [(transfer.payload, transfer.target) for transfer in schedule.transfers]
    assert len(set(ways)) == len(ways)
    links: dict[tuple[int, int], list[Transfer]] = {}
    for transfer in schedule.transfers:
        assert transfer.source != transfer.target
        assert transfer.end_us - transfer.start_us == duration(transfer.payload)
        links.setdefault((transfer.source, transfer.target), []).append(transfer)
    assert set(placed.values()) >= {source for source, _ in links}
    for served in links.values():
        for before, after in pairwise(served):
            assert before.end_us <= after.start_us


@settings(max_examples=30)
@given(st.data(), problems(), st.sampled_from(RULES))
def test_schedules_are_the_same_every_time(data: st.DataObject, problem: Problem, rule: Rule) -> None:
    pattern, timing = data.draw(patterns(problem.model)), costs(problem)
    one, other = (
        list_schedule(build_graph(problem, pattern, timing), timing, Placement(), problem.cluster.size, rule)
        for _ in range(2)
    )
    assert one == other
