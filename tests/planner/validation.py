"""The page docs/validation.md, made of all cases: `python -m tests.planner.validation` writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.planner.cases import block_cascading, counts, flashdreams, lingbot, liveavatar, longlive, others, wavert
from tests.planner.cases.case import Case, Row

PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
CASES: dict[str, Callable[[], Case]] = {
    "block-cascading-headline": block_cascading.case,
    "liveavatar-ttff": liveavatar.case,
    "lingbot-2-parallelism": lingbot.case,
    "flashdreams-self-forcing-a100": flashdreams.case,
    "flashdreams-by-data-sheet": flashdreams.roofline,
    "flashdreams-lingbot-gb300": flashdreams.lingbot,
    "longlive-window": longlive.case,
    "longlive2-reproduced": longlive.second,
    "wavert-1.3b-bf16": wavert.case,
    "wavert-matrix": wavert.matrix,
    "telefuser-lingbot": others.telefuser,
    "krea-on-a-mac": others.krea,
    "forward-counts": counts.forwards,
    "kv-memory": counts.memory,
}
HEAD = """\
# Predicted against published

What the planner says of systems that others measured, from what they published of the parts.
`python -m tests.planner.validation` makes this page, and the tests fail where a figure leaves its tolerance or the page
is out of date. Facts and sources: `tests/planner/cases/published.yaml`.

A case tells what was *given* (measured by the source, put in) and what was *fitted* (chosen by us so that one of the
source's figures comes out); everything else comes out of the cost model, the scheduler and the exact period of the
schedule. A row without a tolerance is a miss that is explained below its table. The same questions can be asked of any
other system without code: `blockcascade estimate --example`.
"""


def page(cases: list[Case]) -> str:
    """The whole page, as Markdown."""
    return HEAD + "\n" + "\n".join(summary(cases)) + "\n\n" + "\n\n".join(map(section, cases)) + "\n"


def summary(cases: list[Case]) -> Iterator[str]:
    yield "| case | figures | largest error that is held to | misses told |"
    yield "|---|---:|---:|---:|"
    for case in cases:
        held = [row for row in case.rows if row.tolerance is not None]
        worst = max((row.off for row in held), key=abs, default=0.0)
        misses = len(case.rows) - len(held)
        yield f"| [{case.name}](#{anchor(case.name)}) | {len(case.rows)} | {percent(worst)} | {misses or ''} |"


def section(case: Case) -> str:
    lines = [
        f"## {case.name}",
        "",
        f"- source: {case.source}",
        f"- given: {case.given}",
        f"- fitted: {case.fitted}",
        "",
        "| figure | predicted | published | error | tolerance |",
        "|---|---:|---:|---:|---:|",
        *(line(row) for row in case.rows),
    ]
    return "\n".join([*lines, "", case.note] if case.note else lines)


def line(row: Row) -> str:
    held = "told" if row.tolerance is None else f"{100 * row.tolerance:g} %"
    return f"| {row.what} | {row.predicted:.4g} | {row.published:.6g} | {percent(row.off)} | {held} |"


def percent(share: float) -> str:
    """To a tenth, and never -0.0."""
    return f"{round(100 * share, 1) + 0.0:+.1f} %" if round(100 * share, 1) else "0.0 %"


def anchor(name: str) -> str:
    """As Markdown renderers name a heading."""
    return name.lower().replace(".", "").replace(" ", "-")


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page([make() for make in CASES.values()]))


if __name__ == "__main__":
    main()
