"""From a schedule of units to ranks: who runs what, and which payloads have to move."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings

from planner.action import LEADERS_WORK, Action, Kind, Payload
from planner.cost import Costs
from planner.draft import Draft
from planner.patterns import Pattern
from planner.placement import Placement
from tests.planner.clips import LATENTS_US, cascade, clip, costed, drafted, model
from tests.strategies import costings

TWO = model(2, clean=True)


def ran(made: Draft) -> list[list[str]]:
    return [[str(row.action) for row in rows] for rows in made.ranks]


def moved(made: Draft) -> list[str]:
    return sorted(f"{move.payload} r{move.source}>r{move.target}" for move in made.moves)


def test_all_ranks_of_a_group_run_its_passes_and_the_first_decodes() -> None:
    costs = costed(clip(model(1), 2, 4), cascade(1), "block*ulysses:2")
    made = drafted(costs)
    passes = [[text for text in texts if text.startswith("denoise")] for texts in ran(made)]
    assert passes == [["denoise b0.s0"], ["denoise b0.s0"], ["denoise b1.s0"], ["denoise b1.s0"]]
    assert [len(texts) for texts in ran(made)[1::2]] == [1, 1], "decodes are on first ranks only"
    # Each rank holds its share of the K/V, and sends it to its counterpart.
    assert {"kv b0.s0 r0>r2", "kv b0.s0 r1>r3"} <= set(moved(made))


def test_prompts_come_from_the_rank_that_encoded_them() -> None:
    costs = costed(clip(model(1), 2, 5, asked={"encode_text": True}), cascade(1), "block*ulysses:2")
    made = drafted(costs)
    home = next(rank for rank, rows in enumerate(ran(made)) if "text p0" in rows)
    assert [line for line in moved(made) if line.startswith("text")] == [
        f"text p0 r{home}>r{rank}" for rank in range(4) if rank != home
    ]
    assert ran(made)[4] == [], "four of five ranks make two groups"


def test_latents_change_ranks_between_ticks() -> None:
    costs = costed(clip(TWO, 2, 3), cascade(1, "live-joint"), "step")
    made = drafted(costs)
    assert [line for line in moved(made) if "b0" in line] == ["latents b0.s0 r0>r1", "latents b0.s1 r1>r2"]
    after = {str(move.payload): move for move in made.moves}
    tick = next(row for row in made.ranks[0] if row.action.block == 0)
    assert (after["latents b0.s0"].start_us, after["latents b0.s0"].end_us) == (tick.end_us, tick.end_us + LATENTS_US)
    # Every denoising rank takes part in every tick, with or without a pass of its own.
    assert [[row.action.block for row in rows if row.action.kind is Kind.TICK] for rows in made.ranks] == [
        [0, 1, 2]
    ] * 3
    assert [str(row.action) for row in made.ranks[2] if row.action.kind is Kind.TICK] == [
        "tick 0",
        "tick 1",
        "tick 2 b0.c",
    ]


def test_what_is_read_beside_its_maker_moves_live() -> None:
    live = [move for move in drafted(costed(clip(TWO, 2, 2), cascade(1, "live-causal"), "block")).moves if move.live]
    # The clean pass is over before block 1 comes to read it.
    assert [(str(move.payload), move.source, move.target) for move in live] == [("kv b0.s1", 0, 1)]
    assert not any(move.live for move in drafted(costed(clip(TWO, 2, 2), cascade(1), "block")).moves)


def test_nothing_moves_on_one_rank() -> None:
    for text in ("sequential", "cascade:1", "cascade:1:live-causal", "sequential-recompute"):
        assert drafted(costed(clip(TWO, 3), Pattern.parse(text, TWO))).moves == []
    assert drafted(costed(clip(TWO, 3), cascade(1, "live-joint"), Placement(passes="batched"))).moves == []


def makers_of(made: Draft, costs: Costs) -> dict[Payload, set[int]]:
    found: dict[Payload, set[int]] = defaultdict(set)
    for rank, rows in enumerate(made.ranks):
        for row in rows:
            for payload in costs.flow.makes(row.action):
                found[payload].add(rank)
    return found


@settings(max_examples=200)
@given(costings())
def test_each_rank_gets_what_it_reads_once_and_from_a_maker(costs: Costs) -> None:
    made = drafted(costs)
    makers = makers_of(made, costs)
    came: set[tuple[int, Payload]] = set()
    for move in made.moves:
        assert move.source in makers[move.payload], f"{move} is sent on by one who did not make it"
        assert move.target not in makers[move.payload], f"{move} is there already"
        assert (move.target, move.payload) not in came, f"{move} comes twice"
        assert move.start_us < move.end_us
        came.add((move.target, move.payload))
    for rank, rows in enumerate(made.ranks):
        for row in rows:
            for payload in costs.flow.needs(row.action):
                assert rank in makers[payload] or (rank, payload) in came, f"r{rank} {row.action} lacks {payload}"


@settings(max_examples=200)
@given(costings())
def test_nothing_moves_that_nobody_reads(costs: Costs) -> None:
    made = drafted(costs)
    read = {
        (rank, payload)
        for rank, rows in enumerate(made.ranks)
        for row in rows
        for payload in costs.flow.needs(row.action)
    }
    assert {(move.target, move.payload) for move in made.moves} <= read


@settings(max_examples=100)
@given(costings())
def test_units_work_as_one(costs: Costs) -> None:
    made, units = drafted(costs), costs.flow.layout.units
    placed = {rank for ranks in units for rank in ranks}
    spans: dict[Action, set[tuple[int, int]]] = defaultdict(set)
    where: dict[Action, set[int]] = defaultdict(set)
    for rank, rows in enumerate(made.ranks):
        assert rank in placed or not rows
        assert [row.start_us for row in rows] == sorted(row.start_us for row in rows)
        assert all(one.end_us <= two.start_us for one, two in pairwise(rows))
        for row in rows:
            spans[row.action.gang].add((row.start_us, row.end_us))
            where[row.action.gang].add(rank)
    assert all(len(times) == 1 for times in spans.values()), "shares of a gang run together"
    for action, ranks in where.items():
        if action.kind is Kind.TICK:
            assert ranks == {rank for unit in units[: costs.flow.layout.denoising] for rank in unit}
        elif action.kind in LEADERS_WORK:
            assert ranks <= {unit[0] for unit in units}
            assert len(ranks) == 1
        else:
            assert tuple(sorted(ranks)) in units
