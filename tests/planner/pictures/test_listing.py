"""Tables that answers show of themselves in a notebook: whole, short and escaped."""

from __future__ import annotations

import re
from typing import Any

from models.catalog import load_spec
from planner.calibrate import calibrate
from planner.capacity import cheapest, serve, sessions_held
from planner.cluster import Cluster
from planner.compare import Side, compare
from planner.conditions import Conditions, Jitter
from planner.measures import measure
from planner.measuring.labels import LABELS
from planner.montecarlo import montecarlo
from planner.pictures.inline import MOST, Table, listing
from planner.problem import Problem
from planner.serving.demand import Arrivals, Demand
from planner.serving.policy import Policy
from planner.simulate import simulate
from planner.sweeping.sweep import Sweep
from planner.whatif import Grid, whatif
from planner.workload import Workload
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.pictures.test_inline import HOSTILE, Tags

PROBLEM = clip(model(2, clean=True), 3, 2)
PLAN = plan_of(costed(PROBLEM, cascade(1)))
JITTER = Conditions(jitter=Jitter.of(0.2), seed=1)
TRACE = simulate(PLAN, PROBLEM, JITTER)
SERVING = Problem(model=load_spec("self-forcing-1.3b"), cluster=Cluster.of("h100", 2), workload=Workload(blocks=7))


def text(value: Any) -> str:
    return re.sub(r"\s+", " ", Tags(value._repr_html_()).text)


def sweep(**axes: Any) -> Sweep:
    return whatif(Grid.from_data(axes, "grid"), workers=1)


def test_no_more_rows_than_wanted() -> None:
    found = Tags(listing("t", Table(("a",), [(str(n),) for n in range(MOST + 3)])))
    assert found.tags.count("td") == MOST
    assert "+ 3 more" in found.text
    assert "more" not in Tags(listing("t", Table(("a",), [("1",)] * MOST))).text


def test_tables_without_rows_are_left_out() -> None:
    found = Tags(listing("t", Table(("a",), []), Table(("b",), [], "empty"), Table(("c",), [("1",)], "full")))
    assert found.tags.count("table") == found.tags.count("details") == 1
    assert "full" in found.text
    assert "empty" not in found.text


def styles(table: Table) -> list[str]:
    """Of the cells of a row."""
    return re.findall(r'<td style="(.*?)"', listing("t", table))[-len(table.columns) :]


def test_names_stay_whole_and_numbers_end_at_the_right() -> None:
    sentence = "rate: 2 x 702.2 ms a block > the 750 ms that it plays"
    rows = [("wan-14b", "8 x 1", "80.1 [70.2-90.3]", "1,024", "-3.2%", "12.5 ms", sentence), ("-", "", *"-----")]
    text, number, free = (
        "text-align:left;white-space:nowrap",
        "text-align:right;white-space:nowrap",
        "text-align:left;min-width:18em",
    )
    assert styles(Table("abcdefg", rows)) == [text, text, *[number] * 4, free]


def test_a_title_stands_over_its_column() -> None:
    table = Table(("name", "count", "money a minute of video"), [("a", "1", "0.3")])
    heads = re.findall(r'<th style="text-align:(.*?)"', listing("t", table))
    assert heads == ["left;white-space:nowrap", "right;white-space:nowrap", "right;min-width:5em"]


def test_all_text_is_escaped() -> None:
    bad = Table((HOSTILE,), [(HOSTILE,)], HOSTILE)
    found = Tags(listing(HOSTILE, bad, bad, notes=[HOSTILE]))
    assert "script" not in found.tags
    assert found.text.count(HOSTILE) == 7


