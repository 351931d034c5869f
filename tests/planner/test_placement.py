"""Placements: text forms, which ranks each leaves, and which make sense."""

from __future__ import annotations

import pytest

from planner.action import Action
from planner.errors import InputError
from planner.placement import Placement, all_placements

FORMS = ["free", "block", "step", "free+decoder", "block+decoder", "step+decoder"]


def ranks_for(placement: str, action: str, ranks: int = 3, steps: int = 4) -> list[int]:
    return list(Placement.parse(placement).candidates(Action.parse(action), ranks, steps))


def test_text_round_trips() -> None:
    assert [str(Placement.parse(text)) for text in FORMS] == FORMS
    assert len({Placement.parse(text) for text in FORMS}) == 6
    assert Placement.parse("step+decoder") == Placement(passes="step", decoder="apart")
    assert Placement.parse("free") == Placement()


@pytest.mark.parametrize(
    "text", ["", "+decoder", "free+", "free+apart", "layers", "free+decoder+decoder", "Free", "free ", "free + decoder"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not free, block or step, with or without '\+decoder'$"):
        Placement.parse(text)


@pytest.mark.parametrize(
    ("placement", "action", "expected"),
    [
        ("free", "denoise b5.s3", [0, 1, 2]),
        ("free", "commit b5", [0, 1, 2]),
        ("free", "decode b5", [0, 1, 2]),
        ("block", "denoise b5.s3", [2]),
        ("block", "denoise b6.s3", [0]),
        ("block", "commit b5", [2]),
        ("block", "decode b5", [0, 1, 2]),
        ("step", "denoise b5.s3", [0]),
        ("step", "denoise b5.s2", [2]),
        ("step", "commit b5", [1]),  # the fifth pass of four steps
        ("step", "decode b5", [0, 1, 2]),
        ("free+decoder", "denoise b5.s3", [0, 1]),
        ("free+decoder", "decode b5", [2]),
        ("block+decoder", "denoise b5.s3", [1]),
        ("block+decoder", "commit b4", [0]),
        ("step+decoder", "commit b5", [0]),
        ("step+decoder", "denoise b5.s3", [1]),
        ("step+decoder", "decode b0", [2]),
    ],
)
def test_candidates_by_hand(placement: str, action: str, expected: list[int]) -> None:
    assert ranks_for(placement, action) == expected


@pytest.mark.parametrize("action", ["denoise b0.s0", "commit b0", "decode b0"])
def test_a_decoder_apart_needs_a_second_rank(action: str) -> None:
    for passes in ("free", "block", "step"):
        with pytest.raises(InputError, match=rf"^placement: {passes}\+decoder needs at least 2 ranks, not 1$"):
            ranks_for(f"{passes}+decoder", action, ranks=1)
        assert ranks_for(f"{passes}+decoder", action, ranks=2) == [1 if action == "decode b0" else 0]


def test_all_placements() -> None:
    assert [str(placement) for placement in all_placements(1, decode=True)] == ["free"]
    assert [str(placement) for placement in all_placements(1, decode=False)] == ["free"]
    assert [str(placement) for placement in all_placements(2, decode=True)] == FORMS
    assert [str(placement) for placement in all_placements(4, decode=False)] == FORMS[:3]
