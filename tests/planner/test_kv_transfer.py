"""K/V that travels packed: times by hand, memory as before, and plans that every judge times alike."""

from __future__ import annotations

import json

import pytest

from models.kv_pack import packed_bytes
from planner.action import Kind, Payload
from planner.check import check
from planner.checking.proof import proven
from planner.errors import MismatchError
from planner.placement import Placement
from planner.problem import Problem
from planner.search import plan
from planner.simulate import simulate
from tests.planner.clips import KV_BYTES, KV_US, LATENTS_US, cascade, clip, costed, model, plan_of

FULL = clip(model(2, clean=True), 4, 2, decode=False)
PACKED = FULL.model_copy(update={"kv_transfer": "fp8"})
KV, LATENTS, CONTEXT = Payload("kv", 2, 0), Payload("latents", 2, 0), Payload("context", 2)


def test_packed_kv_by_hand() -> None:
    full, packed = costed(FULL, cascade(1)), costed(PACKED, cascade(1))
    # One byte a number instead of four, and four bytes for K and V of each of 6 layers and 4 heads.
    assert full.sent_bytes(KV) == KV_BYTES
    assert packed.sent_bytes(KV) == KV_BYTES // 4 + 4 * 2 * 6 * 4 == 37_056
    # The context of two blocks goes as one piece.
    assert packed.sent_bytes(CONTEXT) == 2 * 36_864 + 192
    # At 1.024 bytes a nanosecond, and 5 us of latency; a layer is 6,176 bytes.
    assert (full.transfer_us(KV, 0, 1), packed.transfer_us(KV, 0, 1)) == (KV_US, 42)
    assert packed.stream_layer_us(KV, 0, 1) == 12


def test_it_is_what_packing_makes() -> None:
    spec = PACKED.model
    shape = (spec.layers, 2, spec.tokens_per_block, spec.heads, spec.head_dim)
    assert costed(PACKED, cascade(1)).sent_bytes(KV) == packed_bytes(shape)


def test_what_is_held_and_what_else_travels_stay_as_they_are() -> None:
    full, packed = costed(FULL, cascade(1)), costed(PACKED, cascade(1))
    for payload in (KV, LATENTS, CONTEXT, Payload("pixels", 1)):
        assert packed.payload_bytes(payload) == full.payload_bytes(payload)
    assert packed.transfer_us(LATENTS, 0, 1) == LATENTS_US


def test_a_group_sends_its_share() -> None:
    packed = costed(PACKED, cascade(1), "block*ulysses:2")
    assert packed.sent_bytes(KV) == 37_056 // 2


def test_a_problem_that_sends_in_full_is_what_it_was() -> None:
    assert "kv_transfer" not in json.loads(FULL.to_json())
    assert Problem.from_data({**FULL.model_dump(), "kv_transfer": "full"}, "test").digest == FULL.digest
    assert Problem.from_json(PACKED.to_json()) == PACKED
    assert PACKED.digest != FULL.digest


@pytest.mark.parametrize("way", ["after", "live-causal", "live-joint"])
def test_planner_checker_and_simulator_time_it_alike(way: str) -> None:
    pattern, where = cascade(1, way), Placement.parse("block")  # type: ignore[arg-type]
    packed = plan(PACKED, pattern=pattern, placement=where)
    full = plan(FULL, pattern=pattern, placement=where)
    assert packed.evidence.value < full.evidence.value
    check(packed, PACKED)
    assert proven(packed, PACKED) is not None
    simulated = simulate(packed, PACKED)
    assert simulated.ranks == packed.ranks
    lasts = {row.action.payload: row.end_us - row.start_us for row in packed.ranks[0] if row.action.kind is Kind.SEND}
    assert way != "after" or {us for payload, us in lasts.items() if payload.carries == "kv"} == {42}


def test_plans_are_for_one_way_of_sending() -> None:
    with pytest.raises(MismatchError):
        plan_of(costed(FULL, cascade(1))).require(PACKED)
