"""What values show of themselves in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

from planner.conditions import Conditions, Jitter
from planner.pictures.inline import summary
from planner.simulate import simulate
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.pictures.test_svg import many

HOSTILE = '<script>alert("x")</script>'
PROBLEM = clip(model(2, clean=True), 3, 2)
PLAN = plan_of(costed(PROBLEM, cascade(1)))


class Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_a_plan() -> None:
    page = PLAN._repr_html_()
    shown = Tags(page)
    assert {"table", "svg"} <= set(shown.tags)
    for word in ("cascade:1", f"{PLAN.makespan_us / 1000:.1f} ms on 2 ranks", "no bound", "planned"):
        assert word in shown.text
    assert page == PLAN._repr_html_()


def test_a_trace() -> None:
    trace = simulate(PLAN, PROBLEM, Conditions(jitter=Jitter.of(0.2), seed=1))
    shown = Tags(trace._repr_html_())
    assert {"table", "svg"} <= set(shown.tags)
    assert f"{trace.makespan_us / 1000:.1f} ms" in shown.text
    assert "rank 1" in shown.text


def test_a_trace_that_stopped_says_so() -> None:
    trace = simulate(PLAN, PROBLEM).model_copy(update={"stopped": "rank 1 is out", "finished_blocks": 0})
    shown = Tags(trace._repr_html_())
    assert "rank 1 is out" in shown.text
    assert "first block" not in shown.text


def test_a_problem() -> None:
    shown = Tags(PROBLEM._repr_html_())
    assert "svg" not in shown.tags
    for word in ("by-hand", "2 x cpu-core", "3 blocks, decoded", "2 steps and a clean pass", "invented"):
        assert word in shown.text


def test_hostile_names_stay_text() -> None:
    problem = PROBLEM.model_copy(update={"model": model(2, clean=True, name=HOSTILE), "profile": None})
    shown = Tags(problem._repr_html_() + summary(HOSTILE, [(HOSTILE, HOSTILE)], {HOSTILE: PLAN.ranks}))
    assert "script" not in shown.tags
    assert shown.text.count(HOSTILE) == 5


def test_ten_thousand_actions_stay_below_200_kilobytes() -> None:
    plan = PLAN.model_copy(update={"ranks": many(10_000)})
    assert len(plan._repr_html_().encode()) < 200_000
