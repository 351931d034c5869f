"""A profile's figures of what is not a pass, fitted to runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from planner.action import Kind
from planner.calibrating.foretold import Model, Seen
from planner.profile import Profile, Timing, whole_us


def decodes(model: Model, seen: Sequence[Seen]) -> Profile:
    """The first decode and the others; a decoder's parts keep their proportions."""
    decodes = [item for item in seen if item.action.kind is Kind.DECODE]
    if not decodes or model.explains(decodes):
        return model.profile
    profile, ratios = model.profile, {}
    for first in (True, False):
        found = [item for item in decodes if (item.action.block == 0) == first]
        if found:
            foretold = sum(model.us(item.action, item.group) for item in found)
            ratios[first] = sum(item.median_us for item in found) / foretold
    first_ratio, ratio = ratios.get(True, ratios.get(False, 1.0)), ratios.get(False, ratios.get(True, 1.0))
    changes: dict[str, object] = {
        "decode_first": profile.decode_first.scaled(first_ratio),
        "decode": profile.decode.scaled(ratio),
        "decode_parts": tuple(part.scaled(ratio) for part in profile.decode_parts),
    }
    for item in decodes:
        if item.action.step is None:
            changes["decode" if item.action.block else "decode_first"] = Timing.of(item.lasted)
    return profile.model_copy(update=changes)


def side_work(model: Model, seen: Sequence[Seen]) -> Profile:
    """Encoding, re-caching and text, each one figure."""
    changes = {}
    for kind, name in ((Kind.ENCODE, "encode_us"), (Kind.RECACHE, "recache_us"), (Kind.TEXT, "text_us")):
        found = [item for item in seen if item.action.kind is kind]
        if found and not model.explains(found):
            times = [us for item in found for us in item.lasted]
            changes[name] = whole_us(statistics.median(times))
    return model.profile.model_copy(update=changes)
