"""What a program holds at its peak: by hand, and to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from planner.action import COMING, Action, Kind, Payload
from planner.cost import Costs
from planner.memory import kept_bytes, least_bytes, peak_bytes, slots_needed
from tests.planner.clips import KV_BYTES, LATENT_BYTES, cascade, clip, costed, model, program, timed
from tests.strategies import costings

OWN = """
    denoise b0.s0
    denoise b0.s1
    free kv b0.s0
    free latents b0.s0
    commit b0
    free kv b0.s1
    decode b0
    free latents b0.s1
    free kv b0.c
"""
# Most K/V early, most latents late: each peak alone is not the joint one.
APART = """
    denoise b0.s0
    recv kv b1.s0 from r1
    recv kv b2.s0 from r1
    free kv b0.s0
    free kv b1.s0
    free kv b2.s0
    recv latents b1.s0 from r1
    recv latents b2.s0 from r1
"""
TIMING = costed(clip(model(2, clean=True), 3), cascade(1))


@pytest.mark.parametrize(
    ("text", "kv", "latents"),
    [
        ("decode b0", 0, 0),
        ("denoise b0.s0", 1, 1),
        ("commit b0", 1, 0),
        ("recv kv b0.s0 from r1", 1, 0),
        ("tap kv b0.s0 from r1", 1, 0),
        ("recv latents b0.s0 from r1", 0, 1),
        (OWN, 2, 2),
        (APART, 3, 1),
        # Received on top of its own, freed one at a time.
        ("denoise b0.s0\nrecv kv b1.s0 from r1\nrecv kv b2.s0 from r1", 3, 1),
        ("denoise b0.s0\nfree kv b0.s0\nrecv kv b1.s0 from r1\nfree kv b1.s0\ndenoise b1.s0", 1, 2),
        # Sending takes nothing away; freeing does.
        ("denoise b0.s0\nsend kv b0.s0 to r1\ndenoise b1.s0", 2, 2),
        ("stream kv b0.s0 to r1\ndenoise b0.s0\ndenoise b1.s0", 2, 2),
        ("denoise b0.s0\nsend latents b0.s0 to r1\nfree latents b0.s0\ndenoise b1.s0", 2, 1),
    ],
)
def test_peaks_by_hand(text: str, kv: int, latents: int) -> None:
    actions = program(text)
    assert slots_needed(actions, TIMING.flow) == kv
    assert peak_bytes(actions, TIMING) - TIMING.resident_bytes(actions) == kv * KV_BYTES + latents * LATENT_BYTES


def test_a_batch_leaves_what_each_of_its_passes_leaves() -> None:
    actions = program("batch 2.0 b0.c b1.s1 b2.s0\nfree kv b0.c")
    assert slots_needed(actions, TIMING.flow) == 3
    assert peak_bytes(actions, TIMING) - TIMING.resident_bytes(actions) == 3 * KV_BYTES + 2 * LATENT_BYTES


def test_a_tick_leaves_latents_here_and_clean_kv_everywhere() -> None:
    timing = costed(clip(model(2, clean=True), 3, 2), cascade(1, "live-joint"), "block")
    # In tick 2 block 0's clean pass runs; rank 1 denoises block 1.
    assert kept_bytes(program("tick 2 b1.s1"), timing) == {"kv": KV_BYTES, "latents": LATENT_BYTES}
    assert kept_bytes(program("tick 2 b0.c b2.s0"), timing) == {"kv": KV_BYTES, "latents": LATENT_BYTES}
    assert kept_bytes(program("tick 1 b1.s0"), timing) == {"latents": LATENT_BYTES}


def test_each_kinds_own_peak() -> None:
    assert kept_bytes(program(OWN), TIMING) == {"kv": 2 * KV_BYTES, "latents": 2 * LATENT_BYTES}
    assert kept_bytes(program(APART), TIMING) == {"kv": 3 * KV_BYTES, "latents": 3 * LATENT_BYTES}


def test_an_empty_program_holds_nothing() -> None:
    empty: list[Action] = []
    assert slots_needed(empty, TIMING.flow) == 0
    assert peak_bytes(empty, TIMING) == 0
    assert kept_bytes(empty, TIMING) == {}


def test_weights_count_only_where_they_are_used() -> None:
    decoding = TIMING.resident_bytes(program("decode b0"))
    denoising = TIMING.resident_bytes(program("denoise b0.s0"))
    assert 0 < decoding != denoising > 0
    assert peak_bytes(program("recv latents b0.s0 from r1\ndecode b0"), TIMING) == decoding + LATENT_BYTES
    assert peak_bytes(program("commit b0"), TIMING) == denoising + KV_BYTES
    assert peak_bytes(program("commit b0\ndecode b0"), TIMING) == denoising + decoding + KV_BYTES


def test_what_cannot_fit_is_said_with_the_numbers() -> None:
    # Block 7 reads seven blocks' K/V and makes an eighth, and takes and leaves latents.
    problem = clip(model(2), 9)
    need = costed(problem, cascade(1)).resident_bytes(program("denoise b7.s1")) + 8 * KV_BYTES + 2 * LATENT_BYTES
    for memory_bytes, fits in ((need, True), (need - 1, False)):
        device = problem.cluster.devices[0].model_copy(update={"memory_bytes": memory_bytes})
        tight = problem.model_copy(update={"cluster": problem.cluster.model_copy(update={"devices": (device,)})})
        assert (least_bytes(costed(tight, cascade(1))) == "") == fits
    assert "GB of cpu-core" in least_bytes(costed(tight, cascade(1)))


@settings(max_examples=100)
@given(costings())
def test_a_peak_is_reached_and_no_more(timing: Costs) -> None:
    """By another way to count: what is held after each action, as a set."""
    for rows in timed(timing):
        actions = [row.action for row in rows]
        held: set[Payload] = set()
        sizes, slots = [0], [0]
        for action in actions:
            if action.kind is Kind.FREE:
                held.discard(action.payload)
            held |= {action.payload} if action.kind in COMING else set()
            held |= set(timing.flow.makes(action)) if action.is_compute else set()
            sizes.append(sum(timing.payload_bytes(payload) for payload in held))
            made_anew = [timing.spec.context_blocks(p.block) for p in held if p.carries == "context"]
            slots.append(sum(payload.carries == "kv" for payload in held) + sum(map(len, made_anew)))
        assert peak_bytes(actions, timing) == timing.resident_bytes(actions) + max(sizes)
        assert slots_needed(actions, timing.flow) == max(slots)


@settings(max_examples=100)
@given(costings())
def test_the_least_need_is_a_lower_bound(timing: Costs) -> None:
    problem = timing.problem
    peaks = [peak_bytes([row.action for row in rows], timing) for rows in timed(timing)]
    fitting = problem.cluster.model_copy(
        update={
            "devices": tuple(
                device.model_copy(update={"memory_bytes": max(peak, 1)})
                for device, peak in zip(problem.cluster.devices, peaks, strict=True)
            )
        }
    )
    roomy = problem.model_copy(update={"cluster": fitting})
    flow = timing.flow
    assert least_bytes(costed(roomy, flow.pattern, flow.placement, flow.switch_ticks)) == ""
