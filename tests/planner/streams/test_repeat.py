"""The kernel in a clip's rows: found where there is one, whole, and the same again and again."""

from __future__ import annotations

import re

import pytest

from planner.action import Action, Kind, TimedAction
from planner.expand import expand
from planner.patterns import Pattern
from planner.placement import Placement
from planner.searching.case import by_rules, price
from planner.searching.finish import Finished, rows_of
from planner.streams.repeat import find_repeat
from tests.planner.clips import clip, model

TWO = model(2, clean=True, window=2)


def finished(text: str, placement: str, ranks: int, blocks: int = 60, lookahead: int | None = 4) -> Finished:
    """By a list rule that falls into a rhythm, if one does."""
    problem = clip(TWO, blocks, ranks, denoise_us=(90, 110), clean_us=(70,), decode_us=(50, 120))
    costs = price(problem, Pattern.parse(text, TWO), Placement.parse(placement))
    made = [rows_of(case) for case in by_rules(costs, expand(costs, lookahead))]
    rows = [found for found in made if not isinstance(found, str)]
    return next((found for found in rows if find_repeat(found) is not None), rows[0])


def kernel(found: Finished) -> list[list[Action]]:
    repeat = find_repeat(found)
    assert repeat is not None
    return [
        [row.action for row in rows[begin:end]] for rows, (begin, end) in zip(found.rows, repeat.places, strict=True)
    ]


def test_one_device_does_a_block_after_the_other() -> None:
    found = finished("sequential", "free", 1)
    repeat = find_repeat(found)
    assert repeat is not None
    # Two passes of 110, a clean one of 70 and a decode of 120.
    assert (repeat.kernel_blocks, repeat.kernel_us, repeat.copies) == (1, 410, 0)
    kinds = [action.kind for action in kernel(found)[0] if action.is_compute]
    assert sorted(kinds) == sorted([Kind.DENOISE, Kind.DENOISE, Kind.COMMIT, Kind.DECODE])


@pytest.mark.parametrize(
    ("text", "placement", "ranks"),
    [
        ("sequential", "free+decoder", 2),
        ("cascade:1", "step+decoder", 4),
        ("cascade:1", "block", 2),
        ("cascade:2", "batched", 2),
        ("cascade:1:live-causal", "step", 3),
        ("cascade:1:live-joint", "block", 3),
        ("layers", "ring", 2),
        ("sequential-recompute", "free", 2),
    ],
)
def test_a_kernel_holds_all_the_work_of_its_blocks(text: str, placement: str, ranks: int) -> None:
    found = finished(text, placement, ranks)
    repeat = find_repeat(found)
    assert repeat is not None
    actions = [action for program in kernel(found) for action in program]
    count, rounds = repeat.kernel_blocks, 2 if placement == "ring" else 1
    steps = [step for action in actions for _, step in action.passes]
    clean = 0 if text == "sequential-recompute" else 1
    assert [steps.count(step) for step in (0, 1, None)] == [count * rounds, count * rounds, clean * count * rounds]
    assert sum(action.kind is Kind.DECODE for action in actions) == count
    # Whatever comes to a rank or is made there in a kernel, as much is given up.
    for program in kernel(found):
        came = sum(action.kind in (Kind.RECV, Kind.TAP) for action in program)
        made = sum(len(found.case.flow.makes(action)) for action in program if action.is_compute)
        assert sum(action.kind is Kind.FREE for action in program) == came + made


def test_what_nobody_waits_for_is_not_put_off() -> None:
    """Without a lookahead, a same-level cascade leaves its clean passes for the end: no kernel is made of that."""
    found = finished("cascade:1", "free", 1, lookahead=None)
    commits = [at for at, row in enumerate(found.rows[0]) if row.action.kind is Kind.COMMIT]
    repeat = find_repeat(found)
    assert repeat is None or any(begin <= at < end for begin, end in repeat.places for at in commits)


def test_a_clip_that_is_too_short_has_no_kernel() -> None:
    assert find_repeat(finished("sequential", "free", 1, blocks=6)) is None
    assert find_repeat(finished("sequential", "free", 1, blocks=1)) is None


def test_a_disturbed_rhythm_is_none() -> None:
    found = finished("sequential", "free", 1)
    row = found.rows[0][60]
    spoilt = (*found.rows[0][:60], row._replace(action=Action.parse("decode b999")), *found.rows[0][61:])
    repeat = find_repeat(found._replace(rows=(spoilt,)))
    assert repeat is None or not any(begin <= 60 < end for begin, end in repeat.places)


def without(found: Finished, pattern: str) -> Finished:
    """The rows without those whose text matches."""
    kept = tuple(tuple(row for row in rows if not re.match(pattern, str(row.action))) for rows in found.rows)
    return found._replace(rows=kept)


def test_a_kernel_that_lacks_work_is_none() -> None:
    found = finished("sequential", "free", 1)
    assert find_repeat(without(found, r"commit|free kv b\d+\.c")) is None
    assert find_repeat(without(found, r"decode")) is None


def test_a_kernel_that_leaves_more_and_more_behind_is_none() -> None:
    found = finished("sequential", "free", 1)
    assert find_repeat(without(found, r"free latents b\d+\.s1")) is None
    two = finished("sequential", "free+decoder", 2)
    assert find_repeat(two) is not None
    assert find_repeat(without(two, "recv")) is None


def test_a_rank_that_is_busy_in_the_ramp_only() -> None:
    """What it gives up after its last work belongs to the beginning, not to the end."""
    found = finished("sequential", "free", 1)
    ramp = tuple(
        TimedAction(Action.parse(text), start, end)
        for text, start, end in (("denoise b0.s0", 0, 90), ("free kv b0.s0", 90, 90), ("free latents b0.s0", 95, 95))
    )
    repeat = find_repeat(found._replace(rows=(*found.rows, ramp)))
    assert repeat is not None
    assert repeat.places[1] == (3, 3)
