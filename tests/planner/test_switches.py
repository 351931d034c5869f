"""Prompt switches in plans: which passes read which prompt, and what is made anew."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import Kind
from planner.objective import Limits
from planner.patterns import Pattern
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.search import plan
from planner.workload import PromptSwitch
from tests.planner.clips import cascade, clip, model
from tests.planner.test_search import WAYS, timing_of


def switched(at_us: int, *, recache: bool = False, text: bool = True, ranks: int = 2) -> Problem:
    asked = {"encode_text": text, "switches": [PromptSwitch(at_us=at_us, recache=recache).model_dump()]}
    spec = model(2, clean=True, window=3, text_encoder_parameters=10**6)
    return clip(spec, 4, ranks, asked=asked, measured={"text_us": 30, "recache_us": 70})


def require_prompts(made: Plan, problem: Problem) -> int:
    """Whatever reads the new prompt starts after it; whatever runs from the switch tick on reads it. How many do."""
    flow, (at_us,) = timing_of(made, problem), [switch.at_us for switch in problem.workload.switches]
    (switch_tick,) = made.switch_ticks
    texts = [row.action.block for rows in made.ranks for row in rows if row.action.kind is Kind.TEXT]
    assert sorted(texts) == list(range(len(texts))), "each prompt is encoded once"
    new = 0
    for rows in made.ranks:
        for row in rows:
            ticks = [flow.tick(block, flow.stage((block, step))) for block, step in row.action.passes]
            if row.action.kind is Kind.TICK:
                ticks = ticks or [row.action.block]
            read = {payload.block for payload in flow.needs(row.action) if payload.carries == "text"}
            for tick in ticks:
                new += tick >= switch_tick
                assert tick < switch_tick or row.start_us >= at_us, f"{row} reads what is not there yet"
            if row.action.passes and problem.workload.encode_text:
                assert read == {int(tick >= switch_tick) for tick in ticks}
    return new


@pytest.mark.parametrize(("text", "placement"), WAYS)
def test_a_prompt_switch_at_every_time_of_a_clip(text: str, placement: str) -> None:
    spec = switched(0).model
    pattern, where = Pattern.parse(text, spec), Placement.parse(placement)
    end = plan(switched(10**9), pattern=pattern, placement=where).makespan_us
    news = []
    for at_us in (0, 1, *range(40, end, end // 7), end, end + 1, 10**9):
        problem = switched(at_us, recache=at_us % 2 == 0)
        made = plan(problem, pattern=pattern, placement=where)
        news.append(require_prompts(made, problem))
        assert made.makespan_us <= end + at_us + 700
        assert made.makespan_us == end or at_us <= end, "a switch after the clip holds nothing up"
    # The later the switch, the fewer passes read the new prompt.
    assert news == sorted(news, reverse=True)
    assert news[-1] == 0 < news[0]


# On one rank passes follow one another: two of 100 us and a clean one of 80 a block.
@pytest.mark.parametrize(
    ("at_us", "tick"), [(0, 0), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3), (280, 3), (281, 4), (10**6, 8)]
)
def test_the_first_tick_that_begins_no_earlier(at_us: int, tick: int) -> None:
    asked = {"switches": [PromptSwitch(at_us=at_us).model_dump()]}
    problem = clip(model(2, clean=True), 3, 1, decode=False, denoise_us=(100,), clean_us=(80,), asked=asked)
    made = plan(problem, pattern=Pattern.sequential(problem.model), placement=Placement.parse("free@1"))
    assert made.switch_ticks == (tick,)
    assert made.makespan_us == 760, "nothing waits for it"


def test_a_sequential_clip_re_caches_once_a_switch() -> None:
    pattern = Pattern.parse("sequential", switched(0).model)
    for recache, count in ((True, 1), (False, 0)):
        made = plan(switched(700, recache=recache), pattern=pattern)
        found = [str(row.action) for rows in made.ranks for row in rows if row.action.kind is Kind.RECACHE]
        assert len(set(found)) == count
    cascades = plan(switched(700, recache=True), pattern=cascade(1))
    assert not any(row.action.kind is Kind.RECACHE for rows in cascades.ranks for row in rows)


@settings(max_examples=15)
@given(st.sets(st.integers(0, 2500), min_size=1, max_size=3), st.sampled_from(WAYS), st.booleans())
def test_several_switches(times: set[int], way: tuple[str, str], text: bool) -> None:
    switches = tuple(PromptSwitch(at_us=at, recache=True) for at in sorted(times))
    spec = switched(0).model
    problem = clip(spec, 4, 2, asked={"encode_text": text, "switches": [switch.model_dump() for switch in switches]})
    made = plan(problem, pattern=Pattern.parse(way[0], spec), placement=Placement.parse(way[1]))
    assert len(made.switch_ticks) == len(switches)
    assert list(made.switch_ticks) == sorted(made.switch_ticks)
    flow = timing_of(made, problem)
    for rows in made.ranks:
        for row in rows:
            for block, step in row.action.passes:
                prompt = flow.prompt(block, flow.stage((block, step)))
                assert not prompt or row.start_us >= switches[prompt - 1].at_us


def test_limits_hold_with_switches_too() -> None:
    problem = switched(700)
    made = plan(problem, objective="period", limits=Limits(makespan_us=5000))
    assert made.makespan_us <= 5000
    assert made.evidence.gap is None, "nothing is known of the least period of such a clip"
