"""The report as text: all of it there, nothing that loads or runs but its own script, hostile names stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings

from planner.comparing.path import path_places
from planner.conditions import Conditions, Jitter
from planner.errors import MismatchError
from planner.patterns import Pattern
from planner.pictures.chain import chain_of
from planner.pictures.critical import critical_chain
from planner.pictures.report import data_text, report_html
from planner.pictures.scene import scene
from planner.plan import Alternative, Plan
from planner.problem import Problem
from planner.replaying.followed import follow
from planner.search import plan
from planner.simulate import simulate
from planner.streams.unroll import unroll
from planner.trace import Trace
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.strategies import listed

PROBLEM = clip(model(3, clean=True), 5, 2)
PLAN = plan_of(costed(PROBLEM, cascade(1)))
TRACE = simulate(PLAN, PROBLEM, Conditions(jitter=Jitter.of(0.2), seed=1))
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Elements with their attributes, the text of each kind of element, and cells of tables by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, _tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            (self.scripts if self._open == "script" else self.styles).append(data)
            return
        if self._open in ("td", "th"):
            self.rows[-1][-1] += data
        self.text += data + " "

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)


def data_of(page: Page) -> Any:
    return json.loads(page.scripts[0])


def test_every_part_is_there() -> None:
    page = Page(report_html(PLAN, TRACE, PROBLEM))
    for title in ("Timeline", "Figures", "Ranks", "Bound and gap", "Sensitivity", "Where the time went"):
        assert title in page.text
    planned, seen = PLAN.makespan_us, TRACE.makespan_us
    assert page.row("clip, ms")[1:] == [f"{planned / 1000:,.1f}", f"{seen / 1000:,.1f}", f"{seen / planned - 1:+.2%}"]
    assert page.row("simulated")[1] == f"{seen / 1000:,.1f}"
    assert "decodes" in {row[0] for row in page.rows if row}


def test_alone_a_plan_tells_what_it_can() -> None:
    page = Page(report_html(PLAN))
    assert page.row("clip, ms") == ["clip, ms", f"{PLAN.makespan_us / 1000:,.1f}"]
    assert "Sensitivity" not in page.text
    assert "The problem was not given" in page.text
    assert len(data_of(page)["panels"]) == 1


def test_the_script_is_given_every_action() -> None:
    data = data_of(Page(report_html(PLAN, TRACE, PROBLEM)))
    for panel, ranks in zip(data["panels"], (PLAN.ranks, TRACE.ranks), strict=True):
        bars = sorted((rank, start, end, data["actions"][action][0]) for rank, start, end, action, _ in panel["bars"])
        rows = [(rank, row) for rank, rows in enumerate(ranks) for row in rows if row.action.is_compute]
        assert bars == sorted((rank, row.start_us, row.end_us, str(row.action)) for rank, row in rows)
        assert any(bar[4] >= 0 for bar in panel["bars"])
    assert [panel["title"] for panel in data["panels"]] == ["planned", "simulated"]


def test_alternatives_say_why_they_lost() -> None:
    best = plan(clip(model(2, clean=True), 3, 2, decode=False), pattern=cascade(1))
    page = Page(report_html(best))
    lost = [item.lost for item in best.alternatives if item.lost]
    assert lost
    assert all(why in page.text for why in lost)
    assert sum(attributes.get("class") == "chosen" for _, attributes in page.elements) == 1


def test_nothing_is_loaded_and_only_its_own_script_runs() -> None:
    text = report_html(PLAN, TRACE, PROBLEM)
    page = Page(text)
    policy = next(a["content"] or "" for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, content in (("script-src", page.scripts[1]), ("style-src", page.styles[0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("src", "style", "srcset") for name in attributes)
        assert (attributes.get("href") or "data:,") == "data:,"
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\(", text)


def test_hostile_names_stay_text() -> None:
    problem = PROBLEM.model_copy(update={"model": model(3, clean=True, name=HOSTILE), "profile": None})
    hostile = PLAN.model_copy(
        update={
            "problem_digest": problem.digest,
            "placement": "free",
            "warnings": (HOSTILE,),
            "evidence": PLAN.evidence.model_copy(update={"bound_by": HOSTILE, "solver": HOSTILE}),
            "alternatives": (Alternative(pattern=HOSTILE, placement=HOSTILE, name=HOSTILE, devices=1, lost=HOSTILE),),
        }
    )
    page = Page(report_html(hostile, None, problem))
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    assert not any(tag == "img" for tag, _ in page.elements)
    assert page.text.count(HOSTILE) >= 8


def test_what_the_script_is_given_cannot_end_its_element() -> None:
    text = data_text([scene(HOSTILE, PLAN.ranks)])
    assert not set("<>&") & set(text)
    assert json.loads(text)["panels"][0]["title"] == HOSTILE


def test_equal_documents_give_equal_bytes() -> None:
    again = simulate(PLAN, PROBLEM, Conditions(jitter=Jitter.of(0.2), seed=1))
    assert report_html(PLAN, TRACE, PROBLEM) == report_html(PLAN.model_copy(), again, PROBLEM.model_copy())


@settings(max_examples=15)
@given(listed())
def test_any_plan_and_its_run_can_be_reported(made: tuple[Problem, Plan]) -> None:
    problem, chosen = made
    trace = simulate(chosen, problem, Conditions(jitter=Jitter.of(0.3), seed=2))
    page = Page(report_html(chosen, trace, problem))
    assert "Sensitivity" in page.text
    assert [len(panel["bars"]) for panel in data_of(page)["panels"]] == [
        sum(row.action.is_compute for rows in run.ranks for row in rows) for run in (chosen, trace)
    ]


def test_figures_of_a_stream_are_of_all_its_blocks() -> None:
    problem = clip(model(1, window=2), 510, 1, decode=False)
    best = plan(problem, pattern=cascade(1))
    trace = simulate(best, problem)
    assert best.makespan_us < best.whole_us == trace.makespan_us
    for known in (problem, None):
        page = Page(report_html(best, trace, known))
        for name in ("clip, ms", "time to first frame, ms", "time between blocks, ms"):
            planned, seen, difference = page.row(name)[1:]
            assert (planned, difference) == (seen, "0.00%")
        assert page.row("clip, ms")[1] == Page(report_html(best, None, known)).row("clip, ms")[1]
        assert page.row("clip, ms")[1] == f"{best.whole_us / 1000:,.1f}"


def test_the_path_through_a_live_cascade_has_no_gap_that_the_longest_path_has_not() -> None:
    problem = clip(model(3), 5, 3)
    chosen = plan(problem, pattern=Pattern.parse("cascade:1:live-causal", problem.model))
    trace = simulate(chosen, problem, Conditions(jitter=Jitter.of(0.3), seed=1))
    expected = path_places(follow(problem, chosen, trace))
    assert chain_of(trace.ranks, chosen, problem, trace) == expected
    data = data_of(Page(report_html(chosen, trace, problem)))
    panel = data["panels"][1]
    numbers = [bar[4] for bar in panel["bars"]] + [arrow[6] for arrow in panel["arrows"]]
    assert sorted(number for number in numbers if number >= 0) == list(range(len(expected)))


def test_without_a_problem_the_path_is_read_off_the_rows() -> None:
    assert chain_of(TRACE.ranks, PLAN, None, TRACE) == critical_chain(TRACE.ranks)
    rows = tuple(tuple(row for row in rows if row.end_us < 900) for rows in TRACE.ranks)
    stopped = TRACE.model_copy(update={"ranks": rows, "stopped": "rank 1 is out", "finished_blocks": 1})
    assert chain_of(rows, PLAN, PROBLEM, stopped) == critical_chain(rows)


def test_a_run_whose_rows_are_in_another_order_has_the_same_path() -> None:
    ranks = tuple(tuple(sorted(rows, key=lambda row: -row.end_us)) for rows in TRACE.ranks)
    mixed = TRACE.model_copy(update={"ranks": ranks})

    def told(trace: Trace) -> list[str]:
        places = chain_of(trace.ranks, PLAN, PROBLEM, trace)
        return [f"r{rank} {trace.ranks[rank][index].action}" for rank, index in places]

    assert told(mixed) == told(TRACE)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(MismatchError, match="plan again"):
        report_html(PLAN, TRACE, clip(model(3, clean=True), 6, 2))
    with pytest.raises(MismatchError, match="run or simulate it again"):
        report_html(PLAN.model_copy(update={"placement": "block"}), TRACE, PROBLEM)


def test_a_run_that_stopped() -> None:
    rows = tuple(tuple(row for row in rows if row.end_us < 900) for rows in TRACE.ranks)
    stopped = TRACE.model_copy(update={"ranks": rows, "stopped": "rank 1 is out", "finished_blocks": 1})
    page = Page(report_html(PLAN, stopped, PROBLEM))
    assert "The run stopped: rank 1 is out" in page.text
    assert "Where the time went" not in page.text


def test_a_stream_is_written_out_beside_its_run() -> None:
    problem = clip(model(1, window=2), 510, 1, decode=False)
    best = plan(problem, pattern=cascade(1))
    assert best.repeat is not None
    trace = simulate(best, problem)
    data = data_of(Page(report_html(best, trace, problem)))
    whole = [row for rows in unroll(best) for row in rows if row.action.is_compute]
    assert [len(panel["bars"]) for panel in data["panels"]] == [len(whole)] * 2
    assert len(data_of(Page(report_html(best)))["panels"][0]["bars"]) < len(whole)
