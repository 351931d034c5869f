"""What a plan is judged by: one objective, and limits on the other figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import NamedTuple

from pydantic import Field

from planner.metrics import Metrics
from planner.plan import Objective
from planner.value import Value

OBJECTIVES: tuple[Objective, ...] = ("makespan", "period", "first-frame", "control", "devices", "money")

_FIELDS: dict[Objective, str] = {
    "makespan": "makespan_us",
    "period": "period_us",
    "first-frame": "first_frame_us",
    "control": "control_us",
    "devices": "devices",
    "money": "money",
}


class Limits(Value):
    """What a plan must keep to; None is no limit. `fps` is the least allowed (steady), all others the most."""

    fps: float | None = Field(default=None, gt=0)
    first_frame_us: float | None = Field(default=None, gt=0)
    control_us: float | None = Field(default=None, gt=0)
    makespan_us: float | None = Field(default=None, gt=0)
    devices: int | None = Field(default=None, ge=1)
    money_per_minute: float | None = Field(default=None, gt=0)

    def asked(self) -> list[Limit]:
        """The limits that are set."""
        found = [
            Limit("fps", "steady_fps", self.fps, least=True),
            Limit("first frame", "first_frame_us", self.first_frame_us),
            Limit("control-to-output", "control_us", self.control_us),
            Limit("makespan", "makespan_us", self.makespan_us),
            Limit("devices", "devices", self.devices),
            Limit("money per minute", "money_per_minute", self.money_per_minute),
        ]
        return [limit for limit in found if limit.given is not None]


class Limit(NamedTuple):
    """One limit on one figure."""

    name: str
    field: str
    given: float | None
    least: bool = False

    def kept_by(self, figures: Metrics) -> bool:
        assert self.given is not None
        value = getattr(figures, self.field)
        return bool(value >= self.given if self.least else value <= self.given)

    def text(self, value: float | None = None) -> str:
        """The limit, or with a value what the figure is instead, in the user's units."""
        shown = self.given if value is None else value
        assert shown is not None
        if self.field.endswith("_us"):
            whole = math.ceil(shown)
            number = f"{whole / 1e6:.6f} s" if whole >= 10**6 else f"{whole / 1e3:.3f} ms"
        else:
            # Rounded outwards, so that the nearest value can be asked for.
            outwards = Context(prec=5, rounding=ROUND_FLOOR if self.least else ROUND_CEILING)
            number = f"{outwards.create_decimal(Decimal(shown)).normalize():f}"
        sign = ">=" if self.least else "<="
        return f"{self.name} {sign} {number}" if value is None else f"{self.name} {number}"


def score(figures: Metrics, objective: Objective) -> float:
    """The objective's figure: smaller is better."""
    return (
        float(getattr(figures, _FIELDS[objective]))
        if objective in ("period", "money")
        else getattr(figures, _FIELDS[objective])
    )


def nearest(limit: Limit, tried: Sequence[Metrics]) -> float | None:
    """The best value of a limit's figure among what was tried."""
    values = [getattr(figures, limit.field) for figures in tried]
    return None if not values else (max(values) if limit.least else min(values))


def best_places(limits: Sequence[Limit], tried: dict[int, Metrics]) -> list[int]:
    """For each limit, who comes nearest to it among those that keep the others, or among all if nobody does."""
    chosen = []
    for limit in limits:
        others = [other for other in limits if other is not limit]
        kept = [place for place, figures in tried.items() if all(other.kept_by(figures) for other in others)]
        sign = -1 if limit.least else 1
        chosen.append(min(kept or tried, key=lambda place: (sign * getattr(tried[place], limit.field), place)))
    return list(dict.fromkeys(chosen))


def blame(limits: Sequence[Limit], tried: Sequence[Metrics]) -> str:
    """Why no plan keeps all limits: those that bind, each with the nearest value to be had beside the others."""
    told = []
    for limit in limits:
        others = [other for other in limits if other is not limit]
        kept = [figures for figures in tried if all(other.kept_by(figures) for other in others)]
        best = nearest(limit, kept)
        if best is not None:
            told.append(f"{limit.text()} cannot be kept: the nearest is {limit.text(best)}")
    if told:
        return "; or else ".join(told)
    alone = [
        f"{limit.text()} (nearest alone: {limit.text(best)})" for limit in limits if (best := nearest(limit, tried))
    ]
    return f"no two of these limits fit together: {', '.join(alone)}"
