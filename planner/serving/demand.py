"""`Demand`: who comes to watch, when, for how long, and how often the prompt changes."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from models.spec import ModelSpec
from planner.errors import InputError
from planner.serving.numbers import generator
from planner.value import Document, Value

LONGEST_S = 10**6
MOST_SESSIONS = 10**5
MOST_BLOCKS = 10**6  # of one session
US = 10**6
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"(?P<number>\d+(?:\.\d+)?)/(?P<unit>s|min|h)")


class Visit(Value):
    """One session of a trace: when it comes and how many seconds of video it watches; None: as the demand says."""

    arrival_s: float = Field(ge=0, le=LONGEST_S)
    seconds: float = Field(gt=0, le=LONGEST_S)
    fps: float | None = Field(default=None, gt=0, le=1000)
    prompts: int | None = Field(default=None, ge=0, le=1000, description="how often the prompt changes")


class Arrivals(Value):
    """`all`: so many at once. `poisson`: so many an hour on average, each by itself. `trace`: `visits`."""

    kind: Literal["all", "poisson", "trace"] = "all"
    sessions: int = Field(default=1, ge=0, le=MOST_SESSIONS, description="how many come in all")
    per_hour: float | None = Field(default=None, gt=0, le=10**7)
    visits: tuple[Visit, ...] = Field(default=(), max_length=MOST_SESSIONS)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.kind == "poisson") != (self.per_hour is not None):
            raise ValueError("per_hour: belongs to poisson arrivals, and they need it")
        if (self.kind == "trace") != bool(self.visits):
            raise ValueError("visits: belong to arrivals of a trace, and it needs at least one")
        if self.kind == "trace" and self.sessions != len(self.visits):
            raise ValueError(f"sessions: the trace has {len(self.visits)}")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """`all:12` or `poisson:30/h`, also `:30/h:500` for how many come. Raises InputError with the forms."""
        head, _, rest = text.partition(":")
        if head == "all" and (not rest or rest.isdecimal()):
            return cls.from_data({"kind": "all", "sessions": int(rest or 1)}, "arrivals")
        rate, _, count = rest.partition(":")
        match = _RATE.fullmatch(rate)
        if head == "poisson" and match and (not count or count.isdecimal()):
            per_hour = float(match["number"]) * 3600 / _SECONDS[match["unit"]]
            given = {"kind": "poisson", "per_hour": per_hour, "sessions": int(count or 200)}
            return cls.from_data(given, "arrivals")
        raise InputError(f"arrivals: {text!r} is not 'all:12', 'poisson:30/h' (or /min, /s), or a file's name")


class Lengths(Value):
    """Seconds of video that a session watches: `fixed`; `exponential` of that mean; `log-normal` of that mean and a
    logarithm's standard deviation of `sigma`. A session of a trace has its own.
    """

    kind: Literal["fixed", "exponential", "log-normal"] = "fixed"
    seconds: float = Field(default=300.0, gt=0, le=LONGEST_S)
    sigma: float = Field(default=0.0, ge=0, le=3)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`300`, `exp:300` or `lognormal:300:0.8`. Raises InputError with the forms."""
        parts = text.split(":")
        try:
            numbers = [float(part) for part in parts[1:]] if parts[0] in ("exp", "lognormal") else [float(text)]
        except ValueError:
            numbers = []
        if parts[0] == "exp" and len(numbers) == 1:
            return cls.from_data({"kind": "exponential", "seconds": numbers[0]}, "length")
        if parts[0] == "lognormal" and len(numbers) == 2:
            return cls.from_data({"kind": "log-normal", "seconds": numbers[0], "sigma": numbers[1]}, "length")
        if len(parts) == 1 and numbers:
            return cls.from_data({"seconds": numbers[0]}, "length")
        raise InputError(f"length: {text!r} is not '300' (seconds), 'exp:300' or 'lognormal:300:0.8' (mean, sigma)")


