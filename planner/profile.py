"""What one device was measured to take, instead of what a roofline guesses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from planner.value import Document, Value

MAX_US = 10**10  # an action of nearly three hours


class Timing(Value):
    """One repeated measurement: median and 95th percentile, microseconds."""

    median_us: int = Field(gt=0, le=MAX_US)
    p95_us: int = Field(gt=0, le=MAX_US)
    samples: PositiveInt


class Profile(Document):
    """Measured durations of one model on one kind of device.

    `denoise` and `clean` are indexed by the number of earlier blocks read, from 0; beyond the last entry a pass is
    extrapolated along the last two. `busy_ranks` says how many ranks worked at once while it was measured: on
    shared memory a pass is slower beside others than alone.
    """

    schema_name: Literal["blockcascade.profile/1"] = "blockcascade.profile/1"
    model: str
    device: str
    software: str
    busy_ranks: PositiveInt = 1
    denoise: tuple[Timing, ...] = Field(min_length=1)
    clean: tuple[Timing, ...] = ()
    decode_first: Timing
    decode: Timing
    link_latency_us: int = Field(ge=0, le=MAX_US)
    link_bandwidth_gbps: float = Field(ge=1e-6, le=1e9)
