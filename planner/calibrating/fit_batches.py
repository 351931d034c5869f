"""A profile's figures of passes together, in batches and joint ticks, fitted to runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from planner.action import Kind
from planner.calibrating.foretold import Model, Seen
from planner.profile import Profile

LEAST_SHARE, MOST_SHARE = 1e-3, 10.0
MOST_STRETCH = 100.0


def batches(model: Model, seen: Sequence[Seen]) -> Profile:
    """What each further pass of a batch adds. A batch of n tells of the n-th pass once the ones before are known."""
    one_unit = model.flow.layout.denoising == 1
    several = [item for item in seen if len(item.action.passes) > 1 and (item.action.kind is not Kind.TICK or one_unit)]
    if not several or model.explains(several):
        return model.profile
    known = model.profile.batch_share or (1.0,)
    shares: list[float] = []
    for size in range(2, 1 + max(len(item.action.passes) for item in several)):
        last = [
            share for item in several if len(item.action.passes) == size for share in _last_share(model, item, shares)
        ]
        kept = known[min(size - 2, len(known) - 1)]
        shares.append(min(max(statistics.median(last), LEAST_SHARE), MOST_SHARE) if last else kept)
    return model.profile.model_copy(update={"batch_share": (*shares, *known[len(shares) :])})


def _last_share(model: Model, item: Seen, shares: Sequence[float]) -> list[float]:
    """The share of its own time that the last pass of a batch adds, once for each time the batch was seen."""
    times = sorted((math.ceil(model.alone_us(one, item.group)) for one in item.action.passes), reverse=True)
    before = times[0] + sum(time * share for time, share in zip(times[1:-1], shares, strict=True))
    if item.action.kind is Kind.TICK:
        before += model.profile.tick_overhead_us
    ring = model.ring_share(item)
    return [(us / ring - before) / times[-1] for us in item.lasted]


def ticks(model: Model, seen: Sequence[Seen]) -> Profile:
    """What passes in a joint tick of several take beyond what they take apart: a constant, or where they take less or
    a stretch is known, a stretch.
    """
    ticks = [item for item in seen if item.action.kind is Kind.TICK and len(model.passes_of(item.action)) > 1]
    if not ticks or model.flow.layout.denoising == 1 or model.explains(ticks):
        return model.profile
    if model.profile.joint_stretch is None:
        bare = model.changed(tick_overhead_us=0)
        beyond = statistics.median(us - bare.us(item.action, item.group) for item in ticks for us in item.lasted)
        if beyond >= 0:
            return model.profile.model_copy(update={"tick_overhead_us": round(beyond)})
        model = bare
    once, twice = (model.changed(joint_stretch=stretch) for stretch in (1.0, 2.0))
    found = []
    for item in ticks:
        slope = twice.us(item.action, item.group) - once.us(item.action, item.group)
        rest = once.us(item.action, item.group) - slope
        found += [(us - rest) / slope for us in item.lasted]
    stretch = min(max(statistics.median(found), LEAST_SHARE), MOST_STRETCH)
    return model.profile.model_copy(update={"joint_stretch": stretch})
