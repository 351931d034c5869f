"""The table of planned against measured."""

from __future__ import annotations

import pytest

from planner.calibrating.compared import Compared, what
from planner.calibrating.script import script
from planner.patterns import Pattern
from tests.planner.calibrating.test_losses import LATER
from tests.planner.clips import clip, costed, model, plan_of
from tests.planner.hand_plans import BY_HAND
from tests.planner.runs_by_hand import hand_run


def row(found: list[Compared], name: str) -> Compared:
    (one,) = [item for item in found if item.what == name]
    return one


def test_a_table_by_hand() -> None:
    table = list(hand_run("decoded", ("r1 209 359 denoise", "r1 209 459 denoise"), *LATER).actions)
    assert [item.what for item in table] == [
        "denoise, 0 read",
        "decode, first",
        "decode",
        "denoise, 1 read",
        "kv sent",
        "latents sent",
    ]
    slow = row(table, "denoise, 1 read")
    assert (slow.count, slow.planned_us, slow.median_us, slow.p95_us) == (1, 150, 250, 250)
    assert slow.ratio == pytest.approx(5 / 3)
    assert (slow.worst, slow.worst_rank, slow.worst_us) == ("denoise b1.s0", 1, 250)
    sent = row(table, "kv sent")
    assert (sent.planned_us, sent.median_us, sent.worst, sent.worst_rank) == (109, 109, "recv kv b0.s0 from r0", 1)


def test_what_cannot_be_seen_has_no_median() -> None:
    """The only reader of a stream ends with it; what the stream took is there."""
    table = list(hand_run("live").actions)
    assert row(table, "kv, a layer").median_us == 27
    held = row(table, "denoise, 1 read")
    assert (held.count, held.median_us) == (2, 150)
    measured = list(hand_run("decoded", kind="measured").actions)
    assert (row(measured, "latents sent").median_us, row(measured, "latents sent").ratio) == (None, None)


@pytest.mark.parametrize(
    ("pattern", "placement", "names"),
    [
        ("cascade:1", "batched", {"batch of 1", "batch of 2"}),
        ("cascade:1:live-joint", "block", {"tick of 1", "tick of 2", "tick of 3"}),
        ("layers", "ring", {"slice part 0 of 1", "slice part 1 of 1", "slice part 1 of 2"}),
        ("sequential", "free", {"denoise, 3 read", "commit, 0 read", "decode, first", "decode"}),
        ("sequential-recompute", "free", {"encode", "recache"}),
    ],
)
def test_names(pattern: str, placement: str, names: set[str]) -> None:
    spec = model(2, clean=True, window=4)
    problem = clip(spec, 6, 2)
    lines = script(plan_of(costed(problem, Pattern.parse(pattern, spec), placement)), problem)
    assert names <= {what(lines, place) for place in lines.inputs}


def test_every_plan_by_hand_has_a_table() -> None:
    for name in BY_HAND:
        assert all(item.ratio in (1, None) for item in hand_run(name).actions)
