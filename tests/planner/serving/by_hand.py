"""Stations and conditions in plain numbers: a block of the toy plays 562.5 ms if it is the first, else 750 ms."""

from __future__ import annotations

from collections.abc import Sequence

from models.catalog import load_spec
from planner.conditions import Conditions, Player
from planner.serving.demand import Session
from planner.serving.hall import play
from planner.serving.outcome import Tally
from planner.serving.policy import Policy
from planner.serving.station import Memory, Station

TOY = load_spec("toy")
FIRST_MS, NEXT_MS = 562.5, 750.0
MS = 1000


def station_of(
    period_ms: int,
    *,
    first_ms: Sequence[int] = (),
    tail_ms: int = 0,
    lead_ms: int = 0,
    recache_ms: int = 0,
    devices: int = 1,
    fit: int = 100,
    joint: bool = False,
) -> Station:
    return Station(
        devices=devices,
        pattern="sequential",
        placement="free",
        period_us=period_ms * MS,
        slots_us=tuple(ms * MS for ms in (*first_ms, period_ms)),
        tail_us=tail_ms * MS,
        lead_us=lead_ms * MS,
        recache_us=recache_ms * MS,
        joint=joint,
        memory=Memory(weights_bytes=10, session_bytes=10, device_bytes=10 + 10 * fit, device="invented"),
        busy=(1.0,) * devices,
        price_per_hour=float(devices),
    )


def session_of(
    number: int, blocks: int, *, at_ms: int = 0, fps: float = 16.0, switches_ms: tuple[int, ...] = ()
) -> Session:
    return Session(number, at_ms * MS, blocks, fps, tuple(ms * MS for ms in switches_ms))


def played(
    stations: Sequence[Station],
    sessions: Sequence[Session],
    *,
    each: int = 1,
    start: int = 1,
    queue: int | None = None,
    recache: bool = False,
    **policy: object,
) -> Tally:
    """Sessions on groups with `each` places, without jitter."""
    sizes = tuple(station.devices for station in stations)
    rules = Policy.from_data({"sizes": sizes, "each": each, **policy}, "test")
    conditions = Conditions(player=Player(start_blocks=start, queue_blocks=queue))
    return play(stations, [each] * len(stations), rules, sessions, TOY, conditions, recache=recache)
