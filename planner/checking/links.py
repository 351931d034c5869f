"""R8 and R14 between ranks: sends have their receives, in order, and nobody else is on their way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from planner.action import LEAVING, TRANSFERS, Kind, TimedAction
from planner.checking.clip import Clip

Program = Sequence[TimedAction]
Way = tuple[int, int]  # from rank, to rank
OTHER_END = {Kind.SEND: Kind.RECV, Kind.STREAM: Kind.TAP}
# What each rank of a group has its own share of.
SPLIT = ("kv", "context")


def links(programs: Sequence[Program], clip: Clip) -> Iterator[str]:
    """Every rule of transfers that the ranks break together."""
    ends: dict[Way, tuple[list[TimedAction], list[TimedAction]]] = defaultdict(lambda: ([], []))
    for rank, rows in enumerate(programs):
        for row in rows:
            action = row.action
            if action.kind in TRANSFERS and action.peer is not None:
                leaves = action.kind in LEAVING
                ends[(rank, action.peer) if leaves else (action.peer, rank)][not leaves].append(row)
    for way, (sends, receives) in sorted(ends.items()):
        yield from _pairs(way, sends, receives)
        yield from _in_order(way, sends)
        yield from _shares(way, sends, clip)
    yield from _lanes({way: sends for way, (sends, _) in sorted(ends.items())}, clip)


def _pairs(way: Way, sends: list[TimedAction], receives: list[TimedAction]) -> Iterator[str]:
    """Broken rules of one way: sends and receives that lack each other, are crossed or differ."""
    source, target = way
    sent = Counter(row.action.payload for row in sends)
    received = Counter(row.action.payload for row in receives)
    for payload in sent - received:
        kind = next(row.action.kind for row in sends if row.action.payload == payload)
        yield f"R8 r{source} {kind} {payload} to r{target}: no matching {OTHER_END[kind]} on r{target}"
    for payload in received - sent:
        kind = next(row.action.kind for row in receives if row.action.payload == payload)
        other = Kind.SEND if kind is Kind.RECV else Kind.STREAM
        yield f"R8 r{target} {kind} {payload} from r{source}: no matching {other} on r{source}"
    both = sent & received
    ours = (row for row in sends if row.action.payload in both)
    theirs = (row for row in receives if row.action.payload in both)
    for send, receive in zip(ours, theirs, strict=False):
        yield from _pair(way, send, receive)


def _pair(way: Way, send: TimedAction, receive: TimedAction) -> Iterator[str]:
    source, target = way
    if send.action.payload != receive.action.payload:
        yield f"R8 r{source} {send.action}: crossed, in its place r{target} has '{receive.action}'"
        return
    if OTHER_END[send.action.kind] is not receive.action.kind:
        yield f"R14 r{source} {send.action}: its other end on r{target} is a {receive.action.kind}"
    if send[1:] != receive[1:]:
        at, there = f"{send.start_us}..{send.end_us} us", f"{receive.start_us}..{receive.end_us} us"
        yield f"R8 r{source} {send.action}: is at {at}, its {receive.action.kind} on r{target} at {there}"


def _in_order(way: Way, sends: list[TimedAction]) -> Iterator[str]:
    """A way carries one after the other, as they were posted."""
    taken = 0
    for action, start, end in sends:
        if start < taken:
            yield f"R8 r{way[0]} {action}: starts at {start} us, but the link is taken until {taken} us"
        taken = max(taken, end)


def _shares(way: Way, sends: list[TimedAction], clip: Clip) -> Iterator[str]:
    """K/V that is split over a group's ranks, or a ring's, is of use only to the rank that has the same share."""
    if clip.placement.degree == 1 and clip.way != "slices":
        return
    places = [clip.mates(rank).index(rank) if clip.way != "slices" else rank for rank in way]
    for row in sends:
        if row.action.carries in SPLIT and places[0] != places[1]:
            yield f"R8 r{way[0]} {row.action}: is another share of it than r{way[1]} works on"


def _lanes(sent: dict[Way, list[TimedAction]], clip: Clip) -> Iterator[str]:
    """What different ways share, each transfer has to itself."""
    users: dict[int, list[tuple[int, int, Way, TimedAction]]] = defaultdict(list)
    for way, rows in sent.items():
        for lane in clip.costs.wire(*way).lanes:
            users[lane] += [(row.start_us, row.end_us, way, row) for row in rows]
    seen: set[tuple[Way, TimedAction]] = set()
    for lane in sorted(users):
        taken, holder = 0, None
        for start, end, way, row in sorted(users[lane], key=lambda user: user[:3]):
            # Of one way that has been said, and of two lanes that both share it once is enough.
            if holder is not None and start < taken and holder[0] != way and (way, row) not in seen:
                seen.add((way, row))
                other = f"r{holder[0][0]} {holder[1].action}"
                yield f"R8 r{way[0]} {row.action}: starts at {start} us, but '{other}' has its lane until {taken} us"
            if end >= taken:
                taken, holder = end, (way, row)
