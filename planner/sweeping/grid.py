"""A grid of what-if questions: every combination of the values that its axes list."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, model_validator

from models.errors import SpecError
from models.find_spec import find_spec
from models.spec import ModelSpec
from planner.cluster import DEVICES, LINKS, MAX_DEVICES, Cluster, Device, Link
from planner.errors import InputError
from planner.latencies import Latencies, read_measured
from planner.objective import Limits
from planner.patterns import FORMS, Pattern
from planner.placement import Placement
from planner.plan import Objective
from planner.problem import Problem
from planner.profile import Profile
from planner.sweeping.axes import MOST, blocks_for, changed, distinct, listed, numbers, size_fault, sized, stepped
from planner.value import Document
from planner.workload import MAX_BLOCKS

SHIPPED, DATA_SHEET = "shipped", "none"
FAMILIES = ("cascade", "cascade:live-causal", "cascade:live-joint")  # cascades of any offset
# The last varies fastest. Points that differ only in what stands under FAST share most of the work.
SLOW = ("model", "resolution", "steps", "decode", "kv_transfer", "profile", "device", "link", "network", "per_node")
FAST = ("count", "pattern", "offset", "placement", "parallel", "blocks", "frames", "price")
AXES = (*SLOW, *FAST)

_values = AfterValidator(distinct)
_texts, _whole = BeforeValidator(listed), BeforeValidator(numbers)
Count = Annotated[StrictInt, Field(ge=1, le=MAX_DEVICES)]
Names = Annotated[tuple[str, ...], _texts, _values]
Counts = Annotated[tuple[Count, ...], _whole, _values]
_PARALLEL = re.compile(r"none|(ulysses|tensor):([2-9]|[1-9]\d{1,3})")


@dataclass(frozen=True, slots=True)
class Point:
    """One combination, by the names of the axes; None where the grid leaves it to the base or to the search."""

    number: int
    model: str | ModelSpec | None
    resolution: str | None
    steps: int | None
    decode: bool | None
    kv_transfer: str | None
    profile: str | Latencies | Profile | None
    device: str | Device | None
    link: str | Link | None
    network: str | Link | None
    per_node: int | None
    count: int | None
    pattern: str | None
    offset: int | None
    placement: str | None
    parallel: str | None
    blocks: int | None
    frames: int | None
    price: float | None

    @property
    def basis(self) -> Point:
        """What the point has in common with those that share its work."""
        return replace(self, number=0, **dict.fromkeys(FAST))


class Grid(Document):
    """Questions: all combinations of the axes' values, and what each answer is to be best by.

    An axis that is left out takes the value of `base`, or, without one, the usual (h100, one device, 7 blocks, what the
    checkpoint tolerates). Numbers may be written `1..8`, `1-8` or `1,2,4`. `pattern`: as for a plan, or `cascade`,
    `cascade:live-causal`, `cascade:live-joint` for those of any offset; `offset` narrows whatever patterns there are.
    `parallel`: `none`, `ulysses:DEGREE` or `tensor:DEGREE`, how a pass is split. `resolution`: pixels, `832x480`.
    `profile`: `shipped`, `none` (data sheet) or a file, which holds a profile or latencies by hand. `price`: of a
    device and hour. `frames`: of pixels, instead of `blocks`. `limits`: a point that misses them keeps its figures, and
    its verdict says so. `exact`: every point is planned in full instead of laid out quickly.
    """

    schema_name: Literal["blockcascade.grid/1"] = "blockcascade.grid/1"
    base: Problem | None = None
    model: Annotated[tuple[str | ModelSpec, ...], _texts, _values] | None = None
    resolution: Names | None = None
    steps: Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=1000)], ...], _whole, _values] | None = None
    decode: Annotated[tuple[StrictBool, ...], _texts, _values] | None = None
    kv_transfer: Annotated[tuple[Literal["full", "fp8"], ...], _texts, _values] | None = None
    profile: Annotated[tuple[str | Latencies | Profile, ...], _texts, _values] | None = None
    device: Annotated[tuple[str | Device, ...], _texts, _values] | None = None
    link: Annotated[tuple[str | Link, ...], _texts, _values] | None = None
    network: Annotated[tuple[str | Link, ...], _texts, _values] | None = None
    per_node: Counts | None = None
    count: Counts | None = None
    pattern: Names | None = None
    offset: Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=10**4)], ...], _whole, _values] | None = None
    placement: Names | None = None
    parallel: Names | None = None
    blocks: Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=MAX_BLOCKS)], ...], _whole, _values] | None = None
    frames: Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=10**8)], ...], _whole, _values] | None = None
    price: Annotated[tuple[Annotated[float, Field(ge=0, le=10**6)], ...], _whole, _values] | None = None
    objective: Objective = "period"
    limits: Limits = Limits()
    exact: bool = False

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.model is None and self.base is None:
            raise ValueError("model: name at least one, or give a base problem")
        if self.blocks is not None and self.frames is not None:
            raise ValueError("frames: says what blocks says; leave one of them out")
        if self.base is not None and self.device is None and len(set(self.base.cluster.devices)) > 1:
            raise ValueError("base: has several kinds of device, a sweep one at a time; name them under device")
        if self.size > MOST:
            longest = sorted(AXES, key=lambda name: -len(self.values(name)))[:3]
            told = ", ".join(f"{name} ({len(self.values(name)):,})" for name in longest)
            raise ValueError(f"grid: {self.size:,} points, at most {MOST:,}; the longest axes are {told}")
        _require_known(self)
        return self

    def values(self, axis: str) -> tuple[Any, ...]:
        """The values of an axis; (None,) if it is left out."""
        found: tuple[Any, ...] | None = getattr(self, axis)
        return (None,) if found is None else found

    @cached_property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(len(self.values(axis)) for axis in AXES)

    def point(self, number: int) -> Point:
        """The point of a number from 0; those that share work have numbers next to one another."""
        chosen, rest = {}, number
        for axis in reversed(AXES):
            values = self.values(axis)
            rest, place = divmod(rest, len(values))
            chosen[axis] = values[place]
        return Point(number, **chosen)

    @property
    def together(self) -> int:
        """How many points in a row share their work."""
        return math.prod(len(self.values(axis)) for axis in FAST)

    def specs(self) -> Iterator[ModelSpec]:
        """The models asked about, as they come."""
        for model in self.values("model"):
            yield spec_of(model, self.base)


def settled(grid: Grid) -> Grid:
    """The grid with what its files say in place of their names, so that it means the same on any machine.

    Raises InputError for a profile that cannot be read.
    """
    models = grid.model and tuple(
        spec if spec.name != name else name for name, spec in zip(grid.model, grid.specs(), strict=True)
    )
    profiles = grid.profile and tuple(
        read_measured(each) if isinstance(each, str) and each not in (SHIPPED, DATA_SHEET) else each
        for each in grid.profile
    )
    return grid.model_copy(update={"model": models, "profile": profiles})


def spec_of(model: str | ModelSpec | None, base: Problem | None) -> ModelSpec:
    """The model of a point before it is changed. Raises InputError naming the field."""
    if model is None:
        assert base is not None, "a grid has models or a base"
        return base.model
    try:
        return find_spec(model)
    except SpecError as error:
        raise InputError(f"model: {error}") from None


def spec_at(point: Point, base: Problem | None) -> ModelSpec:
    """The model of a point, at its size and with its steps."""
    spec = spec_of(point.model, base)
    if point.resolution is not None:
        spec = sized(point.resolution, spec)
    return spec if point.steps is None else stepped(spec, point.steps)


def blocks_at(point: Point, spec: ModelSpec, base: Problem | None) -> int:
    """How long the clip of a point is."""
    if point.frames is not None:
        return blocks_for(point.frames, spec)
    return point.blocks or (7 if base is None else base.workload.blocks)


def _require_known(grid: Grid) -> None:
    """Raises ValueError naming the field for a name that nothing is known under, or that fits none of the models."""
    try:
        specs = list(grid.specs())
        for device in grid.values("device"):
            if isinstance(device, str):
                Cluster.of(device)
    except InputError as error:
        raise ValueError(str(error)) from None
    for device in grid.values("device"):
        if isinstance(device, Device) and device.kind not in DEVICES and grid.link is None:
            raise ValueError(
                f"link: name one, such as {next(iter(LINKS))}; nothing is known of what joins devices of the kind "
                f"{device.kind!r}, which is given in full"
            )
    for field in ("link", "network"):
        _require_links(field, grid.values(field))
    _require_sizes(grid.values("resolution"), specs)
    for text in filter(None, grid.values("pattern")):
        _require_pattern(text, specs)
    for text in filter(None, grid.values("placement")):
        try:
            Placement.parse(text)
        except InputError as error:
            raise ValueError(str(error)) from None
    for text in filter(None, grid.values("parallel")):
        if not _PARALLEL.fullmatch(text):
            raise ValueError(f"parallel: {text!r} is not 'none', 'ulysses:DEGREE' or 'tensor:DEGREE'")


def _require_links(field: str, links: tuple[Any, ...]) -> None:
    for link in links:
        if isinstance(link, str) and link not in LINKS:
            raise ValueError(f"{field}: {link!r} is not known. Known: {', '.join(LINKS)}")


def _require_sizes(sizes: tuple[str | None, ...], specs: list[ModelSpec]) -> None:
    for size in filter(None, sizes):
        faults = [fault for spec in specs if (fault := size_fault(size, spec))]
        if faults:
            raise ValueError(f"resolution: {faults[0]}")


def _require_pattern(text: str, specs: list[ModelSpec]) -> None:
    """An offset that is more than one model's passes is a verdict; no pattern at all is an error."""
    if text in FAMILIES:
        return
    try:
        Pattern.parse(text, changed(specs[0], timesteps=tuple(range(1000, 0, -1)), first_block_steps=None))
    except InputError:
        raise ValueError(f"pattern: {text!r} is none of {FORMS}, or {', '.join(FAMILIES)} for any offset") from None
