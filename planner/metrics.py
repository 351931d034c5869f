"""The figures a user asks for, defined once for plans, simulations and runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.spec import ModelSpec
from planner.action import TimedAction
from planner.cluster import Cluster
from planner.rows import begun_us, finished_us, makespan_us
from planner.value import Value

US_PER_HOUR = 3_600_000_000


class Metrics(Value):
    """Of one clip. A block is finished when it is decoded, or if nothing is decoded, through its last step."""

    makespan_us: int
    first_frame_us: int  # time to first frame: the first block finished
    period_us: float  # mean time between finished blocks, the first one's ramp left out
    fps: float  # pixel frames over the whole clip's time; decoding is inside if the workload decodes
    steady_fps: float  # pixel frames of a full block over the period
    block_latency_us: int  # longest time from a block's first pass until it is finished
    control_us: int  # control-to-output at worst: a change comes just after a block has begun, so the next one shows it
    devices: int  # ranks that compute
    money: float  # price of those devices for the clip's time
    money_per_minute: float  # of video at the model's frame rate


def metrics(spec: ModelSpec, cluster: Cluster, ranks: Sequence[Sequence[TimedAction]]) -> Metrics:
    """The metrics of a clip's rows."""
    used = [rank for rank, rows in enumerate(ranks) if any(row.action.is_compute for row in rows)]
    return reckon(spec, cluster, used, begun_us(ranks), finished_us(ranks, spec.steps - 1), makespan_us(ranks))


def reckon(
    spec: ModelSpec,
    cluster: Cluster,
    used: Sequence[int],
    begun: Sequence[int],
    finished: Sequence[int],
    makespan: int,
) -> Metrics:
    """The metrics of a clip from the ranks that compute and when each block begins and is finished, microseconds."""
    frames = sum(spec.pixel_frames(block) for block in range(len(finished)))
    period = (finished[-1] - finished[0]) / (len(finished) - 1) if len(finished) > 1 else float(finished[0])
    # Blocks may finish together where nothing makes them wait for each other.
    period = max(period, 1.0)
    waits = [done - began for done, began in zip(finished[1:], begun, strict=False)]
    money = math.fsum(cluster.devices[rank].price_per_hour for rank in used) * makespan / US_PER_HOUR
    return Metrics(
        makespan_us=makespan,
        first_frame_us=finished[0],
        period_us=period,
        fps=frames * 1e6 / makespan,
        steady_fps=spec.pixel_frames(1) * 1e6 / period,
        block_latency_us=max(done - began for done, began in zip(finished, begun, strict=True)),
        control_us=max(waits, default=finished[0]),
        devices=len(used),
        money=money,
        money_per_minute=money / (frames / spec.frame_rate / 60),
    )
