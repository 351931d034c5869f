"""How the values of a grid's axes are written: numbers as `1..8`, `1-8` or `1,2,4`, sizes as `832x480`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from models.spec import ModelSpec

MOST = 1_000_000  # values of one axis, and points of a grid
_RANGE = re.compile(r"(\d{1,9})(?:\.\.|-)(\d{1,9})")
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def listed(given: Any) -> Any:
    """One value as a list of it, and text with commas as the list that it is; anything else as it is."""
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return [part for item in given for part in (listed(item) if isinstance(item, str) else [item])]
    return given if given is None else [given]


def numbers(given: Any) -> Any:
    """As `listed`, with ranges written out. Raises ValueError for one that falls or is too long."""
    found = listed(given)
    return found if found is None else [value for item in found for value in _written_out(item)]


def _written_out(item: Any) -> Iterable[Any]:
    match = _RANGE.fullmatch(item) if isinstance(item, str) else None
    if match is None:
        return [int(item) if isinstance(item, str) and item.isdecimal() else item]
    first, last = int(match[1]), int(match[2])
    if last < first or last - first >= MOST:
        raise ValueError(f"{item!r} is no range of 1 to {MOST:,} numbers; write the smaller one first")
    return range(first, last + 1)


def distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    """The values of an axis. Raises ValueError if there are none, too many, or one twice."""
    if not values:
        raise ValueError("empty; name at least one value, or leave the field out")
    if len(values) > MOST:
        raise ValueError(f"{len(values):,} values, at most {MOST:,}")
    twice = next(_repeated(values), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice")
    return tuple(values)


def _repeated(values: Sequence[Any]) -> Iterator[Any]:
    seen: list[Any] = []
    known: set[Any] = set()
    for value in values:
        try:
            again = value in known
            known.add(value)
        except TypeError:  # a value that cannot be hashed
            again = value in seen
            seen.append(value)
        if again:
            yield value


def size_fault(text: str, spec: ModelSpec) -> str | None:
    """Why a model cannot make pictures of a size such as `832x480`, with the nearest that it can, or None."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return f"{text!r} is no size; write pixels as WIDTHxHEIGHT, e.g. {spec.pixel_width}x{spec.pixel_height}"
    width, height = int(match[1]), int(match[2])
    across, down = spec.vae_stride[2] * spec.patch[2], spec.vae_stride[1] * spec.patch[1]
    if width % across or height % down:
        near = f"{max(1, round(width / across)) * across}x{max(1, round(height / down)) * down}"
        return (
            f"{text} is not a multiple of {across}x{down} (the VAE's stride times the patch of {spec.name}); "
            f"the nearest is {near}"
        )
    return None


def sized(text: str, spec: ModelSpec) -> ModelSpec:
    """The model at another size, in pixels, which `size_fault` has found no fault with."""
    width, height = map(int, text.split("x"))
    return changed(spec, latent_height=height // spec.vae_stride[1], latent_width=width // spec.vae_stride[2])


def stepped(spec: ModelSpec, steps: int) -> ModelSpec:
    """The model with so many denoise steps, spaced evenly; what that does to the picture is not asked here."""
    if steps == spec.steps:
        return spec
    first = None if spec.first_block_steps is None else max(steps, spec.first_block_steps)
    times = tuple(1000 * (steps - step) / steps for step in range(steps))
    return changed(spec, timesteps=times, first_block_steps=first)


def changed(spec: ModelSpec, **changes: Any) -> ModelSpec:
    """The model with some fields changed, checked as a new one is. Raises pydantic.ValidationError."""
    return ModelSpec.model_validate(spec.model_dump() | changes)


def blocks_for(frames: int, spec: ModelSpec) -> int:
    """The fewest blocks that give so many pixel frames."""
    rest = frames - spec.pixel_frames(0)
    return 1 + max(0, -(-rest // spec.pixel_frames(1)))
