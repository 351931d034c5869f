"""How many sessions a cluster holds, what that costs, and what breaks first.

`serve` plays a demand on a policy's groups; `sessions_held` finds the most sessions at once, `demand_held` says whether
a demand is served as asked, `cheapest` finds the fewest devices and the least money for a number of sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from planner.conditions import Conditions, Jitter, Player, Spread
from planner.errors import InfeasibleError, InputError
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.serving.cheapest import Cheapest, Offer
from planner.serving.demand import Arrivals, Demand, Lengths, Prompts
from planner.serving.fleet import Fleet, Stations, best_split, fewest, fleet, plainly
from planner.serving.goal import Goal, Verdict, shortfall
from planner.serving.held import Held, most_held, most_per_hour, run
from planner.serving.outcome import Served
from planner.serving.policy import Policy
from planner.serving.shown import HELD_COLUMNS, held_row
from planner.value import Document, Value

__all__ = [
    "LIVE",
    "Answer",
    "Arrivals",
    "Demand",
    "Fit",
    "Goal",
    "Lengths",
    "Policy",
    "Prompts",
    "breaks_first",
    "cheapest",
    "demand_held",
    "serve",
    "sessions_held",
]

# A live viewer starts with two blocks and is at most four behind what is made; blocks' times vary by about 5 %.
LIVE = Conditions(jitter=Jitter(passes=Spread(sigma=0.05)), player=Player(start_blocks=2, queue_blocks=4))
# Groups of more devices are not tried unless they are asked for.
LARGEST = 8


class Answer(Document):
    """Policies by how many sessions they hold at once: most first, then least money, then fewest devices."""

    schema_name: Literal["blockcascade.capacity/1"] = "blockcascade.capacity/1"
    model: str
    device: str
    devices: int
    goal: Goal
    fps: float
    rows: tuple[Held, ...] = Field(min_length=1)

    @property
    def best(self) -> Held:
        return self.rows[0]

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each policy."""
        from planner.pictures.inline import Table, listing

        title = f"Sessions of {self.model} at {self.fps:g} fps on {self.devices} x {self.device}"
        return listing(title, Table(HELD_COLUMNS, map(held_row, self.rows)))


class Fit(Value):
    """A policy and what it made of a demand; `verdict` says what falls short, if anything does.

    `most_per_hour`: of Poisson arrivals, how many would be served as asked; told of the first policy only, and not
    where all may wait for as long as it takes (`queue` without `longest_wait_s`, and no `first_frame_s` in the goal).
    """

    policy: str
    served: Served
    verdict: Verdict
    most_per_hour: float | None = None

    @property
    def kept(self) -> bool:
        return self.verdict.binds == "nothing"


def serve(
    problem: Problem,
    policy: Policy,
    demand: Demand,
    conditions: Conditions = LIVE,
    *,
    pattern: Pattern | None = None,
    placement: Placement | None = None,
    exact: bool = False,
) -> Served:
    """What becomes of a demand on the problem's cluster under a policy: each session, and the figures over all.

    The problem's workload does not count but for `decode`. Of the conditions seed, jitter (`passes`: each block's slot;
    `ranks`: a group's for the whole run; `runs`: all), player and start-up are played; others are refused. `exact`: as
    in `planner.serving.station.station`. Raises InputError for conditions that are not played or a policy that needs
    more devices than there are; InfeasibleError if the policy cannot hold one session, or fewer than it says.
    """
    _require_played(conditions)
    stations = Stations(_without_switches(problem), pattern, placement, exact=exact)
    made = fleet(stations, policy, _highest_fps(demand, problem))
    _require_places(made, policy)
    return run(made, problem.model, demand, conditions, made.open_places)


