"""`System`: somebody's system as a page of YAML: the shape of its loop and the latencies of its parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from models.errors import SpecError
from models.find_spec import find_spec
from models.spec import ModelSpec
from planner.cluster import DEVICES, MAX_DEVICES, Cluster, Device, Link
from planner.errors import InputError
from planner.latencies import FREE_GBPS, Latencies, MsOrNothing
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.value import Document
from planner.workload import Workload

# What ran did fit: a system described by hand is not asked again whether its memory is enough.
ENOUGH_BYTES = 10**18
ENDLESS = 10**6
LEAST_MS = 1e-3
DEFAULT = "self-forcing-1.3b"
RECOMPUTE = "sequential-recompute"


def _model(value: Any) -> Any:
    """A catalog name, or a mapping of the fields that differ from those of `base`."""
    if isinstance(value, str):
        value = {"base": value}
    if not isinstance(value, dict):
        return value
    fields = {key: given for key, given in value.items() if key != "base"}
    try:
        return find_spec(str(value.get("base", DEFAULT)), **fields)
    except SpecError as error:
        raise ValueError(str(error)) from None


class System(Document):
    """A system to reckon with, mostly one that somebody measured.

    `model`: a catalog name or fields that differ from it; `steps`, `clean_pass` and `frames_per_block` (latent frames)
    change it further. `pixel_frames`: of a block, where the decoder makes another number of them. `device` may have any
    name, as nothing of its data sheet is used. Without a `placement`, the one with the least period is taken.
    `decode_feeds_next`: a block cannot begin before the last one is decoded (and encoded again); so it is in the
    pattern sequential-recompute unless said otherwise. `encoder`: what `encode_ms` of an input video keeps busy, the
    device of the first pass or one of its own. `before_ms`, `after_ms`: stages that a block goes through before its
    first pass and after its decode, each on machinery of its own: capture, packing, the network. `blocks`: also the
    figures of a clip of so many.
    """

    schema_name: Literal["blockcascade.system/1"] = "blockcascade.system/1"
    name: str = ""
    source: str = ""
    model: Annotated[ModelSpec, BeforeValidator(_model)] = Field(default=DEFAULT, validate_default=True)
    steps: int | None = Field(default=None, ge=1, le=1000)
    clean_pass: bool | None = None
    frames_per_block: int | None = Field(default=None, ge=1, le=1000)
    pixel_frames: int | None = Field(default=None, ge=1, le=10**5)
    frame_rate: float | None = Field(default=None, gt=0)
    device: str = Field(default="device", min_length=1)
    count: int = Field(default=1, ge=1, le=MAX_DEVICES)
    price_per_hour: float | None = Field(default=None, ge=0)
    pattern: str = "sequential"
    placement: str | None = None
    decode_feeds_next: bool | None = None
    encoder: Literal["shared", "apart"] = "shared"
    before_ms: tuple[MsOrNothing, ...] = ()
    after_ms: tuple[MsOrNothing, ...] = ()
    blocks: PositiveInt | None = None
    latencies: Latencies

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.decode_feeds_next and "sequential" not in self.pattern:
            raise ValueError(f"decode_feeds_next: blocks in flight cannot wait for pixels: {self.pattern}")
        if self.feeds and not self.latencies.decodes:
            raise ValueError("latencies: decode_ms: the next block needs the decoded one; say how long decoding takes")
        if self.pattern == RECOMPUTE and self.latencies.recompute_ms is None:
            raise ValueError(f"latencies: recompute_ms: {RECOMPUTE} makes the context anew; say how long that takes")
        if self.latencies.recompute_ms is not None and self.pattern != RECOMPUTE and not self.feeds:
            raise ValueError(f"latencies: recompute_ms: {self.pattern} makes no context anew; name {RECOMPUTE}")
        return self

    @property
    def feeds(self) -> bool:
        """Whether the next block waits for this one's pixels."""
        return self.pattern == RECOMPUTE if self.decode_feeds_next is None else self.decode_feeds_next

    @property
    def spec(self) -> ModelSpec:
        """The model with all changes. Raises InputError where they contradict each other."""
        base, changes = self.model, dict[str, Any]()
        if self.steps is not None and self.steps != base.steps:
            changes["timesteps"] = tuple(1000 * (self.steps - step) / self.steps for step in range(self.steps))
            changes["first_block_steps"] = None
        if self.pattern == RECOMPUTE and not self.feeds:
            changes["clean_pass"] = True
        if self.frames_per_block is not None:
            size = self.frames_per_block
            changes |= {"frames_per_block": size, "window": base.window_blocks * size, "sink": base.sink_blocks * size}
        given = {"clean_pass": self.clean_pass, "frame_rate": self.frame_rate}
        changes = {name: value for name, value in given.items() if value is not None} | changes
        try:
            return ModelSpec.model_validate(base.model_dump() | changes)
        except ValueError as error:
            raise InputError(f"system: model: {error}") from error

    def planned_pattern(self, spec: ModelSpec) -> Pattern:
        """The pattern to plan: whether the next block waits for pixels decides which of the sequential two it is."""
        name = self.pattern
        if name in ("sequential", RECOMPUTE):
            name = RECOMPUTE if self.feeds else "sequential"
        return Pattern.parse(name, spec)

    def planned_placement(self) -> Placement | None:
        """The placement asked for. Raises InputError if nobody said what a pass takes on its groups."""
        if self.placement is None:
            return None
        placement = Placement.parse(self.placement)
        if not self.has_share(placement):
            raise InputError(
                f"latencies: parallel: {placement} runs passes on {placement.degree} devices; add "
                f"{{method: {placement.method}, degree: {placement.degree}, share: SHARE}}, what is left of a pass"
            )
        return placement

    def has_share(self, placement: Placement) -> bool:
        """Whether it is known what a pass takes under a placement."""
        known = {(group.method, group.degree) for group in self.latencies.parallel}
        return placement.degree == 1 or (placement.method, placement.degree) in known

    def problem(self, blocks: int = ENDLESS, *, decode: bool = True) -> Problem:
        """The problem that the system solves, an endless stream or a clip; `decode` False leaves out its decoder."""
        spec = self.spec
        profile = self._parts(spec).profile(spec, self.device, self.planned_pattern(spec))
        decodes = decode and self.latencies.decodes
        workload = Workload(blocks=blocks, decode=decodes, encode_text=bool(self.latencies.text_ms))
        return Problem(model=spec, cluster=self._cluster(), workload=workload, profile=profile)

    def _parts(self, spec: ModelSpec) -> Latencies:
        """The latencies as the pattern's actions have them."""
        given, changes = self.latencies, dict[str, Any]()
        recompute = given.recompute_ms or 0
        if self.feeds and self.pattern != RECOMPUTE and spec.clean_pass and given.tick_ms is None:
            # The pass that commits K/V stands where the pattern makes its context anew.
            table = given.clean_ms or given.pass_ms or ()
            changes["recompute_ms"] = recompute + table[-1][1]
        if not self.feeds and self.pattern == RECOMPUTE:
            # A context made of latents is one more pass, as the one that commits K/V.
            changes["clean_ms"] = ((0, max(recompute, LEAST_MS)),)
        if not self.feeds and given.encode_ms and self.encoder == "shared":
            changes["block_overhead_ms"] = given.block_overhead_ms + given.encode_ms
        return given.model_copy(update=changes)

    @property
    def stages_before_ms(self) -> tuple[float, ...]:
        """The stages before the first pass that keep no planned device busy."""
        encodes = self.encoder == "apart" and not self.feeds and self.latencies.encode_ms
        return (*self.before_ms, self.latencies.encode_ms or 0) if encodes else self.before_ms

    def _cluster(self) -> Cluster:
        known = DEVICES.get(self.device)
        usual = known.price_per_hour if known else 0.0
        device = Device(
            kind=self.device,
            peak_tflops=1,
            memory_bytes=ENOUGH_BYTES,
            memory_gbps=1,
            price_per_hour=usual if self.price_per_hour is None else self.price_per_hour,
            source="by hand",
        )
        link = Link(kind="by hand", latency_us=0, bandwidth_gbps=FREE_GBPS)
        return Cluster(devices=(device,) * self.count, link=link)
