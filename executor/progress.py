"""Tells a waiting user what goes on, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """Within: calling the value names the current work. A spinner with a clock on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(first)
        yield lambda text: console.print(text)
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(first, total=None)
        yield lambda text: bar.update(task, description=text)
