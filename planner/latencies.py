"""`Latencies`: what someone wrote down of a system's parts, in milliseconds, and the `Profile` that it comes to."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from models.spec import ModelSpec
from planner.errors import InputError
from planner.files import read_data
from planner.patterns import Pattern
from planner.profile import Parallel, Profile, Timing
from planner.value import Document

MAX_MS = 10**7
# What was measured of passes has its transfers inside: where no link is given, messages are as good as free.
FREE_GBPS = 1e9
# What a further pass of a batch may add at least; a profile holds no zero.
NOTHING = 1e-9


def _table(value: Any) -> Any:
    """By context: one number for all, a mapping from how many earlier blocks are read, or a list from none on."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ((0, value),)
    if isinstance(value, dict):
        return tuple(sorted((_context(key), ms) for key, ms in value.items()))
    if isinstance(value, list | tuple) and not all(isinstance(item, list | tuple) for item in value):
        return tuple(enumerate(value))
    return value


def _context(key: Any) -> int:
    if isinstance(key, bool) or not str(key).isdecimal():
        raise ValueError(f"a context is a number of earlier blocks, 0 or more, not {key!r}")
    return int(key)


Ms = Annotated[float, Field(gt=0, le=MAX_MS)]
MsOrNothing = Annotated[float, Field(ge=0, le=MAX_MS)]
Context = Annotated[int, Field(ge=0, le=10**6)]
ByContext = Annotated[tuple[tuple[Context, Ms], ...], Field(min_length=1), BeforeValidator(_table)]