class Prompts(Value):
    """How often a session's prompt changes, at moments spread evenly at random: so many times, or at a rate."""

    count: int = Field(default=0, ge=0, le=1000)
    per_minute: float = Field(default=0.0, ge=0, le=600)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.count and self.per_minute:
            raise ValueError("give count or per_minute, not both")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """`3` in each session, or `2/min`. Raises InputError with the forms."""
        match = _RATE.fullmatch(text)
        if match:
            return cls.from_data({"per_minute": float(match["number"]) * 60 / _SECONDS[match["unit"]]}, "prompts")
        if text.isdecimal():
            return cls.from_data({"count": int(text)}, "prompts")
        raise InputError(f"prompts: {text!r} is not a count such as '3' or a rate such as '2/min'")


class Demand(Document):
    """All that is asked of a cluster. `fps`: what each viewer plays at; None, the model's frame rate.

    `recache`: sequential patterns make the context's K/V anew at a prompt change. Of Poisson arrivals the first
    `warm_up` share finds an emptier cluster than later ones and is left out of the figures.
    """

    schema_name: Literal["blockcascade.demand/1"] = "blockcascade.demand/1"
    arrivals: Arrivals = Arrivals()
    lengths: Lengths = Lengths()
    prompts: Prompts = Prompts()
    fps: float | None = Field(default=None, gt=0, le=1000)
    recache: bool = False
    warm_up: float = Field(default=0.1, ge=0, le=0.9)

    def of_sessions(self, sessions: int) -> Self:
        """The same with so many sessions, all at once."""
        return self.model_copy(update={"arrivals": Arrivals(sessions=sessions)})

    def rate_of(self, spec: ModelSpec) -> float:
        return self.fps or spec.frame_rate


class Session(NamedTuple):
    """One that comes: microseconds, frames a second, blocks, and when after its start the prompt changes."""

    number: int
    arrival_us: int
    blocks: int
    fps: float
    switches_us: tuple[int, ...]


def sessions_of(demand: Demand, spec: ModelSpec, seed: int) -> tuple[Session, ...]:
    """The sessions that come, by arrival; the same for every policy. Raises InputError for one of too many blocks."""
    arrivals, count = demand.arrivals, demand.arrivals.sessions
    times = _times(arrivals, seed)
    lengths = _lengths(demand, seed)
    made = []
    for number in range(count):
        visit = arrivals.visits[number] if arrivals.visits else None
        fps = (visit.fps if visit else None) or demand.rate_of(spec)
        seconds = visit.seconds if visit else float(lengths[number])
        blocks = _blocks(seconds * fps, spec)
        if blocks > MOST_BLOCKS:
            raise InputError(f"length: {seconds:g} s are {blocks} blocks; at most {MOST_BLOCKS} are played")
        switches = _switches(demand, visit, number, seconds, seed)
        made.append(Session(number, round(times[number] * US), blocks, fps, switches))
    return tuple(sorted(made, key=lambda session: (session.arrival_us, session.number)))


def _blocks(frames: float, spec: ModelSpec) -> int:
    """The fewest blocks that hold so many pixel frames."""
    return 1 + max(0, math.ceil((frames - spec.pixel_frames(0)) / spec.pixel_frames(1) - 1e-9))


def _times(arrivals: Arrivals, seed: int) -> list[float]:
    if arrivals.kind == "trace":
        return [visit.arrival_s for visit in arrivals.visits]
    if arrivals.per_hour is None:
        return [0.0] * arrivals.sessions
    gaps = generator(seed, "arrivals").exponential(3600 / arrivals.per_hour, arrivals.sessions)
    return list(np.cumsum(gaps))


def _lengths(demand: Demand, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    lengths, count = demand.lengths, demand.arrivals.sessions
    numbers = generator(seed, "lengths")
    if lengths.kind == "exponential":
        return numbers.exponential(lengths.seconds, count)
    if lengths.kind == "log-normal":
        return lengths.seconds * np.exp(lengths.sigma * numbers.standard_normal(count) - lengths.sigma**2 / 2)
    return np.full(count, lengths.seconds)


def _switches(demand: Demand, visit: Visit | None, number: int, seconds: float, seed: int) -> tuple[int, ...]:
    given = visit.prompts if visit is not None else None
    if given is None and not (demand.prompts.count or demand.prompts.per_minute):
        return ()
    numbers = generator(seed, f"prompts {number}")
    count = given
    if count is None:
        rate = demand.prompts.per_minute
        count = int(numbers.poisson(rate * seconds / 60)) if rate else demand.prompts.count
    return tuple(sorted(round(at * US) for at in numbers.uniform(0, seconds, count)))
