"""The record of a run: one line per goal, on the screen and as Markdown, with the machine it was taken on."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

Details = list[tuple[str, ...]]  # a table, its first row the head


class Line(NamedTuple):
    """What was wanted and what was measured. `met` is None for a line that only informs, or could not be measured."""

    what: str
    goal: str
    measured: str
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "missed", None: "–"}[self.met]


class Section(NamedTuple):
    """Lines that belong together, and tables of details below them."""

    title: str
    lines: list[Line]
    details: Sequence[Details] = ()
    note: str = ""


Measure = Callable[[bool], Section]  # whether it is to be quick


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of the call, milliseconds, after one that does not count."""
    call()
    return statistics.median(_once_ms(call) for _ in range(repeats))


def _once_ms(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def guarded(title: str, goal: str, section: Callable[[], Section]) -> Section:
    """The section, or a missed line with its error: one broken part does not hide the others."""
    try:
        return section()
    except Exception as error:
        return Section(title, [Line(title, goal, f"failed: {type(error).__name__}: {error}"[:300], False)])


def show(sections: Iterable[Section], console: Console) -> None:
    for section in sections:
        table = Table("", "goal", "measured", "", title=section.title, title_justify="left")
        for line in section.lines:
            style = {True: "green", False: "red", None: ""}[line.met]
            table.add_row(line.what, line.goal, line.measured, f"[{style}]{line.verdict}[/]" if style else line.verdict)
        console.print(table)


class Run(NamedTuple):
    """How a record came about. `load`: how many processes wanted to run before it began."""

    title: str
    command: str
    seconds: float
    load: float
    packages: Sequence[str]
    machine: str = ""  # what it ran on, if not the processor


def markdown(sections: Iterable[Section], run: Run) -> str:
    """The whole record."""
    return "\n".join([*_head(run), *(text for section in sections for text in _section(section))]) + "\n"


def write(record: str, path: Path) -> None:
    """Puts a record in the place of the one of its title in a file that holds several."""
    title, there = record.splitlines()[0], path.read_text() if path.exists() else ""
    parts = re.split(r"^(?=# )", there, flags=re.MULTILINE)
    parts = [part.rstrip() + "\n" for part in parts if part.strip()]
    places = [place for place, part in enumerate(parts) if part.splitlines()[0] == title]
    kept = [part for place, part in enumerate(parts) if place not in places]
    kept.insert(places[0] if places else len(kept), record)
    path.write_text("\n".join(kept))


class Benchmark(NamedTuple):
    """A script that measures sections and keeps their record. `quick`: what --quick makes of it, for its help."""

    name: str  # of the module
    title: str
    about: str
    packages: Sequence[str]
    record: Path
    quick: str

    def main(self, sections: Mapping[str, tuple[str, Measure]], arguments: Sequence[str]) -> None:
        """Measures the sections, (goal, measure) by title, shows them as they come, and writes the record."""
        options = self._options(sections, arguments)
        console, begun, load, found = Console(), time.perf_counter(), os.getloadavg()[0], []
        for title, (goal, measure) in sections.items():
            if options.only is None or title in options.only:
                found.append(guarded(title, goal, partial(measure, options.quick)))
                show(found[-1:], console)
        out = options.out or (None if options.quick or options.only else self.record)
        if out is not None:
            command = " ".join([self._command, *arguments])
            write(markdown(found, Run(self.title, command, time.perf_counter() - begun, load, self.packages)), out)

    def _options(self, sections: Iterable[str], arguments: Sequence[str]) -> argparse.Namespace:
        parser = argparse.ArgumentParser(prog=self._command, description=self.about.split("\n")[0])
        kept = f"the Markdown record (default {self.record.name} here)"
        parser.add_argument("--out", type=Path, default=None, help=kept)
        parser.add_argument("--quick", action="store_true", help=f"{self.quick}; writes only with --out")
        only = "this section; writes only with --out"
        parser.add_argument("--only", choices=list(sections), action="append", help=only)
        return parser.parse_args(arguments)

    @property
    def _command(self) -> str:
        return f"python -m tests.benchmarks.{self.name}"


def _head(run: Run) -> Iterator[str]:
    yield f"# {run.title}"
    yield ""
    yield f"`{run.command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {run.seconds:.0f} s. Times are wall times on:"
    yield f"{run.machine or processor()}, {os.cpu_count()} cores, load {run.load:.1f} before the run;"
    yield f"{platform.system()}, Python {platform.python_version()};"
    yield f"{', '.join(f'{name} {_version(name)}' for name in run.packages)}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name, from /proc/cpuinfo where there is one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {section.title}", "")
    yield from _rows([("", "goal", "measured", ""), *((*line[:3], line.verdict) for line in section.lines)])
    if section.note:
        yield from ("", section.note)
    for table in section.details:
        if len(table) > 1:
            yield ""
            yield from _rows(table)


def _rows(rows: Details) -> Iterator[str]:
    head, *body = rows
    for row in (head, ("---",) * len(head), *body):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
