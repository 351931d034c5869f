"""The order of passes and what each reads, by hand and against the planner's own statement of the patterns.

Claims: levels read are the ones worked out by hand; each pass runs once and after what it reads; slots are exactly as
many as are needed; both statements of the patterns, this one and the planner's, give the same passes, ticks, prompts
and reads.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import load_spec
from models.errors import ModelError
from models.kv_cache import KVSlots, Version
from models.order import Live, Order, Pass, last_readers, most_alive
from models.spec import ModelSpec
from planner.action import Action, Kind, Payload
from planner.cluster import Cluster
from planner.flow import Flow
from planner.patterns import Pattern, all_patterns, newer_read
from planner.placement import Placement
from planner.problem import Problem
from planner.workload import PromptSwitch, Workload
from tests.models.variants import specs_and_offsets, streams, variant
from tests.tiny import TINY_SPEC

SELF_FORCING = load_spec("self-forcing-1.3b")
LONGLIVE = load_spec("longlive-1.3b")
TWO_STEPS = variant(timesteps=(1000, 500))
EXCHANGES: tuple[Live | None, ...] = (None, "causal", "joint")
few = settings(max_examples=20)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Of every kind there is."""
    spec, offset = draw(specs_and_offsets())
    blocks, kind = draw(st.integers(1, 8)), draw(st.sampled_from([*EXCHANGES, "codec", "recached"]))
    if kind in EXCHANGES:
        return Order.checked(spec, blocks, offset, kind, (), codec=False)
    recached = draw(st.sets(st.integers(1, 7).filter(lambda block: block < blocks)) if blocks > 1 else st.just(set()))
    return Order.checked(spec, blocks, None, None, () if kind == "codec" else sorted(recached), codec=kind == "codec")


# -- what is read, by hand -----------------------------------------------------------------------


def _reads(spec: ModelSpec, block: int, stage: int, offset: int, live: Live | None = None) -> list[Version]:
    """Of other blocks, by block."""
    order = Order(spec, 9, offset, live)
    return sorted(version for version in order.reads(block, stage) if version[0] != block)


@pytest.mark.parametrize(
    ("offset", "stage", "levels"),
    [
        # 4 steps and a clean pass (level 4); block 3 reads blocks 0, 1 and 2.
        (5, 0, [4, 4, 4]),
        (5, 3, [4, 4, 4]),
        (4, 0, [4, 4, 3]),
        (4, 1, [4, 4, 4]),
        (3, 0, [4, 4, 2]),
        (3, 1, [4, 4, 3]),
        (3, 2, [4, 4, 4]),
        (2, 0, [3, 2, 1]),
        (2, 1, [4, 3, 2]),
        (2, 2, [4, 4, 3]),
        (2, 3, [4, 4, 4]),
        (1, 0, [0, 0, 0]),
        (1, 3, [3, 3, 3]),
        *[(offset, 4, [4, 4, 4]) for offset in (1, 2, 3, 4, 5)],
    ],
)
def test_levels_read_by_hand(offset: int, stage: int, levels: list[int]) -> None:
    assert _reads(SELF_FORCING, 3, stage, offset) == list(enumerate(levels))


@pytest.mark.parametrize(
    ("offset", "stage", "older", "newer"),
    [
        # Live: a pass reads what runs beside it. Block 3 of 9 reads blocks 0, 1 and 2, and joint blocks from 4 on.
        (1, 0, [3, 2, 1], []),
        (1, 1, [4, 3, 2], [0]),
        (1, 4, [4, 4, 4], [3, 2, 1, 0]),
        (2, 0, [4, 4, 2], []),
        (2, 1, [4, 4, 3], []),
        (2, 2, [4, 4, 4], [0]),
        (2, 4, [4, 4, 4], [2, 0]),
        (3, 0, [4, 4, 3], []),
        (3, 4, [4, 4, 4], [1]),
        (5, 0, [4, 4, 4], []),
        (5, 4, [4, 4, 4], []),
    ],
)
def test_levels_read_live_by_hand(offset: int, stage: int, older: list[int], newer: list[int]) -> None:
    causal = list(enumerate(older))
    assert _reads(SELF_FORCING, 3, stage, offset, "causal") == causal
    assert _reads(SELF_FORCING, 3, stage, offset, "joint") == [*causal, *enumerate(newer, start=4)]