def sessions_held(
    problem: Problem,
    policies: Sequence[Policy] = (),
    *,
    goal: Goal = Goal(),  # noqa: B008 - frozen value
    demand: Demand = Demand(),  # noqa: B008 - frozen value
    conditions: Conditions = LIVE,
    pattern: Pattern | None = None,
    placement: Placement | None = None,
    exact: bool = False,
) -> Answer:
    """The most sessions at once that each policy holds as the goal asks, and the best of them.

    Without policies: equal groups of 1 to 8 devices, one session each and as many as they bear, and the best mixture.
    Of the demand, lengths, prompts and fps count: the sessions all come at once. A policy that holds none is a row with
    the reason. Raises InputError for conditions that are not played, or a policy that needs more devices.
    """
    _require_played(conditions)
    stations = Stations(_without_switches(problem), pattern, placement, exact=exact)
    fps, spec = demand.rate_of(problem.model), problem.model

    def held(made: Fleet) -> Held:
        return most_held(made, spec, demand, conditions, goal)

    rows = [held(fleet(stations, policy, fps)) for policy in policies] if policies else _all_ways(stations, fps, held)
    rows.sort(key=_rank)
    kinds = "+".join(dict.fromkeys(device.kind for device in problem.cluster.devices))
    return Answer(model=spec.name, device=kinds, devices=problem.cluster.size, goal=goal, fps=fps, rows=tuple(rows))


def demand_held(
    problem: Problem,
    demand: Demand,
    policies: Sequence[Policy] = (),
    *,
    goal: Goal = Goal(),  # noqa: B008 - frozen value
    conditions: Conditions = LIVE,
    pattern: Pattern | None = None,
    placement: Placement | None = None,
    exact: bool = False,
) -> tuple[Fit, ...]:
    """What each policy makes of a demand: those that serve it as asked first, by money; then who turns away fewest.

    Without policies: those of `sessions_held` that hold at least one session. Raises InfeasibleError if none does.
    """
    _require_played(conditions)
    stations = Stations(_without_switches(problem), pattern, placement, exact=exact)
    fps = _highest_fps(demand, problem)
    tried = policies or _equal_groups(problem.cluster.size)
    fits: list[tuple[Fit, Fleet]] = []
    why: list[str] = []
    for policy in tried:
        made = plainly(fleet(stations, policy, fps))
        if not sum(made.open_places):
            why.append(f"{policy}: {(made.refused or [limit.text for limit in made.limits])[0]}")
            continue
        found = run(made, problem.model, demand, conditions, made.open_places)
        verdict = shortfall(goal, found) or Verdict(binds="nothing", text="served as asked")
        fits.append((Fit(policy=found.policy, served=found, verdict=verdict), made))
    if not fits:
        raise InfeasibleError("no policy holds one session: " + "; ".join(why[:5]))
    fits.sort(key=lambda pair: (not pair[0].kept, pair[0].served.turned_away_share, pair[0].served.money))
    if demand.arrivals.kind == "poisson":
        first, made = fits[0]
        most = most_per_hour(made, problem.model, demand, conditions, goal)
        fits[0] = first.model_copy(update={"most_per_hour": most}), made
    return tuple(fit for fit, _ in fits)


def cheapest(
    problems: Sequence[Problem],
    sessions: int,
    *,
    goal: Goal = Goal(),  # noqa: B008 - frozen value
    demand: Demand = Demand(),  # noqa: B008 - frozen value
    conditions: Conditions = LIVE,
    pattern: Pattern | None = None,
    exact: bool = False,
) -> Cheapest:
    """The fewest devices of each problem's kind that hold so many sessions at once, least money first.

    Each problem's cluster says how many devices may be used at most. Groups of 1 to 8 devices are mixed as is best.
    Raises InputError for no problem or less than one session.
    """
    if sessions < 1 or not problems:
        raise InputError(f"sessions: must be at least 1, of at least one kind of device, not {sessions}")
    _require_played(conditions)
    offers = [_offer(problem, sessions, goal, demand, conditions, pattern, exact=exact) for problem in problems]
    offers.sort(key=lambda offer: (offer.held is None, offer.price_per_hour or 0.0, offer.devices or 0))
    return Cheapest(sessions=sessions, offers=tuple(offers))


def breaks_first(problem: Problem, policy: Policy, **asked: Any) -> Verdict:
    """What keeps a policy from one more session: by name, in a line with the numbers, and what one more would do.

    The keywords are those of `sessions_held`.
    """
    return sessions_held(problem, (policy,), **asked).best.verdict