def test_a_sweep_shows_what_can_run() -> None:
    found = sweep(model=["self-forcing-1.3b", "wan-14b"], device=["h100", "l40s"], count="1-7")
    rows = [row for row in found.rows if row.is_possible]
    page = Tags(found._repr_html_())
    assert page.tags.count("tr") == 1 + MOST
    assert f"+ {len(rows) - MOST} more" in page.text
    assert f"28 answered, {len(rows)} ok, {28 - len(rows)} cannot run" in page.text
    assert "1 x l40s, wan-14b: 0 sessions: weights" in page.text
    first = rows[0]
    cell = f"{first.figure('steady_fps'):.1f} [{first.figure('steady_fps_low'):.1f}-"
    assert cell in page.text


def test_a_sweep_says_which_devices_are_idle() -> None:
    shown = text(sweep(model="longlive-1.3b", device="a100", count=11, pattern="sequential"))
    assert "free+decoder:4*ulysses:6@10" in shown


def test_a_sweep_of_nothing_that_runs() -> None:
    page = Tags(sweep(model="wan-14b", device="4090", count=1)._repr_html_())
    assert "table" not in page.tags
    assert "1 answered, 0 ok, 1 cannot run" in page.text
    assert "GB of 4090" in page.text


def test_measures_name_their_fields() -> None:
    found = measure(PROBLEM, PLAN, TRACE)
    shown = text(found)
    assert all(f" {label.label} {label.field} " in shown for label in LABELS)
    assert f"{found.makespan_us / 1000:.1f} ms" in shown
    assert "docs/metrics.md" in shown
    assert "devices" in shown
    assert "links" in shown


def test_measures_of_a_run_that_stopped() -> None:
    stopped = TRACE.model_copy(update={"stopped": f"rank 1 is out {HOSTILE}", "finished_blocks": 0})
    page = Tags(measure(PROBLEM, PLAN, stopped)._repr_html_())
    assert f"stopped: rank 1 is out {HOSTILE}" in page.text
    assert "script" not in page.tags


def test_runs_and_their_summary() -> None:
    runs = montecarlo(PLAN, PROBLEM, JITTER, 20)
    found = runs.range("makespan_us")
    assert found is not None
    assert f"makespan makespan_us {found.mean / 1000:.1f} ms {found.least / 1000:.1f} ms" in text(runs)
    assert runs._repr_html_() == runs.summary()._repr_html_()


def test_a_comparison() -> None:
    found = compare(Side("plan.json", PROBLEM, PLAN), Side(HOSTILE, PROBLEM, PLAN, TRACE))
    page = Tags(found._repr_html_())
    assert "script" not in page.tags
    for word in ("plan against trace", HOSTILE, "makespan", "why it took another time", "slow pass", "a longest path"):
        assert word in page.text
    assert "what differs" not in page.text


def test_a_calibration_says_where_the_time_went() -> None:
    found = calibrate(PROBLEM, PLAN, TRACE)
    shown = text(found)
    assert f"planned {found.losses.planned_us} 100.0%" in shown
    assert f"simulated {found.losses.measured_us} " in shown
    assert all(f" {part.cause} {part.makespan_us:+} " in shown for part in found.losses.parts)
    assert all(item.what in shown for item in found.actions)


def test_sessions_held() -> None:
    answer = sessions_held(SERVING)
    shown = text(answer)
    assert "self-forcing-1.3b at 16 fps on 2 x h100" in shown
    assert all(f" {row.policy} " in shown for row in answer.rows)
    assert answer.best.verdict.text in shown


def test_the_cheapest() -> None:
    small = SERVING.model_copy(update={"cluster": Cluster.of("4090", 1)})
    shown = text(cheapest([SERVING, small], 1))
    assert "1 session at once" in shown
    assert " h100 1 groups:1 1 2.99 " in shown
    assert " 4090 - - - - 0 sessions: rate: " in shown


def test_what_was_served() -> None:
    demand = Demand(arrivals=Arrivals(kind="all", sessions=3))
    found = serve(SERVING, Policy.parse("single"), demand)
    shown = text(found)
    assert f"3 sessions came, {found.turned_away} were turned away" in shown
    assert "groups of devices: 2 x 1" in shown
    assert found.fps is not None
    assert f"fps seen {found.fps.p50:.2f} {found.fps.p95:.2f}" in shown
