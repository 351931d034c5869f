"""One run at a time in a folder: another would clear away the state that this one still writes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.errors import StateError

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within: no other run has the folder, which is there. Raises StateError if one has, or the lock cannot be made.

    The kernel lets go of it when this process ends, however it ends. A file system without locks is used without.
    """
    place = folder / LOCK
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(
            f"{place}: cannot be made ({error.strerror}); make the folder writable, or remove what is there"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(f"{folder}: another run is at work in it; wait for its end, or name another folder") from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)
