"""What ties a plan's programs together."""

from __future__ import annotations

import pytest

from planner.action import Action
from planner.calibrating.script import Script, script
from planner.errors import InfeasibleError
from tests.planner.clips import clip, costed, model, plan_of, program
from tests.planner.runs_by_hand import hand_made
from tests.planner.test_simulate import untimed


def made(name: str) -> Script:
    problem, plan = hand_made(name)
    return script(plan, problem)


def test_moves_by_hand() -> None:
    lines = made("decoded")
    assert [(str(m.payload), m.way, m.sent, m.received, m.streams, m.maker) for m in lines.moves] == [
        ("kv b0.s0", (0, 1), (0, 1), (1, 0), False, (0, 0)),
        ("latents b1.s0", (1, 0), (1, 2), (0, 5), False, (1, 1)),
    ]
    assert {place: found for place, found in lines.inputs.items() if found} == {
        (1, 1): ((0, False),),
        (0, 6): ((1, False),),
    }
    assert {place: found for place, found in lines.clears.items() if found} == {
        (0, 4): (0,),
        (0, 7): (1,),
        (1, 3): (0,),
        (1, 5): (1,),
    }


def test_a_stream_is_read_from_its_first_layer_on() -> None:
    lines = made("live")
    assert lines.moves[0].streams
    assert lines.inputs[1, 1] == ((0, True),)


def test_shares_of_a_tick_are_a_gang() -> None:
    lines = made("gang")
    assert list(lines.gangs.values()) == [((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 3), (1, 2))]
    assert lines.gangs[Action.parse("tick 1")] == ((0, 1), (1, 1))


def test_equal_keys_are_repetitions() -> None:
    """Decodes but the first, and passes of equal context, noise and place in their block."""
    problem = clip(model(2, window=2), 4, 2)
    plan = plan_of(costed(problem, hand_made("decoded")[1].pattern, "free"))
    lines = script(plan, problem)
    keys = {str(lines.action(place)): lines.key(place) for place in lines.inputs}
    assert keys["decode b1"] == keys["decode b3"] != keys["decode b0"]
    assert keys["denoise b1.s1"] == keys["denoise b2.s1"] != keys["denoise b0.s1"]
    assert keys["denoise b1.s0"] != keys["denoise b1.s1"]


def test_a_send_nobody_receives_is_named() -> None:
    problem = clip(model(1), 2, 2, decode=False)
    timing = costed(problem, hand_made("decoded")[1].pattern)
    lost = [program("denoise b0.s0\nsend kv b0.s0 to r1"), program("denoise b1.s0")]
    with pytest.raises(InfeasibleError, match=r"'send kv b0\.s0 to r1' has no other end"):
        script(untimed(timing, lost), problem)
