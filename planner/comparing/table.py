"""A comparison as rows of text: what was put in, every figure side by side, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

from planner.measuring.labels import LABELS, SWITCH, UNKNOWN, gigabytes, milliseconds, share, written

if TYPE_CHECKING:
    from planner.compare import Comparison
    from planner.measures import Measures

PART_COLUMNS = ("why", "makespan us", "of ONE", "period us")


def _ratio(one: float | None, other: float | None) -> str:
    if one is None or other is None:
        return UNKNOWN
    if one == other:
        return "1.000"
    return f"{other / one:.3f}" if one else UNKNOWN


def measure_rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    """Label, one, other, ratio: every figure of the clip, then what differs between devices and links."""
    one, other = found.measures
    for label in LABELS:
        values = getattr(one, label.field), getattr(other, label.field)
        yield label.label, written(label, values[0]), written(label, values[1]), _ratio(*values)
    for number, waits in enumerate(zip_longest(one.switches_us, other.switches_us), start=1):
        texts = (UNKNOWN if us is None else milliseconds(us) for us in waits)
        yield f"{SWITCH} {number}", *texts, _ratio(*waits)
    yield from _rank_rows(one, other)
    sums = [sum(link.bytes for link in side.links) for side in (one, other)]
    yield "bytes on all links", *(f"{total:,}" for total in sums), _ratio(*sums)


def _rank_rows(one: Measures, other: Measures) -> Iterator[tuple[str, ...]]:
    ranks = range(max(len(one.ranks), len(other.ranks)))
    for field, name, text in (
        ("utilization", "utilization", share),
        ("bubble", "bubble", share),
        ("peak_bytes", "peak memory", gigabytes),
    ):
        for rank in ranks:
            values = [getattr(side.ranks[rank], field) if rank < len(side.ranks) else None for side in (one, other)]
            texts = (UNKNOWN if value is None else text(value) for value in values)
            yield f"{name} r{rank}", *texts, _ratio(*values)


def part_rows(found: Comparison) -> list[tuple[str, ...]]:
    """Under PART_COLUMNS: what the one took, what each cause adds, what the other took."""
    one, other = found.measures
    gaps, whole = max(1, one.blocks - 1), max(1, one.makespan_us)
    rows: list[tuple[str, ...]] = [
        (part.cause, f"{part.makespan_us:+}", f"{part.makespan_us / whole:+.1%}", f"{part.steady_us / gaps:+.1f}")
        for part in found.parts
    ]
    ends = [
        (name, f"{side.makespan_us}", share(side.makespan_us / whole), f"{side.period_us or 0:.1f}")
        for name, side in zip(found.names, (one, other), strict=True)
    ]
    return [ends[0], *rows, ends[1]]


def work_rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    """Compute time by kind over all ranks, with how many actions."""
    for work in found.work:
        sides = [(work.one_us, work.one_count), (work.other_us, work.other_count)]
        yield work.kind, *(f"{us / 1000:.1f} ms in {count}" for us, count in sides), _ratio(work.one_us, work.other_us)


def path_rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    """What a longest path is made of, and what transfers hold up."""
    for part in found.path:
        times = part.one_us, part.other_us
        yield part.what, *(f"{us / 1000:.1f} ms" for us in times), _ratio(*times)
    if found.exposed_us is None:
        return
    exposed = (f"{us / 1000:.1f} ms" for us in found.exposed_us)
    yield "sooner if transfers took no time", *exposed, _ratio(*found.exposed_us)
