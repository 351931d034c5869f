"""What is asked of the serving: `Goal`, and how a run falls short of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from planner.serving.outcome import Served
from planner.value import Value

Binds = Literal["memory", "rate", "first frame", "deadline", "admission", "no plan", "nothing"]


class Goal(Value):
    """95 % of the sessions get `attainment` of their blocks in time, and if it is given the first frame within
    `first_frame_s` of their arrival; at most `turned_away` of them find no place.

    A group is never given more sessions than it can make `fps` frames a second for in the long run.
    """

    attainment: float = Field(default=0.99, gt=0, le=1)
    first_frame_s: float | None = Field(default=None, gt=0)
    turned_away: float = Field(default=0.01, ge=0, le=1)


class Verdict(Value):
    """What breaks first, by name and in a line with the numbers; `one_more`: what one more session would do."""

    binds: Binds
    text: str
    one_more: str = ""


def shortfall(goal: Goal, served: Served) -> Verdict | None:
    """What a run misses of the goal, or None if nothing."""
    if served.turned_away_share > goal.turned_away:
        text = f"{served.turned_away_share:.1%} of the sessions find no place, above {goal.turned_away:.1%}"
        return Verdict(binds="admission", text=f"admission: {text}")
    first, attained = served.first_frame_us, served.attainment
    if goal.first_frame_s is not None and first is not None and first.p95 > goal.first_frame_s * 1e6:
        text = f"first frame: p95 {first.p95 / 1e6:.2f} s after arrival, above {goal.first_frame_s:g} s"
        return Verdict(binds="first frame", text=text)
    if attained is not None and attained.p95 < goal.attainment:
        text = f"deadline: p95 attainment {_percent(attained.p95)}, below {_percent(goal.attainment)}"
        return Verdict(binds="deadline", text=text)
    return None


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def told(served: Served) -> str:
    """A run in a line: p95 over its sessions."""
    if served.attainment is None or served.fps is None:
        return "no session gets a place"
    worst = min(row.attainment for row in served.sessions if row.group is not None)
    return f"p95 attainment {_percent(served.attainment.p95)}, worst {_percent(worst)}, p95 {served.fps.p95:.2f} fps"
