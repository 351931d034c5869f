"""`Change`: what is exchanged in a run before it is played again."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Self

from pydantic import Field, field_validator

from planner.action import COMPUTE, SIDE_WORK, TRANSFERS, Kind
from planner.calibrating.replay import Assumed, Marks
from planner.calibrating.script import Place, Script
from planner.errors import InputError
from planner.replaying.followed import Followed
from planner.value import Value

MOST = 1000.0
_KINDS = tuple(kind.value for kind in Kind if kind in COMPUTE)
NAMES = ("passes", "side", *_KINDS, "transfers", "posting")
_RANK = re.compile(r"r(0|[1-9]\d{0,3})(?::r(0|[1-9]\d{0,3}))?", re.ASCII)


class Scale(Value):
    """What takes `factor` times as long.

    `what`: `passes`, `side` (decode, encode, re-caching, text), one kind such as `decode`, `transfers`, `posting`;
    `r1`, all that rank 1 computes; `r0:r1`, the transfers from rank 0 to rank 1.
    """

    what: str
    factor: float = Field(ge=0, le=MOST)

    @field_validator("what")
    @classmethod
    def _known(cls, what: str) -> str:
        if what not in NAMES and not _RANK.fullmatch(what):
            raise ValueError(f"name one of {', '.join(NAMES)}, a rank like r1 or a link like r0:r1")
        return what

    @classmethod
    def parse(cls, text: str) -> Self:
        """`decode=0.5`. Raises InputError showing the form."""
        what, _, factor = text.partition("=")
        try:
            number = float(factor)
        except ValueError:
            raise InputError(f"scale {text!r}: not like 'decode=0.5', 'r1=2' or 'r0:r1=0.5'") from None
        return cls.from_data({"what": what, "factor": number}, f"scale {text!r}")


class Change(Value):
    """Durations times factors, and what is taken away, all at once.

    `jitter` False: every action takes the median of its kind on its rank, a transfer that of what it carries on its
    way. `gaps` False: actions begin as soon as they are ready. `waits` False: so do transfers.
    """

    scales: tuple[Scale, ...] = ()
    jitter: bool = True
    gaps: bool = True
    waits: bool = True

    def __str__(self) -> str:
        parts = [f"{scale.what} x {scale.factor:g}" for scale in self.scales]
        without = ("jitter", "gaps", "waits")
        return ", ".join([*parts, *(f"no {name}" for name in without if not getattr(self, name))]) or "nothing changed"

    @classmethod
    def merged(cls, changes: tuple[Change, ...]) -> Change:
        """All of them in one."""
        return Change(
            scales=tuple(scale for change in changes for scale in change.scales),
            jitter=all(change.jitter for change in changes),
            gaps=all(change.gaps for change in changes),
            waits=all(change.waits for change in changes),
        )


def applied(followed: Followed, change: Change) -> Assumed:
    """What the replay assumes after the change. Raises InputError for a rank or link that the plan has not."""
    lines, found = followed.script, followed.assumed
    if not change.jitter:
        found = _steadied(followed)
    for scale in change.scales:
        found = _scaled(lines, found, scale)
    delays = found.delays
    if not change.gaps:
        delays = Marks(delays.moves, {}, {})
    if not change.waits:
        delays = delays._replace(moves={})
    return found._replace(delays=delays)


def _steadied(followed: Followed) -> Assumed:
    lines, found, typical = followed.script, followed.assumed, followed.typical
    lasts = {place: typical.on_rank.get((lines.key(place), place[0]), us) for place, us in found.lasts.items()}
    by_way: dict[object, list[int]] = defaultdict(list)
    names = [(move.way, move.payload.carries, move.streams) for move in lines.moves]
    for name, us in zip(names, found.wires, strict=True):
        by_way[name].append(us)
    medians = {name: round(statistics.median(times)) for name, times in by_way.items()}
    return found._replace(lasts=lasts, wires=tuple(medians[name] for name in names))


def _scaled(lines: Script, found: Assumed, scale: Scale) -> Assumed:
    what, rank = scale.what, _RANK.fullmatch(scale.what)

    def by(us: int) -> int:
        return round(us * scale.factor)

    if what == "posting":
        known = found.posts
        posts = {
            (r, at): by(known.get((r, at), lines.costs.post_us))
            for r, program in enumerate(lines.programs)
            for at, action in enumerate(program)
            if action.kind in TRANSFERS
        }
        return found._replace(posts=posts)
    if what == "transfers" or (rank and rank[2]):
        way = None if rank is None else (int(rank[1]), int(rank[2]))
        chosen = [way in (None, move.way) for move in lines.moves]
        if way and not any(chosen):
            raise InputError(f"scale {what!r}: the plan sends nothing from r{way[0]} to r{way[1]}; name another link")
        wires = (by(us) if hit else us for us, hit in zip(found.wires, chosen, strict=True))
        return found._replace(wires=tuple(wires))
    chosen_places = _chooser(lines, what)
    return found._replace(lasts={p: by(us) if chosen_places(p) else us for p, us in found.lasts.items()})


def _chooser(lines: Script, what: str) -> Callable[[Place], bool]:
    """Which compute actions a name stands for."""
    rank = _RANK.fullmatch(what)
    if rank:
        number = int(rank[1])
        if number >= len(lines.programs):
            raise InputError(f"scale {what!r}: the plan has ranks r0 to r{len(lines.programs) - 1}; name one of them")
        return lambda place: place[0] == number
    if what == "passes":
        return lambda place: lines.action(place).kind not in SIDE_WORK
    if what == "side":
        return lambda place: lines.action(place).kind in SIDE_WORK
    return lambda place: lines.action(place).kind == what
