"""The encoder's state never travels either: blocks are encoded in their order."""

from __future__ import annotations

import pytest

from planner.action import Action, Kind
from planner.check import check
from planner.errors import CheckError
from planner.lower import lower
from planner.patterns import Pattern
from planner.timing import retime
from tests.planner.clips import clip, costed, drafted, model, plan_of


def test_blocks_are_encoded_in_order_though_nobody_reads_them() -> None:
    # A window of one block reads nothing, so no reader asks for either.
    timing = costed(clip(model(2, window=1), 3), Pattern(name="sequential-recompute", offset=2))
    programs = lower(drafted(timing), timing.flow)
    check(plan_of(timing, retime(programs, timing)), timing.problem)
    (program,) = programs
    first = program.index(Action(Kind.ENCODE, 0))
    program.insert(program.index(Action(Kind.ENCODE, 1)) + 1, program[first])
    frees = [action for action in program if action.kind is Kind.FREE and action.payload == ("pixels", 0, None)]
    frees += [action for action in program if action.kind is Kind.FREE and action.payload == ("encoded", 0, None)]
    del program[first]
    program = [action for action in program if action not in frees] + frees
    with pytest.raises(CheckError, match="R7 r0 encode b1: comes before encode b0"):
        check(plan_of(timing, retime([program], timing)), timing.problem)
