"""A stream's plan written out: the kernel's rows later and later, and the whole as if planned at that length."""

from __future__ import annotations

import pytest

from planner.action import Action, TimedAction
from planner.patterns import Pattern
from planner.placement import Placement, all_placements
from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.search import plan
from planner.streams.unroll import shift, shifted, unroll
from planner.timing import retime
from tests.planner.clips import cascade, clip, costed, model, plan_of

# A window of two blocks settles soon.
TWO = model(2, clean=True, window=2)


def moved(text: str, blocks: int, first_block: int = 0, offset: int = 1) -> str:
    return str(shift(Action.parse(text), blocks, first_block, offset))


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("denoise b3.s2", "denoise b5.s2"),
        ("commit b3", "commit b5"),
        ("decode b3.d1", "decode b5.d1"),
        ("encode b3", "encode b5"),
        ("recache b3", "recache b5"),
        ("send kv b3.c to r1", "send kv b5.c to r1"),
        ("tap latents b3.s0 from r0", "tap latents b5.s0 from r0"),
        ("free pixels b3", "free pixels b5"),
        ("free features b3.d0", "free features b5.d0"),
        ("send hidden w3.l0 to r1", "send hidden w5.l0 to r1"),
        # Two blocks are six ticks later at an offset of three; a wave is a block later.
        ("tick 9 b3.s2 b4.s0", "tick 15 b5.s2 b6.s0"),
        ("batch 9.1 b3.s2 b4.c", "batch 15.1 b5.s2 b6.c"),
        ("slice 9.1 b3.s2 b8.s0", "slice 11.1 b5.s2 b10.s0"),
        # Prompts stay where they are.
        ("text p1", "text p1"),
        ("recv text p1 from r0", "recv text p1 from r0"),
        ("free text p0", "free text p0"),
    ],
)
def test_actions_move_on(text: str, later: str) -> None:
    assert moved(text, 2, offset=3) == later


def test_a_windows_sink_stays() -> None:
    assert moved("send kv b0.c to r1", 4, first_block=1) == "send kv b0.c to r1"
    assert moved("free kv b0.c", 4, first_block=1) == "free kv b0.c"
    assert moved("send kv b1.c to r1", 4, first_block=1) == "send kv b5.c to r1"
    assert moved("slice 4.0 b0.c b4.s0", 4, first_block=1) == "slice 8.0 b0.c b8.s0"
    # Wave 0 is not block 0.
    assert moved("free hidden w0.l0", 4, first_block=1) == "free hidden w4.l0"


def test_moving_back_is_the_inverse() -> None:
    for text in ("denoise b9.s2", "tick 19 b8.s2 b9.s0", "slice 11.1 b7.s2 b10.s0", "send kv b8.c to r1"):
        assert moved(moved(text, 3, offset=2), -3, offset=2) == text


def test_rows_by_hand() -> None:
    def rows(text: str) -> tuple[TimedAction, ...]:
        return tuple(
            TimedAction(Action.parse(action), int(start), int(end))
            for action, start, end in (line.strip().rsplit(" ", 2) for line in text.strip().splitlines())
        )

    repeat = Repeat(first_block=0, kernel_blocks=1, kernel_us=100, copies=2, places=((1, 3),))
    program = rows(
        "denoise b0.s0 0 70\ndenoise b1.s0 70 140\ndecode b0 140 170\ndenoise b2.s0 170 240\ndecode b1 240 270"
    )
    made = plan_of(costed(clip(model(1), 3), cascade(1))).model_copy(update={"ranks": (program,), "repeat": repeat})
    assert unroll(made, 0) == (program,)
    assert unroll(made, 1) == (
        (*program[:3], *shifted(program[1:3], repeat, 1, 1), *shifted(program[3:], repeat, 1, 1)),
    )
    assert [str(row.action) for row in unroll(made)[0]] == [
        "denoise b0.s0",
        "denoise b1.s0",
        "decode b0",
        "denoise b2.s0",
        "decode b1",
        "denoise b3.s0",
        "decode b2",
        "denoise b4.s0",
        "decode b3",
    ]
    assert unroll(made)[0][-1][1:] == (440, 470)
    # A clip is what it is.
    clip_plan = made.model_copy(update={"repeat": None})
    assert unroll(clip_plan) == (program,)


STREAM = clip(TWO, 600, 2, denoise_us=(90, 110), clean_us=(70,), decode_us=(50, 120))
PATTERNS = (
    "sequential",
    "cascade:1",
    "cascade:1:live-causal",
    "cascade:2:live-joint",
    "layers",
    "sequential-recompute",
)


def of_blocks(problem: Problem, blocks: int) -> Problem:
    return problem.model_copy(update={"workload": problem.workload.model_copy(update={"blocks": blocks})})


def streams(problem: Problem, text: str) -> list[tuple[Placement, Plan]]:
    """The streams of a pattern on every placement on single devices."""
    found = []
    pattern = Pattern.parse(text, problem.model)
    for where in all_placements(pattern, problem.model, problem.cluster, decode=True, parts=1):
        if where.degree == 1 and where.ranks is None:
            found.append((where, plan(problem, pattern=pattern, placement=where)))
    return found


@pytest.mark.parametrize("text", PATTERNS)
def test_any_number_of_copies_is_what_timing_makes_of_it(text: str) -> None:
    """The foretold times of a kernel's copies are those that its order really takes, on every placement."""
    for where, made in streams(STREAM, text):
        assert made.repeat is not None
        written = 600 - made.repeat.copies * made.repeat.kernel_blocks
        for copies in (0, 1, 3):
            rows = unroll(made, copies)
            shorter = of_blocks(STREAM, written + copies * made.repeat.kernel_blocks)
            programs = [[row.action for row in program] for program in rows]
            assert retime(programs, costed(shorter, made.pattern, where)) == rows, f"{where}, {copies} copies"


def test_a_stream_is_at_most_as_long_as_its_bound_allows() -> None:
    made = plan(STREAM, pattern=Pattern.parse("cascade:1", TWO), placement=Placement.parse("block"))
    end = max(row.end_us for rows in unroll(made) for row in rows)
    assert end == made.evidence.value
    assert made.evidence.bound <= end
