"""R2, R7 and R13: each action of the clip runs once, on ranks that may run it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from planner.action import Action, Kind, TimedAction, pass_text
from planner.checking.clip import Clip

Program = Sequence[TimedAction]
Run = tuple[int, Action]  # rank and what it runs


def strangers(programs: Sequence[Program], clip: Clip) -> Iterator[str]:
    """What runs without being asked for."""
    for rank, rows in enumerate(programs):
        for row in rows:
            if row.action.is_compute and not clip.has(row.action):
                yield f"R2 r{rank} {row.action}: not an action of this clip"


def misplaced(programs: Sequence[Program], clip: Clip) -> Iterator[str]:
    """What is missing, runs too often or runs where it may not."""
    runs = [(rank, row.action) for rank, rows in enumerate(programs) for row in rows if row.action.is_compute]
    yield from _coverage(runs, clip)
    yield from _shares(runs, clip)
    yield from _units(runs, clip)
    yield from _together(runs, clip)
    yield from _decoding(runs)
    yield from _encoding(runs, clip)


# -- R2: everything once -------------------------------------------------------------------------


def _coverage(runs: Sequence[Run], clip: Clip) -> Iterator[str]:
    """Each action stands once on all ranks of one unit, or once on a unit's first rank."""
    ranks_of: dict[Action, list[int]] = {action: [] for action in sorted(clip.wanted, key=_order)}
    for rank, action in runs:
        if action.kind is not Kind.BATCH:
            ranks_of[action.gang].append(rank)
    for action, ranks in ranks_of.items():
        if action.kind is Kind.TICK:
            yield from _everywhere(action, ranks, clip)
        else:
            yield from _once(str(action), ranks, clip, shared=clip.is_shared(action))


def _order(action: Action) -> tuple[int, int, int]:
    return action.block, list(Kind).index(action.kind), -1 if action.step is None else action.step


def _once(name: str, ranks: Sequence[int], clip: Clip, *, shared: bool = True) -> Iterator[str]:
    if not ranks:
        yield f"R2 {name}: missing, no rank runs it"
        return
    units: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for rank in ranks:
        units[clip.mates(rank)][rank] += 1
    times = sum(max(counts.values()) for counts in units.values()) if shared else len(ranks)
    if times > 1:
        yield f"R2 {name}: runs {times} times, on {', '.join(f'r{rank}' for rank in ranks)}"
    for unit, counts in units.items():
        lacking = sorted(set(unit) - set(counts))
        if shared and lacking:
            yield f"R13 r{lacking[0]} {name}: missing, though r{min(counts)} of the same unit runs it"


def _everywhere(action: Action, ranks: Sequence[int], clip: Clip) -> Iterator[str]:
    """Each rank that denoises has a share of the tick, be it empty."""
    counts = Counter(ranks)
    denoising = [rank for unit in clip.layout.units[: clip.layout.denoising] for rank in unit]
    for rank in denoising:
        if not counts[rank]:
            yield f"R2 r{rank} {action}: missing, each rank that denoises has its share of it"
    for rank, count in counts.items():
        if count > 1:
            yield f"R2 r{rank} {action}: stands there {count} times"


def _shares(runs: Sequence[Run], clip: Clip) -> Iterator[str]:
    """Together the shares of a tick are its passes, each on one unit."""
    if clip.way not in ("ticks", "batches"):
        return
    ranks_of: dict[tuple[int, int | None], list[int]] = {item: [] for item in clip.passes}
    rows: Counter[tuple[int, int, int | None]] = Counter()
    for rank, action in runs:
        if action.kind in (Kind.TICK, Kind.BATCH):
            rows[rank, action.block, action.step] += action.kind is Kind.BATCH
            for item in action.batch:
                ranks_of[item].append(rank)
    for item, ranks in ranks_of.items():
        yield from _once(f"{pass_text(*item)} of tick {clip.tick(item)}", ranks, clip)
    for (rank, tick, share), count in rows.items():
        if count > 1:
            yield f"R2 r{rank} batch {tick}.{share}: stands there {count} times"