class Latencies(Document):
    """Milliseconds of each part, as a paper, a log or a table tells them.

    `pass_ms`: one denoise pass of a block; one number, a list by context (no earlier block read, one, two ...) or a
    mapping `{0: 98.8, 6: 254.3}`, straight lines between. `clean_ms` likewise for the pass that commits K/V, like a
    pass if left out. `tick_ms`: instead of both, what a tick takes with all blocks in flight. `decode_ms`: of a block
    on one device; `decode_stages_ms` of each part of a decoder that is split. `recompute_ms`: making the context anew.
    `encode_ms`: encoding a block's pixels. `text_ms`: encoding a prompt. `block_overhead_ms` comes to each block's
    first pass. `tick_overhead_ms` comes to each tick where several blocks are in flight: to a joint tick of more than
    one block, else to each pass, batch or slice of the layers. `joint_stretch`: of passes in a joint tick.
    `batch_share`: what the 2nd, 3rd ... pass of a batch adds, as a share of a pass alone. `parallel`: the share of a
    pass that is left on a group of devices. `hand_off_ms` and `link_gbps` are what a message takes from one device to
    another; left out, nothing, as measured passes mostly have it inside. What is left out of a part's time is a
    microsecond, the least that a profile holds; an overhead that is left out is none.
    """

    schema_name: Literal["blockcascade.latencies/1"] = "blockcascade.latencies/1"
    source: str = ""
    pass_ms: ByContext | None = None
    clean_ms: ByContext | None = None
    tick_ms: Ms | None = None
    decode_ms: Ms | None = None
    decode_first_ms: Ms | None = None
    decode_stages_ms: tuple[Ms, ...] = ()
    recompute_ms: MsOrNothing | None = None
    encode_ms: MsOrNothing | None = None
    text_ms: MsOrNothing | None = None
    block_overhead_ms: MsOrNothing = 0
    tick_overhead_ms: MsOrNothing = 0
    joint_stretch: float | None = Field(default=None, gt=0, le=100)
    batch_share: tuple[float, ...] = ()
    parallel: tuple[Parallel, ...] = ()
    hand_off_ms: MsOrNothing = 0
    link_gbps: float = Field(default=FREE_GBPS, ge=1e-6, le=FREE_GBPS)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.pass_ms is None) == (self.tick_ms is None):
            raise ValueError("pass_ms, tick_ms: give one of them, the time of a pass or that of a tick")
        parts = ("clean_ms", "tick_overhead_ms", "joint_stretch", "batch_share")
        given = [name for name in parts if getattr(self, name)]
        if self.tick_ms is not None and given:
            raise ValueError(f"tick_ms: is a whole tick; leave out {' and '.join(given)}, or give pass_ms")
        if self.decode_first_ms is not None and not self.decodes:
            raise ValueError("decode_first_ms: give decode_ms or decode_stages_ms too, for the blocks after the first")
        return self

    @property
    def decodes(self) -> bool:
        """Whether anything is said of a decoder."""
        return self.decode_ms is not None or bool(self.decode_stages_ms)

    @property
    def whole_decode_ms(self) -> float:
        """A block's decode on one device; without a decoder, 0."""
        return sum(self.decode_stages_ms) if self.decode_ms is None else self.decode_ms

    def profile(self, spec: ModelSpec, device: str, pattern: Pattern | None = None) -> Profile:
        """The profile of a model on a kind of device. Raises InputError if only a tick is known, and no `pattern`."""
        passes, shares = self._passes(spec, pattern), self.batch_share
        clean = passes if self.clean_ms is None else _timings(self.clean_ms)
        if self.tick_ms is not None:
            shares = (NOTHING,)  # a tick's time stands for all passes that a device runs in it
        decode = _timing(self.whole_decode_ms)
        data = {
            "model": spec.name,
            "device": device,
            "software": f"by hand: {self.source}" if self.source else "by hand",
            "denoise": passes,
            "clean": clean,
            "decode": decode,
            "decode_first": decode if self.decode_first_ms is None else _timing(self.decode_first_ms),
            "decode_parts": tuple(_timing(ms) for ms in self.decode_stages_ms),
            "encode_us": _us(self.encode_ms or 0),
            "recache_us": _us(self.recompute_ms or 0),
            "text_us": _us(self.text_ms or 0),
            "block_overhead_us": round(self.block_overhead_ms * 1000),
            "tick_overhead_us": round(self.tick_overhead_ms * 1000),
            "flight_overhead_us": round(self.tick_overhead_ms * 1000),
            "joint_stretch": self.joint_stretch,
            "batch_share": shares,
            "parallel": self.parallel,
            "link_latency_us": round(self.hand_off_ms * 1000),
            "link_bandwidth_gbps": self.link_gbps,
        }
        return Profile.from_data(data, "latencies")

    def _passes(self, spec: ModelSpec, pattern: Pattern | None) -> tuple[Timing, ...]:
        if self.tick_ms is None:
            assert self.pass_ms is not None, "one of them is given"
            return _timings(self.pass_ms)
        if pattern is None or pattern.name == "layers":
            told = "no pattern is named" if pattern is None else "a ring of layers has no ticks"
            raise InputError(f"latencies: tick_ms: {told}; give pass_ms, the time of one pass")
        # A rank that reads live trails the one before it by a layer, and so a tick is a pass and a layer.
        lag = spec.layers / (spec.layers + 1) if pattern.is_live and pattern.offset < spec.passes else 1.0
        return (_timing(self.tick_ms * lag),)


def read_measured(path: str) -> Latencies | Profile:
    """What a file says of a model's times: a profile as it was measured, or latencies that were written by hand.

    Raises InputError naming the file, the field and the fix.
    """
    data = read_data(path)
    by_hand = isinstance(data, dict) and (
        data.get("schema_name") == "blockcascade.latencies/1" or not data.keys().isdisjoint({"pass_ms", "tick_ms"})
    )
    return Latencies.from_data(data, path) if by_hand else Profile.from_data(data, path)


def _timings(given: ByContext) -> tuple[Timing, ...]:
    return tuple(_timing(ms, context) for context, ms in given)


def _timing(ms: float, context: int | None = None) -> Timing:
    us = _us(ms)
    return Timing(median_us=us, p95_us=us, samples=1, context=context)


def _us(ms: float) -> int:
    return max(1, round(ms * 1000))
