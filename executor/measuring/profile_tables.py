"""From times of single points to what a profile says: tables by context, what a batch's passes add, what a tick costs.

The figures are those with which the cost model (`planner.passes`) foretells what was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from executor.errors import RankError
from executor.measuring.rounds import Found
from models.spec import ModelSpec
from planner.decoder import Decoder
from planner.passes import at
from planner.problem import Problem
from planner.profile import Timing, whole_us

LEAST_SHARE, MOST_SHARE = 1e-3, 10.0  # of its time alone that a further pass of a batch adds, as a profile can say it
MOST_STRETCH = 100.0

Times = Mapping[str, Sequence[float]]


def merged(parts: Sequence[Found]) -> Found:
    """What several ranks measured; a point that one of them lacks is missing."""
    missing = {name: why for part in parts for name, why in part.missing.items()}
    names = dict.fromkeys(name for part in parts for name in part.times if name not in missing)
    return Found({name: [us for part in parts for us in part.times[name]] for name in names}, missing)


def tables(problem: Problem, found: Found) -> dict[str, Any]:
    """A profile's fields, what is missing among them; a data sheet's figure stands in for a decode that is missing.

    Raises RankError if not even one pass could be measured.
    """
    spec, times = problem.model, found.times
    missing = [f"{name}: {why}" for name, why in found.missing.items()]
    denoise, clean = _by_context(times, "denoise"), _by_context(times, "clean")
    if not denoise:
        raise RankError(f"nothing could be measured: {'; '.join(missing) or 'there was nothing to do'}")
    if spec.clean_pass and not clean:
        missing.append("clean: none was measured; denoise passes, which do the same work, stand in")
        clean = denoise
    fields: dict[str, Any] = {"denoise": denoise, "clean": clean, **_together(spec, times, denoise)}
    for block, name in enumerate(("decode_first", "decode")):
        if name not in times:
            missing.append(f"{name}: the data sheet's figure stands in")
        fields[name] = Timing.of(times[name]) if name in times else _reckoned_decode(problem, block)
    sides = {f"{name}_us": whole_us(statistics.median(times[name])) for name in _SIDES if name in times}
    return {**fields, **sides, "missing": tuple(missing)}


_SIDES = ("encode", "recache", "text")


def _by_context(times: Times, kind: str) -> tuple[Timing, ...]:
    found = {int(name.removeprefix(f"{kind} ")): t for name, t in times.items() if name.startswith(f"{kind} ")}
    return tuple(Timing.of(found[context], context) for context in sorted(found))


def _reckoned_decode(problem: Problem, block: int) -> Timing:
    bare = problem.model_copy(update={"profile": None})
    us = Decoder.of(bare, 1).part_us(block, 0, problem.cluster.devices[0])
    return Timing.of([us])


# -- passes together ---------------------------------------------------------------------------------------------


def _together(spec: ModelSpec, times: Times, denoise: Sequence[Timing]) -> dict[str, Any]:
    """What the further passes of a batch add; then what a tick takes beyond its passes, or if less, their stretch."""
    table, full = tuple(denoise), spec.window_blocks - 1
    shares = _batch_share(times, at(table, full))
    fields: dict[str, Any] = {"batch_share": shares}
    ticks = _by_size(times, "tick")
    if ticks:
        beyond = [us - _batch_us([at(table, full + newer) for newer in range(size)], shares) for size, us in ticks]
        overhead = statistics.median(beyond)
        if overhead >= 0:
            return fields | {"tick_overhead_us": round(overhead)}
        stretches = [us / _batch_us([at(table, full)] * size, shares) for size, us in ticks]
        fields["joint_stretch"] = min(statistics.median(stretches), MOST_STRETCH)
    return fields


def _batch_share(times: Times, alone_us: float) -> tuple[float, ...]:
    """As a profile has it, up to the first batch that was not measured."""
    shares: list[float] = []
    before = float(math.ceil(alone_us))
    for place, (size, us) in enumerate(_by_size(times, "batch")):
        if size != place + 2:
            break
        share = (us - before) / alone_us
        shares.append(min(max(share, LEAST_SHARE), MOST_SHARE))
        before += shares[-1] * alone_us
    return tuple(shares)


def _batch_us(alone: Sequence[float], shares: Sequence[float]) -> float:
    """What the cost model makes of passes that take so long alone, run as one batch."""
    first, *further = sorted((math.ceil(us) for us in alone), reverse=True)
    known = shares or (1.0,)
    return first + sum(us * known[min(place, len(known) - 1)] for place, us in enumerate(further))


def _by_size(times: Times, kind: str) -> list[tuple[int, float]]:
    """(passes, median time) of what was measured of several passes at once."""
    found = {int(name.removeprefix(f"{kind} ")): t for name, t in times.items() if name.startswith(f"{kind} ")}
    return [(size, statistics.median(found[size])) for size in sorted(found)]
