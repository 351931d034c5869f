"""What became of those who came: a row for each session, and the figures over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import Field

from planner.metrics import US_PER_HOUR
from planner.profile import percentile
from planner.serving.shown import SERVED_COLUMNS, served_notes, served_rows
from planner.value import Document, Value


class Visited(Value):
    """One session; `group` is None if it was turned away, and then only `waited_us` says more.

    `first_frame_us` counts from its arrival, waiting included; `fps` is what the viewer saw: frames over the time from
    the first one played to the last, stops included. `control_us`: of each prompt change, the time to the first block
    finished that shows it; None of one that came after the last block was begun, which nothing shows. `played_us`: when
    the last frame has been played.
    """

    number: int
    arrival_us: int
    group: int | None = None
    waited_us: int = 0
    first_frame_us: int = 0
    blocks: int = 0
    frames: int = 0
    in_time: int = 0
    stalls: int = 0
    stalled_us: int = 0
    fps: float = 0.0
    control_us: tuple[int | None, ...] = ()
    played_us: int = 0

    @property
    def attainment(self) -> float:
        """Share of the blocks that are finished when a viewer who never stopped would need them."""
        return self.in_time / self.blocks


class Percentiles(Value):
    """A figure's p50, p95 and p99 over sessions: so many per cent of them are this good or better."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: Iterable[float], *, least: bool = False) -> Self | None:
        """`least`: more is better. None of no values."""
        ordered = sorted(values, reverse=least)
        if not ordered:
            return None
        p50, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
        return cls(p50=p50, p95=p95, p99=p99)


class Served(Document):
    """What a policy made of a demand. Figures leave out the first sessions of Poisson arrivals (`Demand.warm_up`).

    Times are microseconds. `at_once`: sessions with a place, on average from the first arrival until the last place is
    free, and at most. `busy`: each device's share of that time in compute. Money is what all devices of the groups
    cost in that time, over the video played in it.
    """

    schema_name: Literal["blockcascade.served/1"] = "blockcascade.served/1"
    policy: str
    groups: tuple[int, ...]
    arrived: int
    turned_away: int
    counted: int = Field(description="sessions that the figures are of, turned away or not")
    turned_away_share: float
    waited_us: Percentiles | None
    first_frame_us: Percentiles | None
    attainment: Percentiles | None
    fps: Percentiles | None
    stalled_share: Percentiles | None = Field(description="time stopped over time played")
    control_us: Percentiles | None = Field(description="of the prompt changes that a block shows")
    unshown: int = Field(description="prompt changes that nothing shows: they came after the last block was begun")
    at_once: float
    at_once_most: int
    busy: tuple[float, ...]
    span_us: int
    money: float
    money_per_session_hour: float | None
    money_per_minute: float | None
    sessions: tuple[Visited, ...]

    @property
    def devices(self) -> int:
        return sum(self.groups)

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures over all sessions."""
        from planner.pictures.inline import Table, listing

        rows = Table(SERVED_COLUMNS, served_rows(self))
        return listing(f"Served by policy {self.policy}", rows, notes=list(served_notes(self)))


class Tally(Value):
    """What a run leaves: its sessions, slots' time and place-time by group, and when the last place was free."""

    visited: tuple[Visited, ...]
    slots_us: tuple[int, ...]
    placed_us: tuple[int, ...]
    most: int
    end_us: int


def served(
    policy: str, groups: Sequence[int], busy: Sequence[Sequence[float]], price: float, tally: Tally, skipped: int
) -> Served:
    """The figures of a run. `busy`: of each group, its devices' shares in compute while its slots are taken; `price`:
    of all groups an hour; `skipped`: how many first arrivals are left out.
    """
    rows = tally.visited
    counted = rows[skipped:]
    seen = [row for row in counted if row.group is not None]
    span = max(1, tally.end_us - (rows[0].arrival_us if rows else 0))
    watched = math.fsum(row.frames * 1e6 / row.fps for row in rows if row.group is not None)
    money = price * span / US_PER_HOUR
    changes = [us for row in seen for us in row.control_us]
    away = sum(row.group is None for row in counted)
    return Served(
        policy=policy,
        groups=tuple(groups),
        arrived=len(rows),
        turned_away=sum(row.group is None for row in rows),
        counted=len(counted),
        turned_away_share=away / len(counted) if counted else 0.0,
        waited_us=Percentiles.of(row.waited_us for row in seen),
        first_frame_us=Percentiles.of(row.first_frame_us for row in seen),
        attainment=Percentiles.of((row.attainment for row in seen), least=True),
        fps=Percentiles.of((row.fps for row in seen), least=True),
        stalled_share=Percentiles.of(row.stalled_us * row.fps / (row.frames * 1e6) for row in seen),
        control_us=Percentiles.of(us for us in changes if us is not None),
        unshown=changes.count(None),
        at_once=sum(tally.placed_us) / span,
        at_once_most=tally.most,
        busy=tuple(
            share * slots / span for shares, slots in zip(busy, tally.slots_us, strict=True) for share in shares
        ),
        span_us=span,
        money=money,
        money_per_session_hour=money / (watched / US_PER_HOUR) if watched else None,
        money_per_minute=money / (watched / 60e6) if watched else None,
        sessions=rows,
    )
