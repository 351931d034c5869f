"""From one run of a plan to another of the same: the difference split by what was otherwise, to the microsecond.

The one run is replayed again and again, each time with one more of the other's figures in place of its own, until it
is the other. What comes in later is counted only where what came before left it on the critical path; a part may be
negative. `rest`: what the two replays do not give back of their runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.action import COMPUTE, Kind
from planner.calibrating.replay import Assumed
from planner.replaying.followed import Followed
from planner.rows import Rows, lengths_us
from planner.value import Value


class Part(Value):
    """What one cause adds: to the makespan, and to the time from the first finished block to the last."""

    cause: str
    makespan_us: int
    steady_us: int


def split(one: Followed, other: Followed, measured: tuple[Rows, Rows], last_step: int) -> tuple[Part, ...]:
    """The parts, which sum to the whole difference of the two measured runs."""
    steps = list(_steps(one, other))
    figures = [lengths_us(measured[0], last_step), lengths_us(one.played(one.assumed).rows, last_step)]
    figures += [lengths_us(one.played(assumed).rows, last_step) for _, assumed in steps]
    parts = [
        Part(cause=cause, makespan_us=after[0] - before[0], steady_us=after[1] - before[1])
        for (cause, _), before, after in zip(steps, figures[1:-1], figures[2:], strict=True)
    ]
    whole = [b - a for a, b in zip(figures[0], lengths_us(measured[1], last_step), strict=True)]
    told = [sum(part.makespan_us for part in parts), sum(part.steady_us for part in parts)]
    return (*parts, Part(cause="rest", makespan_us=whole[0] - told[0], steady_us=whole[1] - told[1]))


def _steps(one: Followed, other: Followed) -> Iterator[tuple[str, Assumed]]:
    """What each replay assumes, one more of the other's figures each time; the last is the other run."""
    lines, now, then = one.script, one.assumed, other.assumed
    kinds = {place: lines.action(place).kind for place in now.lasts}
    for kind in (kind for kind in Kind if kind in COMPUTE and kind in kinds.values()):
        lasts = {place: (then if kinds[place] is kind else now).lasts[place] for place in now.lasts}
        now = now._replace(lasts=lasts)
        yield str(kind), now
    now = now._replace(wires=then.wires, after=then.after)
    yield "transfers", now
    now = now._replace(posts=then.posts)
    yield "posting", now
    now = now._replace(delays=now.delays._replace(moves=then.delays.moves))
    yield "waiting for data", now
    yield "launch gaps", then
