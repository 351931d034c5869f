"""What one device was measured to take, instead of what a roofline guesses; every figure can be written by hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, SerializerFunctionWrapHandler, model_serializer, model_validator

from planner.value import Document, Value, as_before

MAX_US = 10**10  # an action of nearly three hours


class Timing(Value):
    """One repeated measurement, microseconds: median, quartiles where they are known, and 95th percentile.

    `context` says for how many earlier blocks read, where a table leaves some out.
    """

    median_us: int = Field(gt=0, le=MAX_US)
    p95_us: int = Field(gt=0, le=MAX_US)
    samples: PositiveInt
    context: int | None = Field(default=None, ge=0, le=10**6)
    lower_us: int | None = Field(default=None, gt=0, le=MAX_US, description="the lower quartile")
    upper_us: int | None = Field(default=None, gt=0, le=MAX_US, description="the upper quartile")

    @classmethod
    def of(cls, times_us: Sequence[float], context: int | None = None) -> Self:
        """Of at least one sample."""
        ordered = sorted(times_us)
        shares = {"lower_us": 0.25, "upper_us": 0.75, "p95_us": 0.95}
        found = {name: whole_us(percentile(ordered, share)) for name, share in shares.items()}
        median_us = whole_us(statistics.median(ordered))
        return cls(median_us=median_us, samples=len(ordered), context=context, **found)

    def scaled(self, ratio: float, context: int | None = None) -> Self:
        """As if everything had taken `ratio` times as long."""
        given = {name: getattr(self, name) for name in ("median_us", "p95_us", "lower_us", "upper_us")}
        changes = {name: whole_us(us * ratio) for name, us in given.items() if us is not None}
        return self.model_copy(update=changes | {"context": context})

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return as_before(self, handler(self), "lower_us", "upper_us")


class Parallel(Value):
    """A pass on a group of `degree` devices takes `share` of what it takes on one (0.25 on four would be ideal)."""

    method: Literal["ulysses", "tensor"]
    degree: int = Field(ge=2)
    share: float = Field(gt=0, le=2)


class Transfer(Value):
    """Messages of one size from one rank to another, posting and waiting included."""

    source: int = Field(ge=0)
    target: int = Field(ge=0)
    size_bytes: PositiveInt
    timing: Timing


class Profile(Document):
    """Measured durations of one model on one kind of device.

    `denoise` and `clean` hold a pass by the number of earlier blocks read: each entry's `context`, or its place from
    0. Between two entries a pass lies on the line through them, beyond the last on the line through the last two.
    `decode_parts`: the decoder's parts in order, for splitting it over devices; they need not add up to `decode`.
    `batch_share`: what the 2nd, 3rd ... pass of a batch adds, as a share of a pass alone (1 if not given).
    `busy_ranks` says how many ranks worked at once while it was measured: on shared memory a pass is slower beside
    others than alone. Left out, `encode_us` to `text_us` are reckoned from the data sheet.
    `missing` lists what could not be measured, each with the reason; the tables do without. `transfers`, which tell
    latency and bandwidth, are there if the link was measured too; else its figures are a data sheet's.
    """

    schema_name: Literal["blockcascade.profile/1"] = "blockcascade.profile/1"
    model: str
    device: str
    software: str
    device_name: str = Field(default="", description="as its maker calls it")
    taken: str = Field(default="", pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="the day it was measured")
    busy_ranks: PositiveInt = 1
    denoise: tuple[Timing, ...] = Field(min_length=1)
    clean: tuple[Timing, ...] = ()
    decode_first: Timing
    decode: Timing
    decode_parts: tuple[Timing, ...] = ()
    encode_us: int | None = Field(default=None, gt=0, le=MAX_US)
    recache_us: int | None = Field(default=None, gt=0, le=MAX_US)
    text_us: int | None = Field(default=None, gt=0, le=MAX_US)
    block_overhead_us: int = Field(default=0, ge=0, le=MAX_US, description="added to each block's first pass")
    tick_overhead_us: int = Field(default=0, ge=0, le=MAX_US, description="added to a joint tick of several passes")
    flight_overhead_us: int = Field(
        default=0, ge=0, le=MAX_US, description="added to each pass, batch or slice of a cascade that is not joint"
    )
    joint_stretch: float | None = Field(default=None, gt=0, le=100, description="of passes in a joint tick of several")
    batch_share: tuple[float, ...] = ()
    parallel: tuple[Parallel, ...] = ()
    post_us: int = Field(default=0, ge=0, le=MAX_US, description="the host's time to post a send or a receive")
    link_latency_us: int = Field(ge=0, le=MAX_US)
    link_bandwidth_gbps: float = Field(ge=1e-6, le=1e9)
    link_sharing: Literal["pair", "port", "bus"] = "pair"
    transfers: tuple[Transfer, ...] = ()
    missing: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = ("device_name", "taken", "flight_overhead_us", "transfers", "missing")
        return as_before(self, handler(self), *later)

    @model_validator(mode="after")
    def _contexts_rise(self) -> Self:
        for name in ("denoise", "clean"):
            contexts = [context for context, _ in points(getattr(self, name))]
            if contexts != sorted(set(contexts)):
                raise ValueError(f"{name}: contexts must rise, got {contexts}")
        if any(not 0 < share <= 10 for share in self.batch_share):
            raise ValueError("batch_share: each must be above 0 and at most 10")
        return self


def points(table: tuple[Timing, ...]) -> list[tuple[int, int]]:
    """(context, median in microseconds) of each entry."""
    return [
        (place if timing.context is None else timing.context, timing.median_us) for place, timing in enumerate(table)
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of a sorted sample lies."""
    return ordered[quantile_place(len(ordered), share)]


def quantile_place(count: int, share: float) -> int:
    """Where that value stands among `count` in order of size: it is one of them."""
    return min(count - 1, int(share * count))


def whole_us(us: float) -> int:
    """Whole microseconds, as a profile can hold them."""
    return min(max(1, round(us)), MAX_US)
