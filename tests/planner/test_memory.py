"""What a program holds at its peak: by hand, and to the byte."""

from __future__ import annotations

import pytest

from planner.action import Action
from planner.cost import costs
from planner.memory import peak_bytes, slots_needed
from tests.planner.clips import KV_BYTES, LATENT_BYTES, clip, model, program

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


@pytest.mark.parametrize(
    ("text", "kv", "latents"),
    [
        ("decode b0", 0, 0),
        ("denoise b0.s0", 1, 1),
        ("commit b0", 1, 0),
        ("recv kv b0.s0 from r1", 1, 0),
        ("recv latents b0.s0 from r1", 0, 1),
        (OWN, 2, 2),
        (APART, 3, 1),
        # Received on top of its own, freed one at a time.
        ("denoise b0.s0\nrecv kv b1.s0 from r1\nrecv kv b2.s0 from r1", 3, 1),
        ("denoise b0.s0\nfree kv b0.s0\nrecv kv b1.s0 from r1\nfree kv b1.s0\ndenoise b1.s0", 1, 2),
        # Sending takes nothing away; freeing does.
        ("denoise b0.s0\nsend kv b0.s0 to r1\ndenoise b1.s0", 2, 2),
        ("denoise b0.s0\nsend latents b0.s0 to r1\nfree latents b0.s0\ndenoise b1.s0", 2, 1),
    ],
)
def test_peaks_by_hand(text: str, kv: int, latents: int) -> None:
    actions = program(text)
    timing = costs(clip(model(2, clean=True), 3))
    kinds = {str(action.kind) for action in actions}
    resident = timing.resident_bytes(denoises=bool(kinds & {"denoise", "commit"}), decodes="decode" in kinds)
    assert slots_needed(actions) == kv
    assert peak_bytes(actions, timing) - resident == kv * KV_BYTES + latents * LATENT_BYTES


def test_an_empty_program_holds_nothing() -> None:
    empty: list[Action] = []
    assert slots_needed(empty) == 0
    assert peak_bytes(empty, costs(clip(model(1), 1))) == 0


def test_weights_count_only_where_they_are_used() -> None:
    timing = costs(clip(model(1), 1))
    decoding = timing.resident_bytes(denoises=False, decodes=True)
    denoising = timing.resident_bytes(denoises=True, decodes=False)
    assert 0 < decoding != denoising > 0
    assert peak_bytes(program("recv latents b0.s0 from r1\ndecode b0"), timing) == decoding + LATENT_BYTES
    assert peak_bytes(program("commit b0"), timing) == denoising + KV_BYTES
    assert peak_bytes(program("commit b0\ndecode b0"), timing) == denoising + decoding + KV_BYTES