def _offer(
    problem: Problem,
    sessions: int,
    goal: Goal,
    demand: Demand,
    conditions: Conditions,
    pattern: Pattern | None,
    *,
    exact: bool,
) -> Offer:
    stations = Stations(_without_switches(problem), pattern, exact=exact)
    fps, kind = demand.rate_of(problem.model), problem.cluster.devices[0].kind
    held, why = [0], ""
    for size in range(1, min(problem.cluster.size, LARGEST) + 1):
        alone = fleet(stations, Policy(sizes=(size,), each=None), fps)
        found = most_held(alone, problem.model, demand, conditions, goal)
        held.append(found.sessions)
        why = found.verdict.text if not found.sessions else why
    wanted = sessions
    while (sizes := fewest(wanted, held, problem.cluster.size)) is not None:
        made = plainly(fleet(stations, Policy(sizes=sizes, each=None), fps))
        found = most_held(made, problem.model, demand, conditions, goal)
        if found.sessions >= sessions:
            return Offer(device=kind, held=found)
        # Groups that hold their sessions each may miss the goal together by a little.
        wanted += 1
    most = sum(held[size] for size in best_split(problem.cluster.size, held))
    return Offer(device=kind, held=None, why=f"{problem.cluster.size} devices hold {most}" if most else why)


def _rank(row: Held) -> tuple[int, float, int]:
    """Smaller is better: most sessions for the least money; of those that hold none, the quickest."""
    quickest = min((each.period_us for each in row.stations), default=10**12)
    return (-row.sessions, row.price_per_hour, row.devices) if row.sessions else (0, float(quickest), row.devices)


def _all_ways(stations: Stations, fps: float, held: Callable[[Fleet], Held]) -> list[Held]:
    """Equal groups of each size, one session each and as many as they bear, and the best mixture of sizes."""
    devices = stations.problem.cluster.size
    rows, by_size = [], [0]
    for policy in _equal_groups(devices):
        made = plainly(fleet(stations, policy, fps))
        found = held(made)
        by_size.append(found.sessions // max(1, len(found.groups)))
        rows.append(found)
        if max(made.places, default=0) > 1:
            rows.append(held(fleet(stations, policy.model_copy(update={"each": 1}), fps)))
    sizes = best_split(devices, by_size)
    if len(set(sizes)) > 1:
        rows.append(held(plainly(fleet(stations, Policy(sizes=sizes, each=None), fps))))
    return rows


def _equal_groups(devices: int) -> list[Policy]:
    return [Policy(sizes=(size,), repeat=True, each=None) for size in range(1, min(devices, LARGEST) + 1)]


def _highest_fps(demand: Demand, problem: Problem) -> float:
    """What a group must make at most for each session."""
    usual = demand.rate_of(problem.model)
    return max([usual, *(visit.fps or usual for visit in demand.arrivals.visits)])


def _require_places(made: Fleet, policy: Policy) -> None:
    if not made.stations or not any(each.memory.sessions for each in made.stations):
        why = made.refused[0] if made.refused else "no groups"
        raise InfeasibleError(f"policy {policy} cannot hold one session: {why}")
    if policy.each is None:
        if not sum(made.places):
            raise InfeasibleError(f"policy {policy} cannot hold one session: {made.limits[0].text}")
        return
    for each in made.stations:
        if each.memory.sessions < policy.each:
            raise InfeasibleError(
                f"policy {policy}: {policy.each} sessions do not fit a group of {each.devices}: "
                f"{each.memory.sum_of(policy.each)}; it holds {each.memory.sessions}"
            )


def _require_played(conditions: Conditions) -> None:
    """Capacity knows blocks, not actions: what belongs to one rank or link cannot be played."""
    plain = Conditions()
    unknown = ("stragglers", "slow_links", "outages", "turns", "host_slots")
    given = [name for name in unknown if getattr(conditions, name) != getattr(plain, name)]
    jitter = [name for name in ("side", "transfers") if getattr(conditions.jitter, name).varies]
    if given or jitter:
        named = ", ".join([*given, *(f"jitter.{name}" for name in jitter)])
        raise InputError(
            f"conditions: {named} belong(s) to single actions, capacity plays whole blocks; simulate a plan with them "
            "and give the spread of its blocks as jitter.passes"
        )


def _without_switches(problem: Problem) -> Problem:
    return problem.model_copy(update={"workload": problem.workload.model_copy(update={"switches": ()})})
