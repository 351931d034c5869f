"""The report's benchmark: `python -m tests.benchmarks.report [--quick] [--out FILE]`.

Prints what was wanted, what was measured and whether it is met, and puts it in `tests/benchmarks/RECORD.md`. Takes
some 20 seconds, with `--quick` a few; needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from planner.action import Action, TimedAction
from planner.pictures.report import report_html
from planner.pictures.scene import scene
from planner.pictures.svg import timelines_svg
from planner.plan import Plan
from planner.rows import Rows
from planner.trace import Trace
from tests.benchmarks.record import Benchmark, Details, Line, Section, median_ms
from tests.planner.clips import cascade, clip, costed, model, plan_of
from tests.planner.pictures.browser import chromium

RECORD = Path(__file__).with_name("RECORD.md")
TITLE = "Report benchmark"
PACKAGES = ("selenium", "perfetto", "matplotlib")

LEAST_FPS, MOST_KB, ACTIONS, RANKS = 30.0, 200, 10_000, 8
# Zooms in and out about a place that moves, one step a frame; the milliseconds between frames.
ZOOM = """
const done = arguments[arguments.length - 1], frames = arguments[0];
const canvas = document.getElementById("timeline"), box = canvas.getBoundingClientRect(), times = [];
let last = performance.now(), count = 0;
function step() {
  const now = performance.now();
  times.push(now - last);
  last = now;
  if (++count > frames) { done(times.slice(2)); return; }
  const x = box.left + 62 + (count * 7) % (box.width - 80);
  const deltaY = count % 60 < 30 ? -60 : 60;
  canvas.dispatchEvent(new WheelEvent("wheel", { deltaY, clientX: x, clientY: box.top + 60 }));
  requestAnimationFrame(step);
}
requestAnimationFrame(step);
"""


class Case(NamedTuple):
    plan: Plan
    trace: Trace
    actions: int


def case(actions: int) -> Case:
    """A plan of so many computing actions and half as many transfers on eight ranks, and a run a tenth slower."""
    small = plan_of(costed(clip(model(4, clean=True), 2, RANKS), cascade(1)))
    plan = small.model_copy(update={"ranks": _rows(actions, 1000)})
    trace = Trace(plan_digest=plan.digest, kind="simulated", last_step=3, ranks=_rows(actions, 1100))
    return Case(plan, trace, actions)


def _rows(actions: int, lasts_us: int) -> Rows:
    """Each rank runs a step of every block, a little behind the rank before, which sends it every second one's K/V."""
    ranks: list[list[TimedAction]] = [[] for _ in range(RANKS)]
    for number in range(actions // RANKS):
        for rank, rows in enumerate(ranks):
            begin = (number + rank + number // 5) * lasts_us
            if rank and number % 2:
                rows.append(
                    TimedAction(Action.parse(f"recv kv b{number}.s{rank - 1} from r{rank - 1}"), begin, begin + 90)
                )
            rows.append(TimedAction(Action.parse(f"denoise b{number}.s{rank}"), begin + 90, begin + lasts_us))
            if rank + 1 < RANKS and number % 2:
                sent = begin + lasts_us
                rows.append(TimedAction(Action.parse(f"send kv b{number}.s{rank} to r{rank + 1}"), sent, sent + 90))
    return tuple(tuple(rows) for rows in ranks)


def zooming(quick: bool) -> Section:
    """Frames a second while the wheel turns, in a browser without a graphics card."""
    rows: Details = [
        ("computing actions, plan and run", "report KB", "open s", "fps", "median ms", "95th percentile ms")
    ]
    lines = []
    for actions in (ACTIONS // 10,) if quick else (ACTIONS // 10, ACTIONS, 3 * ACTIONS):
        made = case(actions)
        text = report_html(made.plan, made.trace)
        opens, frames = _zoomed(text, 40 if quick else 240)
        fps = 1000 / statistics.mean(frames)
        late = statistics.quantiles(frames, n=20)[-1]
        kilobytes = f"{len(text) / 1024:.0f}"
        told = (
            f"2 x {actions:,}",
            kilobytes,
            f"{opens:.1f}",
            f"{fps:.0f}",
            f"{statistics.median(frames):.1f}",
            f"{late:.1f}",
        )
        rows.append(told)
        wanted = actions == ACTIONS
        line = Line(f"zooming, 2 x {actions:,} actions", f"> {LEAST_FPS:.0f} fps" if wanted else "", f"{fps:.0f} fps")
        lines.append(line._replace(met=fps > LEAST_FPS) if wanted else line)
    return Section(
        "Zooming in the report", lines, [rows], note="A frame a step of the wheel; the screen shows 60 a second."
    )


def _zoomed(text: str, frames: int) -> tuple[float, list[float]]:
    """Seconds until it is open, and milliseconds between frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(text)
        with chromium(Path(folder) / "profile") as page:
            begun = time.perf_counter()
            page.get(path.as_uri())
            opened = time.perf_counter() - begun
            return opened, [float(one) for one in page.execute_async_script(ZOOM, frames)]


def making(quick: bool) -> Section:
    """What it takes to write pictures of many actions."""
    made = case(ACTIONS // 10 if quick else ACTIONS)
    repeats = 1 if quick else 5
    report_ms = median_ms(lambda: report_html(made.plan, made.trace), repeats)
    svg_ms = median_ms(lambda: timelines_svg([scene("planned", made.plan.ranks)]), repeats)
    kilobytes = len(made.plan._repr_html_().encode()) / 1024
    what = f"{made.actions:,} computing actions"
    return Section(
        "Writing pictures",
        [
            Line(f"a plan in a notebook, {what}", f"< {MOST_KB} KB", f"{kilobytes:.0f} KB", kilobytes < MOST_KB),
            Line(f"its timeline as SVG, {what}", "", f"{svg_ms:.0f} ms"),
            Line(f"the report of plan and run, {what} each", "", f"{report_ms:.0f} ms"),
        ],
        note=f"Medians of {repeats}.",
    )


SECTIONS = {"Writing pictures": ("", making), "Zooming in the report": ("", zooming)}


def main(arguments: list[str]) -> None:
    Benchmark("report", TITLE, __doc__ or "", PACKAGES, RECORD, "fewer actions and frames").main(SECTIONS, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
