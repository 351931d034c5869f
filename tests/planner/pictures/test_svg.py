"""Timelines as SVG: well-formed, the same bytes, every action there, and small however many there are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings

from planner.action import Action, TimedAction
from planner.pictures.scene import scene
from planner.pictures.style import BLOCK_COLORS, CRITICAL_COLOR
from planner.pictures.svg import tick_us, timelines_svg
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import Rows
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed

SVG = "{http://www.w3.org/2000/svg}"
PLAN = plan_of(costed(clip(model(2, clean=True), 3, 2), cascade(1)))


def drawn(rows: Rows, title: str = "planned") -> ET.Element:
    return ET.fromstring(timelines_svg([scene(title, rows)]))


def many(count: int, ranks: int = 4) -> Rows:
    """So many passes of ten microseconds, with a pause after every fifth."""
    return tuple(
        tuple(
            TimedAction(Action.parse(f"denoise b{at}.s{rank}"), at * 10 + at // 5 * 10, at * 10 + at // 5 * 10 + 10)
            for at in range(count // ranks)
        )
        for rank in range(ranks)
    )


def test_every_action_has_its_bar_and_says_what_it_is() -> None:
    tips = [title.text or "" for title in drawn(PLAN.ranks).iter(f"{SVG}title")]
    for rows in PLAN.ranks:
        for row in rows:
            if row.action.is_compute:
                assert sum(tip.startswith(f"{row.action}, rank") for tip in tips) == 1
    assert sum("critical path" in tip for tip in tips) == len(
        [b for b in scene("", PLAN.ranks).bars if b.critical >= 0]
    )


def test_a_bar_is_as_long_as_its_action() -> None:
    rows = ((TimedAction(Action.parse("denoise b0.s0"), 0, 60), TimedAction(Action.parse("decode b0"), 60, 80)),)
    wide = {
        group.findtext(f"{SVG}title", "").split(",")[0]: float(group.findall(f"{SVG}rect")[0].get("width", "0"))
        for group in drawn(rows).iter(f"{SVG}g")
        if group.find(f"{SVG}title") is not None
    }
    assert wide["denoise b0.s0"] == pytest.approx(3 * wide["decode b0"], rel=0.01)


def test_transfers_are_arrows() -> None:
    arrows = [path for path in drawn(PLAN.ranks).iter(f"{SVG}path") if path.get("marker-end")]
    assert len(arrows) == len(scene("", PLAN.ranks).arrows) > 0


@settings(max_examples=40)
@given(listed())
def test_any_plan_is_well_formed_and_repeats_byte_for_byte(made: tuple[Problem, Plan]) -> None:
    ranks = made[1].ranks
    text = timelines_svg([scene("planned", ranks), scene("again", ranks)])
    assert ET.fromstring(text).tag == f"{SVG}svg"
    assert text == timelines_svg([scene("planned", ranks), scene("again", ranks)])
    assert CRITICAL_COLOR in text


def test_a_hostile_title_stays_text() -> None:
    root = drawn(PLAN.ranks, '</text><script>alert("x")</script>')
    assert not list(root.iter(f"{SVG}script"))
    assert any(text.text == '</text><script>alert("x")</script>' for text in root.iter(f"{SVG}text"))


def test_ten_thousand_actions_stay_small() -> None:
    text = timelines_svg([scene("planned", many(10_000)), scene("measured", many(10_000))])
    assert len(text) < 150_000
    assert ET.fromstring(text) is not None
    for color in BLOCK_COLORS:
        assert color in text


def test_so_do_many_ranks() -> None:
    text = timelines_svg([scene("planned", many(20_000, ranks=100))])
    assert len(text) < 150_000
    assert "and 68 more ranks" in text


def test_what_melts_keeps_its_share_of_the_time() -> None:
    """A rank that is busy all the time is drawn whole, one that is busy a tenth of each column not at all."""
    busy = tuple(TimedAction(Action.parse(f"denoise b{5 * at}.s0"), at, at + 1) for at in range(5_000))
    rare = tuple(TimedAction(Action.parse(f"denoise b{5 * at + 1}.s0"), 100 * at, 100 * at + 1) for at in range(50))
    text = timelines_svg([scene("", (busy, rare))])
    boxes = {fill: path for path, fill in re.findall(r'<path d="([^"]*)" fill="(#\w+)"/>', text)}
    assert sum(float(wide) for wide in re.findall(r"h([\d.]+)v", boxes[BLOCK_COLORS[0]])) == pytest.approx(
        900, rel=0.01
    )
    assert BLOCK_COLORS[1] not in boxes


@pytest.mark.parametrize(
    ("span", "step"), [(1, 1), (10, 1), (11, 2), (100, 10), (1_223_204, 200_000), (5 * 10**9, 5 * 10**8)]
)
def test_ticks_are_round_and_few(span: int, step: int) -> None:
    assert tick_us(span, 10) == step
