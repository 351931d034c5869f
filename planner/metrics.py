"""The figures a user asks for, defined once for plans, simulations and runs."""

from __future__ import annotations

from collections.abc import Sequence

from models.spec import ModelSpec
from planner.value import Value


class Metrics(Value):
    """Of one clip. `fps` includes decoding if the workload decodes; pixel frames over the whole clip's time."""

    makespan_us: int
    first_frame_us: int  # time to first frame: the first block finished
    period_us: float  # mean time between finished blocks, the first one's ramp left out
    fps: float
    steady_fps: float  # pixel frames of a full block over the period


def metrics(spec: ModelSpec, finished: Sequence[int], makespan_us: int) -> Metrics:
    """The metrics of a clip from when each block was finished, microseconds."""
    frames = sum(spec.pixel_frames(block) for block in range(len(finished)))
    period = (finished[-1] - finished[0]) / (len(finished) - 1) if len(finished) > 1 else float(finished[0])
    return Metrics(
        makespan_us=makespan_us,
        first_frame_us=finished[0],
        period_us=period,
        fps=frames * 1e6 / makespan_us,
        steady_fps=spec.pixel_frames(1) * 1e6 / period,
    )
