"""A plan, and a run of it, as one HTML file that needs nothing else: timelines to zoom into, and what they mean.

The file loads nothing and runs only its own script, named by its hash in a Content-Security-Policy. Equal documents
give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from planner.pictures.chain import chain_of
from planner.pictures.facts import alternatives, figures, hangs_on, lost_time, proof, ranks, value_text
from planner.pictures.markup import beside, ms, paragraph, section
from planner.pictures.scene import Scene, scene
from planner.pictures.style import LEGEND, PALETTE, Part, parts_of
from planner.plan import Plan
from planner.problem import Problem
from planner.streams.unroll import unroll
from planner.trace import Trace

HELP = (
    "Wheel or <kbd>+</kbd> <kbd>-</kbd> zoom, drag or <kbd>&larr;</kbd> <kbd>&rarr;</kbd> move, <kbd>0</kbd> shows "
    "all, <kbd>n</kbd> and <kbd>p</kbd> follow the critical path. Arrows show once there are few enough to tell apart."
)


def report_html(plan: Plan, trace: Trace | None = None, problem: Problem | None = None) -> str:
    """The report of a plan. With a trace, the run lies below the plan; a problem adds what only it can tell.

    With a run of a stream, the plan's timeline is written out to its whole length. Raises MismatchError if trace,
    plan and problem do not belong together.
    """
    if problem is not None:
        plan.require(problem)
    if trace is not None:
        trace.require(plan)
    scenes = list(_scenes(plan, trace, problem))
    body = "".join(
        (
            _head(plan, trace, problem),
            _timeline(),
            beside(figures(plan, trace, problem), lost_time(plan, trace, problem), ranks(scenes)),
            proof(plan),
            alternatives(plan),
            hangs_on(plan, problem),
            _foot(plan, trace, problem),
        )
    )
    return _page(_title(plan, problem), body, data_text(scenes))


def _scenes(plan: Plan, trace: Trace | None, problem: Problem | None) -> Iterator[Scene]:
    if trace is None:
        # A stream's kernel is shown once, so that the plan is none that could be replayed.
        known = problem if plan.repeat is None else None
        yield scene("planned", plan.ranks, chain=chain_of(plan.ranks, plan, known))
        return
    rows = unroll(plan)
    yield scene("planned", rows, chain=chain_of(rows, plan, problem))
    yield scene(trace.kind, trace.ranks, chain=chain_of(trace.ranks, plan, problem, trace))


def _title(plan: Plan, problem: Problem | None) -> str:
    model = "" if problem is None else f"{problem.model.name}: "
    return f"{model}{plan.pattern} on {plan.placement}"


def _head(plan: Plan, trace: Trace | None, problem: Problem | None) -> str:
    cards = "".join(
        f"<li><b>{escape(value)}</b><span>{escape(name)}</span></li>" for name, value in _cards(plan, trace)
    )
    stopped = [f"The run stopped: {trace.stopped}"] if trace is not None and trace.stopped else []
    warnings = "".join(paragraph(warning, "warning") for warning in (*stopped, *plan.warnings))
    told = "" if problem is None else paragraph(_given(problem), "soft")
    return f'<h1>{escape(_title(plan, problem))}</h1>{told}{warnings}<ul class="cards">{cards}</ul>'


def _given(problem: Problem) -> str:
    work, devices = problem.workload, problem.cluster.devices
    kinds = " and ".join(dict.fromkeys(device.kind for device in devices))
    decoded = "decoded" if work.decode else "left as latents"
    times = "a roofline over data sheets" if problem.profile is None else f"a profile ({problem.profile.software})"
    cluster = f"{len(devices)} x {kinds}, joined by {problem.cluster.link.kind}"
    return f"{cluster}; {work.blocks} blocks, {decoded}; times from {times}."


def _cards(plan: Plan, trace: Trace | None) -> Iterator[tuple[str, str]]:
    found = plan.evidence
    yield "planned", f"{ms(plan.whole_us)} ms"
    if trace is not None:
        yield f"{trace.kind} ({trace.makespan_us / max(1, plan.whole_us) - 1:+.1%})", f"{ms(trace.makespan_us)} ms"
    if plan.finished_us:
        yield "first block after", f"{ms(plan.finished_us[0])} ms"
    if found.objective != "makespan":
        yield f"objective: {found.objective}", value_text(found.value, found.objective)
    yield f"gap to the bound, {found.bound_by}", "unknown" if found.gap is None else f"{found.gap:.2%}"
    yield "ranks that compute", str(sum(any(row.action.is_compute for row in rows) for rows in plan.ranks))


def _timeline() -> str:
    legend = "".join(f"<li>{_swatch(part)}{escape(label)}</li>" for label, part in LEGEND)
    buttons = "".join(
        f'<button type="button" id="zoom-{name}" title="{told}">{face}</button>'
        for name, face, told in (
            ("in", "+", "Zoom in"),
            ("out", "&minus;", "Zoom out"),
            ("fit", "All", "Show all"),
            ("back", "&larr;", "Earlier"),
            ("on", "&rarr;", "Later"),
        )
    )
    boxes = (
        '<label><input type="checkbox" id="critical" checked> critical path</label>'
        '<label><input type="checkbox" id="arrows" checked> transfers</label>'
    )
    return section(
        "Timeline",
        f'<div class="bar">{buttons}{boxes}<button type="button" id="theme">Light or dark</button>'
        '<output id="view" aria-live="polite"></output></div>'
        '<div class="stage"><canvas id="timeline" tabindex="0" role="application" '
        'aria-label="Timeline: what every rank does, planned above measured"></canvas>'
        '<div id="tip" role="tooltip" hidden></div></div>'
        f'<ul class="legend">{legend}<li><svg width="14" height="10"><path class="chain" d="M0 5h14"/>'
        f'</svg>critical path: what the length hangs on</li></ul><p class="soft">{HELP}</p>',
    )


def _swatch(part: Part) -> str:
    lines = '<path d="M0 10L10 0M5 12L14 3" stroke="#FFFFFF" stroke-width="1.6"/>' if part.hatched else ""
    return f'<svg width="14" height="10"><rect width="14" height="10" fill="{part.fill}"/>{lines}</svg>'


def _foot(plan: Plan, trace: Trace | None, problem: Problem | None) -> str:
    digests = [f"plan {plan.digest[:12]}", f"problem {plan.problem_digest[:12]}"]
    digests += [] if trace is None else [f"trace {trace.digest[:12]}"]
    missing = "" if problem is not None else " The problem was not given: rates, prices and sensitivity are left out."
    return f"<footer>{escape(', '.join(digests))}.{escape(missing)}</footer>"


# -- the file --------------------------------------------------------------------------------------


def _page(title: str, body: str, data: str) -> str:
    page = files("planner.pictures") / "page"
    style = (page / "report.css").read_text()
    code = "".join((page / name).read_text() for name in ("draw.js", "act.js"))
    script = f'"use strict";\n(() => {{\n{code}}})();\n'
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data_text(scenes: Sequence[Scene]) -> str:
    """What the script draws, as JSON that cannot end its element."""
    actions: dict[str, int] = {}
    payloads: dict[str, int] = {}
    looks: list[Any] = []
    panels = []
    for one in scenes:
        bars = []
        for bar in one.bars:
            name = str(bar.action)
            if name not in actions:
                actions[name] = len(actions)
                looks.append([name, parts_of(bar.action)])
            bars.append([bar.rank, bar.start_us, bar.end_us, actions[name], bar.critical])
        arrows = [
            [a.source, a.target, a.start_us, a.end_us, _number(payloads, str(a.payload)), int(a.streams), a.critical]
            for a in one.arrows
        ]
        panels.append({"title": one.title, "ranks": one.ranks, "end": one.end_us, "bars": bars, "arrows": arrows})
    inks = [Part("", color).ink for color in range(len(PALETTE))]
    data = {"panels": panels, "actions": looks, "payloads": list(payloads), "palette": PALETTE, "inks": inks}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _number(known: dict[str, int], name: str) -> int:
    return known.setdefault(name, len(known))
