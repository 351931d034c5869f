"""A profile's figures of single passes, alone or on a group, fitted to runs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from planner.calibrating.foretold import Model, Seen
from planner.passes import at
from planner.profile import Parallel, Profile, Timing, points

LEAST_SHARE = 1e-3
MOST_OF_ALONE = 2.0  # the largest share of its time alone that a profile can say a group takes


def tables(model: Model, seen: Sequence[Seen]) -> Profile:
    """Passes by how many blocks they read.

    A block's first pass, and those of a first block of another size, count only where no other was seen.
    """
    firsts: dict[tuple[bool, int], list[float]] = defaultdict(list)
    others: dict[tuple[bool, int], list[float]] = defaultdict(list)
    for item, (block, step) in model.singles(seen):
        if len(item.group) == 1 and not model.explains([item]):
            stage = model.flow.stage((block, step))
            key = step is None, model.flow.blocks_read(block, stage)
            share, less = model.ring_share(item), 0 if stage else model.profile.block_overhead_us
            (others if stage and _is_usual(model, block) else firsts)[key] += [us / share - less for us in item.lasted]
    found = {key: sorted(times) for key, times in (firsts | others).items()}
    profile = model.profile
    for name, clean in (("denoise", False), ("clean", True)):
        new = {context: times for (is_clean, context), times in found.items() if is_clean == clean}
        profile = profile.model_copy(update={name: _table(getattr(profile, name), new)})
    return profile


def _is_usual(model: Model, block: int) -> bool:
    return model.spec.block_frames(block) == model.spec.frames_per_block


def _table(old: tuple[Timing, ...], new: Mapping[int, Sequence[float]]) -> tuple[Timing, ...]:
    """The table with these contexts measured; the others keep their proportion to them."""
    if not new:
        return old
    ratio = statistics.median(statistics.median(times) / at(old, context) for context, times in new.items())
    merged = {context: timing.scaled(ratio, context) for (context, _), timing in zip(points(old), old, strict=True)}
    merged |= {context: Timing.of(times, context) for context, times in new.items()}
    return tuple(merged[context] for context in sorted(merged))


def overhead(model: Model, seen: Sequence[Seen]) -> Profile:
    """What a block's first pass takes beyond the others."""
    firsts = [
        (item, (block, step))
        for item, (block, step) in model.singles(seen)
        if len(item.group) == 1 and model.flow.stage((block, step)) == 0 and _is_usual(model, block)
    ]
    if not firsts or model.explains(item for item, _ in firsts):
        return model.profile
    without = model.changed(block_overhead_us=0)
    beyond = statistics.median(
        item.median_us / model.ring_share(item) - without.alone_us(first, item.group) for item, first in firsts
    )
    return model.profile.model_copy(update={"block_overhead_us": max(0, round(beyond))})


def parallel(model: Model, seen: Sequence[Seen]) -> Profile:
    """What a pass on a group takes of what it takes alone."""
    grouped = [(item, one) for item, one in model.singles(seen) if len(item.group) > 1]
    if not grouped or model.explains(item for item, _ in grouped):
        return model.profile
    bare, placement = model.changed(block_overhead_us=0), model.flow.placement
    shares = []
    for item, one in grouped:
        alone = max(bare.alone_us(one, (rank,)) for rank in item.group)
        more = model.alone_us(one, item.group) - bare.alone_us(one, item.group)
        shares.append((item.median_us - more) / alone)
    share = max(statistics.median(shares), LEAST_SHARE)
    if share > MOST_OF_ALONE:
        # Mostly communication, of which the cost model's own forecast knows more than a share.
        return model.profile
    fresh = Parallel(method=placement.method, degree=placement.degree, share=share)
    kept = [p for p in model.profile.parallel if (p.method, p.degree) != (fresh.method, fresh.degree)]
    return model.profile.model_copy(update={"parallel": (*kept, fresh)})
