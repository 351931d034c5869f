"""`Held`: the most sessions at once that a fleet holds, found by playing them, and what keeps it from one more."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from models.spec import ModelSpec
from planner.conditions import Conditions, Jitter
from planner.serving.demand import Demand, sessions_of
from planner.serving.fleet import Fleet
from planner.serving.goal import Goal, Verdict, shortfall, told
from planner.serving.hall import play
from planner.serving.outcome import Served, served
from planner.serving.station import Station
from planner.value import Value

DOUBLED = 8  # times at most that a rate of arrivals is doubled to find one that is too many


class Held(Value):
    """A policy and how many sessions it holds as the goal asks: with one more the `verdict` breaks it.

    `stations` are the groups' different ones. `served` is the run with as many sessions as are held, None if
    none is. Money counts the devices of the groups, not those left over.
    """

    policy: str
    groups: tuple[int, ...]
    stations: tuple[Station, ...]
    sessions: int = Field(ge=0)
    verdict: Verdict
    served: Served | None = None
    price_per_hour: float = 0.0

    @property
    def devices(self) -> int:
        return sum(self.groups)

    @property
    def price_per_session_hour(self) -> float | None:
        """What an hour of a session costs with all places taken."""
        return self.price_per_hour / self.sessions if self.sessions else None


def run(
    group: Fleet, spec: ModelSpec, demand: Demand, conditions: Conditions, places: Sequence[int] | None = None
) -> Served:
    """A demand played on a fleet, or on its groups with other numbers of places."""
    coming = sessions_of(demand, spec, conditions.seed)
    open_ = group.places if places is None else places
    tally = play(group.stations, open_, group.policy, coming, spec, conditions, recache=demand.recache)
    skipped = int(demand.warm_up * len(coming)) if demand.arrivals.kind == "poisson" else 0
    sizes = [each.devices for each in group.stations]
    busy = [each.busy for each in group.stations]
    return served(str(group.policy), sizes, busy, group.price_per_hour, tally, skipped)


def most_held(group: Fleet, spec: ModelSpec, demand: Demand, conditions: Conditions, goal: Goal) -> Held:
    """The most sessions at once, by bisection; that many were played and keep the goal, one more does not."""
    runs: dict[int, Served] = {}

    def kept(sessions: int) -> bool:
        if sessions not in runs:
            runs[sessions] = run(group, spec, demand.of_sessions(sessions), conditions)
        return shortfall(goal, runs[sessions]) is None

    total = sum(group.places)
    low, high = (total, total + 1) if total and kept(total) else (0, max(1, total))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    verdict = (
        _short(group, spec, demand, conditions, goal, runs[low + 1])
        if low < total
        else _full(group, spec, demand, conditions)
    )
    return Held(
        policy=str(group.policy),
        groups=tuple(each.devices for each in group.stations),
        stations=tuple(dict.fromkeys(group.stations)),
        sessions=low,
        verdict=verdict,
        served=runs.get(low),
        price_per_hour=group.price_per_hour,
    )


def most_per_hour(group: Fleet, spec: ModelSpec, demand: Demand, conditions: Conditions, goal: Goal) -> float | None:
    """The most Poisson arrivals an hour that are served as asked, within 5 %; 0 if hardly any are, None if there is no
    such number: where all may wait for as long as it takes, any are served in the end.
    """
    policy = group.policy
    if policy.admission == "queue" and policy.longest_wait_s is None and goal.first_frame_s is None:
        return None

    def kept(rate: float) -> bool:
        arrivals = demand.arrivals.model_copy(update={"per_hour": rate})
        changed = demand.model_copy(update={"arrivals": arrivals})
        return shortfall(goal, run(group, spec, changed, conditions, group.open_places)) is None

    # As many as there are places, if each is taken for as long as its session is watched; most are free sooner.
    high = sum(group.open_places) * 3600 / demand.lengths.seconds
    for _ in range(DOUBLED):
        if not kept(high):
            break
        high *= 2
    low = 0.0
    while high - low > 0.05 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
        if high < 0.01:
            break
    return low


def _short(group: Fleet, spec: ModelSpec, demand: Demand, conditions: Conditions, goal: Goal, more: Served) -> Verdict:
    """One more session has a place, but the goal is missed."""
    verdict = shortfall(goal, more)
    assert verdict is not None
    if verdict.binds == "deadline" and conditions.jitter != Jitter():
        calm = conditions.model_copy(update={"jitter": Jitter()})
        even = run(group, spec, demand.of_sessions(more.arrived), calm)
        if shortfall(goal, even) is None:
            text = f"{verdict.text}; in time if no block took longer than planned"
            verdict = verdict.model_copy(update={"text": text})
    return verdict.model_copy(update={"one_more": f"{more.arrived} sessions: {told(more)}"})


def _full(group: Fleet, spec: ModelSpec, demand: Demand, conditions: Conditions) -> Verdict:
    """All places are taken: what limits them, and what one more would do where memory has room for it."""
    if not group.stations:
        why = group.refused[0] if group.refused else "no plan"
        binds = "memory" if why.startswith("memory") else "no plan"
        return Verdict.model_validate({"binds": binds, "text": f"0 sessions: {why}"})
    limit = max(zip(group.limits, group.stations, strict=True), key=lambda pair: pair[1].devices)[0]
    total = sum(group.places)
    text = limit.text if total else f"0 sessions: {limit.text}"
    if group.refused:
        text += f"; groups left out: {group.refused[0]}"
    places = list(group.places)
    spare = [at for at, each in enumerate(group.stations) if each.memory.sessions > places[at]]
    more = ""
    if spare:
        # The group that one more session would burden least.
        at = min(spare, key=lambda place: (places[place] + 1) * group.stations[place].period_us)
        places[at] += 1
        forced = run(group, spec, demand.of_sessions(total + 1), conditions, places)
        more = f"{total + 1} session{'s' if total else ''}: {told(forced)}"
    return Verdict.model_validate({"binds": limit.binds, "text": text, "one_more": more})