def test_levels_of_a_sink_and_a_window_by_hand() -> None:
    """Block 5 of LongLive reads the sink, block 0, five blocks back, and blocks 3 and 4."""
    assert _reads(LONGLIVE, 5, 0, 2) == [(0, 4), (3, 2), (4, 1)]
    assert _reads(LONGLIVE, 5, 0, 1) == [(0, 0), (3, 0), (4, 0)]


def test_levels_without_a_clean_pass_end_at_the_last_step() -> None:
    spec = variant(clean_pass=False)
    assert _reads(spec, 1, 0, 3) == [(0, 2)]
    assert _reads(spec, 1, 2, 2) == [(0, 2)]
    assert _reads(spec, 1, 2, 1, "joint") == [(0, 2), (2, 1), (3, 0)]


def test_levels_of_a_first_block_of_more_steps_are_its_last() -> None:
    """Five steps and a clean pass, stage 5; blocks after it have three, so level 0 is its stage 2."""
    spec = variant(first_block_steps=5, window=8, sink=0)
    assert _reads(spec, 1, 0, 1) == [(0, 2)]
    assert _reads(spec, 2, 0, 2) == [(0, 4), (1, 1)]
    assert _reads(spec, 1, 0, 4) == [(0, 5)]
    assert [_reads(spec, 0, stage, 1, "joint") for stage in range(6)] == [
        *[[]] * 3,
        [(1, 0)],
        [(1, 1), (2, 0)],
        [(1, 2), (2, 1), (3, 0)],
    ]


def test_keys_lie_by_place_in_the_ring_and_newer_ones_last() -> None:
    """A sink of one block and two places that the others take in turn: block 3 takes block 1's."""
    order = Order(TINY_SPEC, 9, 1, "joint")
    assert order.reads(3, 2) == ((0, 3), (3, 2), (2, 3), (4, 1), (5, 0))


def test_what_is_read_of_k_v_made_anew_by_hand() -> None:
    """Three steps and a clean pass, so K/V made anew for block r is stage 3 + r; a sink of one block, two others."""
    order = Order(TINY_SPEC, 9, 4, recached=(2, 4))
    assert [sorted(order.reads(block, 0)) for block in range(7)] == [
        [(0, 0)],
        [(0, 3), (1, 0)],
        [(0, 5), (1, 5), (2, 0)],
        [(0, 5), (2, 3), (3, 0)],
        [(0, 7), (3, 7), (4, 0)],
        [(0, 7), (4, 3), (5, 0)],
        [(0, 7), (5, 3), (6, 0)],
    ]
    # Block 3's own window has block 2 in it; block 4's has not.
    assert order.reads(0, 7) == ((0, 7),)
    assert order.reads(3, 7) == ((0, 7), (3, 7))


# -- the order, by hand --------------------------------------------------------------------------


def test_order_by_hand() -> None:
    """Two steps and a clean pass; the last block's clean pass, which nothing reads, is left out."""

    def passes(blocks: int, offset: int) -> list[Pass]:
        return [item for (item,) in Order(TWO_STEPS, blocks, offset).turns()]

    assert passes(2, 3) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert passes(2, 2) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert passes(2, 1) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1)]
    assert passes(3, 1) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (1, 2), (2, 1)]


def test_turns_by_hand() -> None:
    """Joint: a tick's passes together."""
    assert Order(TWO_STEPS, 3, 1, "joint").turns() == [
        ((0, 0),),
        ((0, 1), (1, 0)),
        ((0, 2), (1, 1), (2, 0)),
        ((1, 2), (2, 1)),
    ]
    more = variant(timesteps=(1000, 500), first_block_steps=3)
    assert Order(more, 2, 2, "joint").turns() == [((0, 0),), ((0, 1),), ((0, 2),), ((0, 3), (1, 0)), ((1, 1),)]