# -- R13: on units that may ----------------------------------------------------------------------


def _units(runs: Sequence[Run], clip: Clip) -> Iterator[str]:
    decoding = clip.layout.decoding
    for rank, action in runs:
        unit = clip.unit_of.get(rank)
        if unit is None:
            yield f"R13 r{rank} {action}: placement {clip.placement} leaves this rank out"
        elif clip.is_shared(action) and unit in decoding:
            yield f"R13 r{rank} {action}: placement {clip.placement} has this rank decode only"
        elif not clip.is_shared(action) and rank != clip.layout.units[unit][0]:
            yield f"R13 r{rank} {action}: r{clip.layout.units[unit][0]}, the first of its unit, does such work"
        elif unit not in _allowed(action, clip):
            allowed = ", ".join(f"r{clip.layout.units[u][0]}" for u in _allowed(action, clip))
            yield f"R13 r{rank} {action}: placement {clip.placement} has it on {allowed}"


def _allowed(action: Action, clip: Clip) -> Sequence[int]:
    """Units that may run an action."""
    if action.kind in (Kind.SLICE, Kind.BATCH):
        return (action.step or 0,)
    if action.kind in (Kind.DECODE, Kind.ENCODE) and clip.placement.decoder == "apart":
        return (clip.layout.denoising + (clip.parts - 1 if action.kind is Kind.ENCODE else action.step or 0),)
    return range(clip.layout.denoising)


def _together(runs: Sequence[Run], clip: Clip) -> Iterator[str]:
    """By block, all passes of a block are on one unit; by step, all blocks' passes of a step."""
    if clip.placement.passes not in ("block", "step"):
        return
    by_block = clip.placement.passes == "block"
    homes: dict[int, int] = {}
    for rank, action in runs:
        for item in action.passes:
            key, unit = item[0] if by_block else clip.stage(item), clip.unit_of.get(rank, -1)
            home = homes.setdefault(key, unit)
            if unit != home:
                what = f"passes of b{key}" if by_block else f"passes {key} of each block"
                first = f"r{clip.layout.units[home][0]}" if home >= 0 else "a rank left out"
                yield f"R13 r{rank} {action}: placement {clip.placement} has all {what} together, on {first}"


# -- R7: the decoder's state never travels -------------------------------------------------------


def _decoding(runs: Sequence[Run]) -> Iterator[str]:
    done: dict[tuple[int | None, int], tuple[int, int]] = {}
    for place, (rank, action) in enumerate(runs):
        if action.kind is Kind.DECODE:
            done[action.step, action.block] = rank, place
    for (part, block), (rank, place) in sorted(done.items(), key=lambda item: (item[0][1], item[0][0] or 0)):
        earlier = Action(Kind.DECODE, block - 1, part)
        before, before_place = done.get((part, block - 1), (rank, -1))
        action = Action(Kind.DECODE, block, part)
        if before != rank:
            yield f"R7 r{rank} {action}: {earlier} is on r{before}, where the decoder's state stays"
        elif before_place > place:
            yield f"R7 r{rank} {action}: comes before {earlier}"


def _encoding(runs: Sequence[Run], clip: Clip) -> Iterator[str]:
    """A block is encoded where it was decoded last, and block after block."""
    last = clip.parts - 1 if clip.parts > 1 else None
    decoded = {action.block: rank for rank, action in runs if action.kind is Kind.DECODE and action.step == last}
    for rank, action in runs:
        if action.kind is Kind.ENCODE and decoded.get(action.block, rank) != rank:
            there = Action(Kind.DECODE, action.block, last)
            yield f"R7 r{rank} {action}: {there} is on r{decoded[action.block]}, where the pixels are"
    encoded = [(rank, action) for rank, action in runs if action.kind is Kind.ENCODE]
    for (_, before), (rank, action) in pairwise(encoded):
        if before.block > action.block:
            yield f"R7 r{rank} {before}: comes before {action}"
