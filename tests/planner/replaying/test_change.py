"""Changes by hand: what each name stands for, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from planner.calibrating.replay import Assumed, Marks
from planner.calibrating.script import Place
from planner.conditions import Conditions, Jitter
from planner.errors import InputError
from planner.placement import Placement
from planner.replaying.change import NAMES, Change, Scale, applied
from planner.replaying.followed import Followed, follow, foretold
from planner.search import plan
from planner.simulate import simulate
from tests.planner.calibrating.test_losses import scattered
from tests.planner.clips import cascade, clip, model
from tests.planner.runs_by_hand import hand_made


def by_hand(name: str = "decoded") -> Followed:
    return foretold(*hand_made(name))


def scaled(name: str, what: str, factor: float = 2) -> Assumed:
    return applied(by_hand(name), Change(scales=(Scale(what=what, factor=factor),)))


def told(run: Followed, lasts: Mapping[Place, int]) -> dict[str, int]:
    return {str(run.script.action(place)): us for place, us in lasts.items()}


AS_IT_IS = {"denoise b0.s0": 100, "decode b0": 40, "decode b1": 60, "denoise b1.s0": 150}


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("passes", {"denoise b0.s0": 200, "denoise b1.s0": 300}),
        ("denoise", {"denoise b0.s0": 200, "denoise b1.s0": 300}),
        ("commit", {}),
        ("side", {"decode b0": 80, "decode b1": 120}),
        ("decode", {"decode b0": 80, "decode b1": 120}),
        ("r0", {"denoise b0.s0": 200, "decode b0": 80, "decode b1": 120}),
        ("r1", {"denoise b1.s0": 300}),
        ("transfers", {}),
        ("posting", {}),
    ],
)
def test_what_a_name_stands_for(what: str, changes: dict[str, int]) -> None:
    run, found = by_hand(), scaled("decoded", what)
    assert told(run, found.lasts) == AS_IT_IS | changes
    assert found.wires == ((218, 22) if what == "transfers" else (109, 11))
    assert all(us == 0 for us in found.posts.values())


def test_a_link_is_one_way() -> None:
    assert scaled("decoded", "r0:r1").wires == (218, 11)
    assert scaled("decoded", "r1:r0", 0).wires == (109, 0)


def test_posting_is_scaled_from_what_the_profile_says() -> None:
    run, found = by_hand("posts"), scaled("posts", "posting", 3)
    assert set(found.posts.values()) == {21}
    assert len(found.posts) == 2 * len(run.script.moves)


def test_factors_multiply() -> None:
    change = Change(scales=(Scale(what="passes", factor=2), Scale(what="r1", factor=0.5)))
    run = by_hand()
    assert told(run, applied(run, change).lasts) == AS_IT_IS | {"denoise b0.s0": 200}


def test_without_jitter_each_kind_takes_its_median_on_its_rank() -> None:
    problem = clip(model(2, clean=True), 6, 2)
    made = plan(problem, pattern=cascade(1), placement=None)
    run = follow(problem, made, simulate(made, problem, Conditions(jitter=Jitter.of(0.3), seed=1)))
    found, lines = applied(run, Change(jitter=False)), run.script
    kinds: dict[object, set[int]] = {}
    for place, us in found.lasts.items():
        kinds.setdefault((lines.key(place), place[0]), set()).add(us)
    assert {key: {us} for key, us in run.typical.on_rank.items()} == kinds
    ways: dict[object, set[int]] = {}
    for move, us in zip(lines.moves, found.wires, strict=True):
        ways.setdefault((move.way, move.payload.carries), set()).add(us)
    assert all(len(times) == 1 for times in ways.values())
    assert found.lasts != run.assumed.lasts
    assert found.wires != run.assumed.wires


def test_without_jitter_streams_and_whole_transfers_have_medians_of_their_own() -> None:
    problem = clip(model(3, clean=True), 6, 2)
    made = plan(problem, pattern=cascade(1, "live-causal"), placement=Placement.parse("block"))
    run = follow(problem, made, simulate(made, problem, Conditions(jitter=Jitter.of(0.1), seed=1)))
    wires = applied(run, Change(jitter=False)).wires
    found: dict[object, dict[bool, int]] = {}
    for move, us in zip(run.script.moves, wires, strict=True):
        found.setdefault((move.way, move.payload.carries), {})[move.streams] = us
    both = [times for times in found.values() if len(times) == 2]
    assert both
    assert all(times[True] < times[False] for times in both)


def test_delays_are_taken_away_by_what_they_hold_up() -> None:
    problem, made = hand_made("decoded")
    run = follow(problem, made, scattered(made, "measured", 3))
    whole = run.assumed.delays
    assert all(any(delays.values()) for delays in (whole.moves, whole.gangs))
    assert applied(run, Change(gaps=False)).delays == Marks(whole.moves, {}, {})
    assert applied(run, Change(waits=False)).delays == Marks({}, whole.gangs, whole.ends)


@pytest.mark.parametrize("text", [*(f"{name}=0.5" for name in NAMES), "r0=2", "r11:r3=1e1"])
def test_text_is_read(text: str) -> None:
    what, _, factor = text.partition("=")
    assert Scale.parse(text) == Scale(what=what, factor=float(factor))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("decode", "not like 'decode=0.5', 'r1=2' or 'r0:r1=0.5'"),
        ("decode=fast", "not like 'decode=0.5'"),
        ("decoding=2", "what: name one of passes, side, denoise"),
        ("send=2", "what: name one of"),
        ("r=2", "what: name one of"),
        ("r01=2", "what: name one of"),
        ("r0:=2", "what: name one of"),
        ("decode=-1", "factor: "),
        ("decode=nan", "factor: "),
        ("decode=1001", "factor: "),
    ],
)
def test_what_cannot_be_read_is_named(text: str, told: str) -> None:
    with pytest.raises(InputError, match=rf"^scale '{text}': {told}"):
        Scale.parse(text)


def test_what_the_plan_has_not_is_named() -> None:
    with pytest.raises(InputError, match="scale 'r2': the plan has ranks r0 to r1"):
        scaled("decoded", "r2")
    with pytest.raises(InputError, match="scale 'r1:r0': the plan sends nothing from r1 to r0"):
        scaled("live", "r1:r0")


def test_names() -> None:
    both = Change.merged((Change(scales=(Scale(what="decode", factor=0.5),)), Change(gaps=False), Change(waits=False)))
    assert str(both) == "decode x 0.5, no gaps, no waits"
    assert (both.jitter, both.gaps, both.waits) == (True, False, False)
    assert str(Change(jitter=False)) == "no jitter"
    assert str(Change()) == "nothing changed"