def test_what_is_made_anew_comes_just_before_its_block() -> None:
    """Two steps; made anew for block r is stage 2 + r. A window of three blocks without a sink."""
    spec = variant(timesteps=(1000, 500), sink=0)
    recompute = Order.checked(spec, 4, None, None, (), codec=True)
    assert [item for (item,) in recompute.turns()] == [
        *[(0, 0), (0, 1)],
        *[(0, 3), (1, 0), (1, 1)],
        *[(0, 4), (1, 4), (2, 0), (2, 1)],
        *[(1, 5), (2, 5), (3, 0), (3, 1)],
    ]
    recached = Order.checked(spec, 3, None, None, (2,), codec=False)
    assert [item for (item,) in recached.turns()][5:] == [(1, 2), (0, 4), (1, 4), (2, 0), (2, 1)]


@given(orders())
def test_each_pass_runs_once_and_after_what_it_reads_or_beside_it(order: Order) -> None:
    done: set[Version] = set()
    for turn in order.turns():
        assert done.isdisjoint(turn)
        assert all(
            stage in (0, *range(order.spec.block_steps(b) + 1, 99)) or (b, stage - 1) in done for b, stage in turn
        )
        assert all(done.union(turn).issuperset(order.reads(*item)) for item in turn)
        done.update(turn)
    ordinary = {(block, stage) for block, stage in done if not order.remade_for(block, stage)}
    assert len(ordinary) == order.spec.forward_count(order.blocks, 0 if order.recomputes else None)
    anew = [later for later in range(1, order.blocks) if order.recomputes or later in order.recached]
    assert len(done - ordinary) == sum(len(order.spec.context_blocks(later)) for later in anew)


# -- slots ---------------------------------------------------------------------------------------


def _capacity(order: Order) -> int:
    return most_alive(order.turns(), last_readers(order, order.turns()))


@pytest.mark.parametrize(
    ("order", "slots"),
    [
        (Order(SELF_FORCING, 1, 5), 1),
        (Order(SELF_FORCING, 4, 5), 4),  # three clean blocks and the one at work
        (Order(SELF_FORCING, 20, 5), 7),  # the window
        (Order(LONGLIVE, 20, 5), 4),
        (Order(variant(window=4, sink=0, timesteps=(1000, 500)), 9, 3), 2),
        # Same level: block i's level k is read once, by block i + 1 in the next tick. Of three blocks in flight each
        # leaves one version while the next tick runs, and the newest reader needs a slot of its own: 3 + 1.
        (Order(variant(window=4, sink=0, timesteps=(1000, 500)), 9, 1), 4),
        # Joint: five blocks in flight, and the clean ones that the oldest of them still read, six of a window of 7.
        (Order(SELF_FORCING, 20, 1, "joint"), 11),
        (Order(SELF_FORCING, 20, 5, "joint"), 7),
        (Order(SELF_FORCING, 2, 1, "joint"), 2),
        (Order.checked(SELF_FORCING, 20, None, None, (), codec=True), 7),  # the context made anew, and the block
        # Made anew for block 9, when nobody reads what there was.
        (Order.checked(SELF_FORCING, 20, None, None, (9,), codec=False), 7),
    ],
)
def test_slots_by_hand(order: Order, slots: int) -> None:
    assert _capacity(order) == slots


@given(orders())
def test_slots_are_as_many_as_versions_are_still_to_be_read(order: Order) -> None:
    turns = order.turns()
    reads = [{version for item in turn for version in order.reads(*item)} for turn in turns]
    made = [set().union(*turns[:i]) for i in range(len(turns))]
    needed = [len(set(turns[i]) | made[i] & set().union(*reads[i:])) for i in range(len(turns))]
    assert _capacity(order) == max(needed)


