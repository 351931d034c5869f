"""A timeline as bars in lanes and arrows between them: what every way of drawing one starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from planner.action import LEAVING, Action, Kind, Payload, TimedAction
from planner.pictures.critical import Place, critical_chain


class Bar(NamedTuple):
    """What a rank computes, from when to when. `critical`: its place in the chain that sets the length, or -1."""

    rank: int
    start_us: int
    end_us: int
    action: Action
    critical: int = -1


class Arrow(NamedTuple):
    """A transfer from rank to rank, sent whole or layer by layer; `critical` as for a bar."""

    source: int
    target: int
    start_us: int
    end_us: int
    payload: Payload
    streams: bool
    critical: int = -1


class Scene(NamedTuple):
    """One timeline. Bars are in order of rank and time, arrows of time."""

    title: str
    ranks: int
    end_us: int
    bars: tuple[Bar, ...]
    arrows: tuple[Arrow, ...]

    @property
    def chain(self) -> tuple[Bar | Arrow, ...]:
        """What the length hangs on, first to last."""
        items: list[Bar | Arrow] = [*self.bars, *self.arrows]
        return tuple(sorted((item for item in items if item.critical >= 0), key=lambda item: item.critical))


def scene(title: str, ranks: Sequence[Sequence[TimedAction]], *, chain: Sequence[Place] | None = None) -> Scene:
    """The scene of a plan's or a trace's rows; frees are not shown. `chain`: the places of what the length hangs on,
    first to last; if left out, what the rows tell of it.
    """
    found = critical_chain(ranks) if chain is None else chain
    places = {place: number for number, place in enumerate(found)}
    bars, arrows = [], []
    for rank, rows in enumerate(ranks):
        for index, (action, start, end) in enumerate(rows):
            number = places.get((rank, index), -1)
            if action.is_compute:
                bars.append(Bar(rank, start, end, action, number))
            elif action.kind in LEAVING and action.peer is not None:
                streams = action.kind is Kind.STREAM
                arrows.append(Arrow(rank, action.peer, start, end, action.payload, streams, number))
    bars.sort(key=lambda bar: (bar.rank, bar.start_us, bar.end_us))
    arrows.sort(key=lambda arrow: (arrow.start_us, arrow.source, arrow.target, str(arrow.payload)))
    end_us = max((row.end_us for rows in ranks for row in rows), default=0)
    return Scene(title, len(ranks), end_us, tuple(bars), tuple(arrows))
