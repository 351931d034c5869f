"""Which processes there are, from /proc."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs or is stopped; not if it is a zombie that nobody has reaped yet."""
    return _status(pid)[:1] not in ([], ["Z"], ["X"])


def children(pid: int) -> set[int]:
    """The living children of a process."""
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return {child for child in found if _status(child)[1:2] == [str(pid)] and is_alive(child)}


def ends(pids: Iterable[int], seconds: float) -> bool:
    """Whether all of them end within so long."""
    deadline, left = time.monotonic() + seconds, set(pids)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if is_alive(pid)}
        time.sleep(0.02)
    return not left


def _status(pid: int) -> list[str]:
    """State and parent; nothing if there is no such process."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return []
