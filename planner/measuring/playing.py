"""A player that watches blocks as they are finished: when each is shown, when it has to stop, what came too late.

Times are whole microseconds in int64 arrays whose last axis is blocks; any axes before it are runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.spec import ModelSpec

Times = NDArray[np.int64]


def play_marks_us(spec: ModelSpec, blocks: int) -> Times:
    """When each block's first frame is due, from the first of all: [blocks + 1], the last is when the clip is over.

    Rounded from the clip's start on, so that no error adds up.
    """
    frames = spec.pixel_frames(0) + spec.pixel_frames(1) * np.arange(blocks, dtype=np.int64)
    return np.concatenate(([0], np.rint(frames * (1e6 / spec.frame_rate)))).astype(np.int64)


def starts(finished: int, start_blocks: int, asked: int) -> bool:
    """Whether a player ever starts that has so many of the clip's blocks: with its start buffer, or all of the clip."""
    return finished >= min(start_blocks, asked) > 0


def starts_us(finished: Times, start_blocks: int) -> Times:
    """When playing begins, if it does: the first `start_blocks` blocks are finished, or all there are. [...]"""
    start: Times = finished[..., :start_blocks].max(axis=-1)
    return start


def shown_us(finished: Times, marks: Times, start_blocks: int) -> Times:
    """When each block's first frame is shown, [..., blocks]: when it is finished and the block before it is over."""
    due = marks[: finished.shape[-1]]
    ready = finished - due
    ready[..., 0] = starts_us(finished, start_blocks)
    shown: Times = np.maximum.accumulate(ready, axis=-1) + due
    return shown


def stalls(shown: Times, marks: Times) -> tuple[Times, Times]:
    """How often the player has to stop for a block, and for how long in all, microseconds. [...] each"""
    count = shown.shape[-1]
    waits = np.diff(shown, axis=-1) - np.diff(marks[:count])
    return (waits > 0).sum(axis=-1), waits.sum(axis=-1)


def attainment(finished: Times, marks: Times, start_blocks: int, asked: int) -> NDArray[np.float64]:
    """The share of `asked` blocks that are finished when a player that never stops needs them. [...]

    A block that is never finished, so not among these, is late.
    """
    needed = starts_us(finished, start_blocks)[..., None] + marks[: finished.shape[-1]]
    share: Any = (finished <= needed).sum(axis=-1) / asked
    return share  # type: ignore[no-any-return]