@few
@given(orders())
def test_one_slot_fewer_is_too_few(order: Order) -> None:
    """Taken and given back as `generate` does, on real slots."""
    turns = order.turns()
    last_reader = last_readers(order, turns)

    def run(capacity: int) -> frozenset[Version]:
        slots = KVSlots(order.spec, capacity, torch.float32, "cpu")
        for index, turn in enumerate(turns):
            for item in turn:
                slots.take(*item)
            for item in turn:
                for version in order.reads(*item):
                    slots.get(*version)
            for version in [v for v in slots.alive if last_reader[v] <= index]:
                slots.give_back(*version)
        return slots.alive

    capacity = _capacity(order)
    assert run(capacity) == frozenset()
    with pytest.raises(ModelError, match="none for"):
        run(capacity - 1)


# -- the planner's statement ---------------------------------------------------------------------


def _order_of(flow: Flow) -> Order:
    pattern, recached = flow.pattern, flow.recached
    live: Live | None = pattern.direction if pattern.exchange == "live" else None
    return Order.checked(flow.spec, flow.blocks, pattern.offset, live, recached, codec=flow.recomputes)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Every pattern of a model, with up to two prompt switches before which the context is made anew, or not."""
    spec, blocks = draw(streams()), draw(st.integers(1, 7))
    same_length = spec.block_steps(0) == spec.steps
    pattern = draw(st.sampled_from([p for p in all_patterns(spec) if p.name != "layers" or same_length]))
    ticks = sorted(draw(st.lists(st.integers(0, 20), max_size=2)))
    switches = [PromptSwitch(at_us=place, recache=draw(st.booleans())) for place in range(len(ticks))]
    workload = Workload(blocks=blocks, switches=tuple(switches), encode_text=True)
    problem = Problem(model=spec, cluster=Cluster.of("cpu-core", 1), workload=workload)
    return Flow(problem, pattern, Placement.parse("free"), ticks)


def _named(flow: Flow, order: Order, item: Pass) -> list[Payload]:
    """What a pass needs, as the planner names it; nothing of what runs beside it in a gang."""
    # A window that holds the block alone has a context too, of no blocks.
    named = {Payload("context", item[0])} if order.recomputes and item[0] else set()
    for block, stage in order.reads(*item):
        made_for = order.remade_for(block, stage)
        if made_for:
            named.add(Payload("context", made_for))
        elif block != item[0] and not (order.live == "joint" and order.tick(block, stage) == order.tick(*item)):
            named.add(Payload("kv", *flow.as_pass(block, stage)))
    return sorted(named, key=str)


@settings(max_examples=100)
@given(flows())
def test_agrees_with_the_planner(flow: Flow) -> None:
    order = _order_of(flow)
    for block in range(flow.blocks):
        assert order.stages(block) == flow.stages(block)
        for stage in order.stages(block):
            assert order.tick(block, stage) == flow.tick(block, stage)
            step = flow.as_pass(block, stage)[1]
            action = Action(Kind.COMMIT, block) if step is None else Action(Kind.DENOISE, block, step)
            needs = [payload for payload in flow.needs(action) if payload.carries in ("kv", "context")]
            assert sorted(needs, key=str) == _named(flow, order, (block, stage))
            level = stage + flow.spec.steps - flow.spec.block_steps(block)
            newer = [(later, at) for later, at in order.reads(block, stage) if later > block]
            assert newer == list(newer_read(flow.pattern, block, level, flow.blocks))
    for later in order.recached:
        remade = [turn[0][0] for turn in order.turns() if order.remade_for(*turn[0]) == later]
        inputs = [p.block for p in flow.needs(Action(Kind.RECACHE, later)) if p.carries in ("latents", "encoded")]
        assert remade == inputs


def test_layers_are_same_level() -> None:
    ring, same_level = (Pattern.parse(name, TINY_SPEC) for name in ("layers", "same-level"))
    assert (ring.offset, ring.exchange) == (same_level.offset, same_level.exchange) == (1, "after")
