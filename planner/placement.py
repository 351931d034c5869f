"""Which ranks work as one unit, and which units may run what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple, Self

from pydantic import PositiveInt, model_validator

from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.errors import InputError
from planner.patterns import Pattern, require_offset
from planner.value import Value

PassPlacement = Literal["free", "block", "step", "batched", "ring"]
Method = Literal["ulysses", "tensor"]

_FORM = re.compile(
    r"(?P<passes>free|block|step|batched|ring)(?P<decoder>\+decoder)?(?::(?P<parts>[1-9]\d?))?"
    r"(?:\*(?P<method>ulysses|tensor):(?P<degree>[1-9]\d{0,3}))?(?:@(?P<ranks>[1-9]\d{0,3}))?"
)


class Placement(Value):
    """Where passes and decodes go; text forms like `free`, `step+decoder`, `block+decoder:3*ulysses:2@7`.

    passes: `free` (any unit), `block` (all passes of a block on one unit), `step` (all blocks' passes of a step on one
    unit), `batched` (the passes of a tick in one balanced batch a unit), `ring` (every unit holds a slice of the
    layers). decoder: `shared` (decoded on a unit that denoises too) or `apart` (on the last ranks, `parts` of them,
    one part of the decoder each). `degree` ranks run each pass together by `method`. `ranks`: only the fastest so many
    are used.
    """

    passes: PassPlacement = "free"
    decoder: Literal["shared", "apart"] = "shared"
    parts: PositiveInt = 1
    method: Method = "ulysses"
    degree: PositiveInt = 1
    ranks: PositiveInt | None = None

    @model_validator(mode="after")
    def _parts_are_apart(self) -> Self:
        if self.parts > 1 and self.decoder == "shared":
            raise ValueError("parts: a decoder in parts is apart from the passes: add '+decoder'")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """The placement of a text form. Raises InputError with the forms there are."""
        match = _FORM.fullmatch(text)
        if match is None or (match["parts"] and not match["decoder"]):
            raise InputError(
                f"placement: {text!r} is not free, block, step, batched or ring, then optionally '+decoder' or "
                "'+decoder:PARTS', '*ulysses:DEGREE' or '*tensor:DEGREE', '@RANKS'"
            )
        given = {key: match[key] for key in ("parts", "method", "degree", "ranks") if match[key] is not None}
        decoder = "apart" if match["decoder"] else "shared"
        return cls.model_validate({"passes": match["passes"], "decoder": decoder, **given})

    def __str__(self) -> str:
        decoder = "" if self.decoder == "shared" else "+decoder" + (f":{self.parts}" if self.parts > 1 else "")
        group = "" if self.degree == 1 else f"*{self.method}:{self.degree}"
        return self.passes + decoder + group + ("" if self.ranks is None else f"@{self.ranks}")


class Layout(NamedTuple):
    """The ranks of each unit: those that denoise first, then one per part of a decoder apart."""

    units: tuple[tuple[int, ...], ...]
    denoising: int

    @property
    def decoding(self) -> range:
        """The units that only decode."""
        return range(self.denoising, len(self.units))


def layout(placement: Placement, cluster: Cluster) -> Layout:
    """The units a placement makes of a cluster. Raises InputError if it has too few ranks."""
    used = _fastest(cluster, placement.ranks or cluster.size)
    apart = placement.parts if placement.decoder == "apart" else 0
    groups = (len(used) - apart) // placement.degree
    if groups < 1:
        raise InputError(f"placement: {placement} needs at least {apart + placement.degree} ranks, not {len(used)}")
    size = placement.degree
    denoising = [used[at * size : (at + 1) * size] for at in range(groups)]
    return Layout((*denoising, *((rank,) for rank in used[len(used) - apart :])), groups)


def group_fault(spec: ModelSpec, method: Method, degree: int) -> str | None:
    """Why a pass cannot run on a group, or None: what is split has to divide evenly."""
    split = {"attention heads": spec.heads}
    if method == "ulysses":
        split |= {f"tokens in block {block}": spec.tokens_per_frame * spec.block_frames(block) for block in (0, 1)}
    else:
        split |= {"ffn width": spec.ffn_dim}
    for what, count in split.items():
        if count % degree:
            return f"{spec.name} has {count} {what}, not divisible by {degree}"
    return None


def all_placements(
    pattern: Pattern, spec: ModelSpec, cluster: Cluster, *, decode: bool, parts: int, ranks: int | None = None
) -> Iterator[Placement]:
    """Every placement that makes sense for a pattern on the cluster, or on so many of its ranks.

    A decoder apart has at most `parts` parts. Ranks that could never have work are left idle.
    """
    size = ranks or cluster.size
    for passes, degree in product(_ways(pattern, size), range(1, size + 1)):
        methods: tuple[Method, ...] = ("ulysses", "tensor") if degree > 1 else ("ulysses",)
        for method in methods:
            if degree > 1 and (passes == "ring" or group_fault(spec, method, degree)):
                continue
            for apart in range((min(parts, size - degree) if decode else 0) + 1):
                busy = most_busy(pattern, spec, passes) + (decode and not apart and not pattern.is_joint)
                most = min((size - apart) // degree, busy)
                # Where links are slow, fewer devices may do better.
                for units in range(1 if degree == 1 else most, most + 1):
                    used = units * degree + apart
                    if units == 0 or (units == 1 and passes in ("block", "step")):
                        continue
                    yield Placement(
                        passes=passes,
                        decoder="apart" if apart else "shared",
                        parts=max(1, apart),
                        method=method,
                        degree=degree,
                        ranks=None if used == cluster.size else used,
                    )


def _ways(pattern: Pattern, ranks: int) -> tuple[PassPlacement, ...]:
    if pattern.name == "layers":
        return ("ring",)
    if pattern.name != "cascade":
        return ("free",)
    if pattern.is_joint:
        return ("block", "step", "batched") if ranks > 1 else ("batched",)
    return ("free", "block", "step") if pattern.is_live else ("free", "block", "step", "batched")


def most_busy(pattern: Pattern, spec: ModelSpec, passes: PassPlacement) -> int:
    """How many units can run passes at once: pass (b, k) waits for pass (b - 1, k + offset - 1)."""
    if passes == "ring":
        return spec.layers
    return -(-spec.passes // pattern.offset)


def require_fit(placement: Placement, pattern: Pattern, spec: ModelSpec) -> None:
    """Raises InputError if a placement cannot run a pattern, or the model has no such pattern, with the fix."""
    require_offset(pattern, spec)
    if (placement.passes == "ring") != (pattern.name == "layers"):
        raise InputError(f"placement: 'ring' belongs to pattern 'layers', not {placement} to {pattern}")
    if pattern.is_joint and placement.passes == "free":
        raise InputError(f"placement: {pattern} runs in ticks: ask for block, step or batched, not {placement}")
    if placement.passes == "batched" and not pattern.is_joint and (pattern.is_live or pattern.name != "cascade"):
        raise InputError(f"placement: {pattern} has no ticks to batch: ask for free, block or step")
    if placement.passes == "ring" and spec.block_steps(0) != spec.steps:
        raise InputError(f"placement: a ring needs all blocks to take the same steps; {spec.name}'s first takes others")
    if placement.degree > 1:
        fault = group_fault(spec, placement.method, placement.degree)
        if fault or placement.passes == "ring":
            raise InputError(f"placement: {placement}: {fault or 'a ring runs on single devices'}")


def _fastest(cluster: Cluster, count: int) -> tuple[int, ...]:
    """The ranks of the `count` fastest devices, by rank; of equals the first."""
    if not 1 <= count <= cluster.size:
        raise InputError(f"placement: asks for {count} rank(s), the cluster has {cluster.size}")
    order = sorted(range(cluster.size), key=lambda rank: (-cluster.devices[rank].peak_tflops, rank))
    return tuple(sorted(order[:count]))
