"""`Fleet`: a cluster in groups, each with its station, and how many sessions each bears before any run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.cluster import Cluster
from planner.errors import InfeasibleError, InputError
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.serving.choose import least_us
from planner.serving.policy import Policy
from planner.serving.station import Station, idling, station


class Stations:
    """The stations of a problem's groups; equal groups are planned once."""

    def __init__(
        self,
        problem: Problem,
        pattern: Pattern | None = None,
        placement: Placement | None = None,
        *,
        exact: bool = False,
    ) -> None:
        self.problem, self._asked, self._exact = problem, (pattern, placement), exact
        self._known: dict[Cluster, Station | str] = {}
        self._least: dict[Cluster, float] = {}

    def of(self, begin: int, size: int) -> tuple[Station, ...] | str:
        """What so many devices from a rank on can be, or why they cannot hold one session: the station of them all, and
        those that leave some idle and are quicker for it.
        """
        cluster = part(self.problem.cluster, begin, size)
        whole = self._of_all(cluster)
        found = [] if isinstance(whole, str) else [whole]
        if self._asked[1] is None and len(set(cluster.devices)) == 1:
            found += self._idling(cluster, float("inf") if isinstance(whole, str) else whole.period_us)
        return tuple(found) or str(whole)

    def _idling(self, cluster: Cluster, period_us: float) -> Iterator[Station]:
        """Stations of fewer devices with periods below those of more."""
        for size in range(cluster.size - 1, 0, -1):
            fewer = part(cluster, 0, size)
            if self._least_us(fewer) < period_us:
                made = self._of_all(fewer)
                if not isinstance(made, str) and made.period_us < period_us:
                    period_us = made.period_us
                    yield idling(made, cluster)

    def _of_all(self, cluster: Cluster) -> Station | str:
        """The station that sets all devices to work."""
        if cluster not in self._known:
            self._known[cluster] = self._made(self.problem.model_copy(update={"cluster": cluster}))
        return self._known[cluster]

    def _least_us(self, cluster: Cluster) -> float:
        if cluster not in self._least:
            self._least[cluster] = least_us(self.problem.model_copy(update={"cluster": cluster}), self._asked[0])
        return self._least[cluster]

    def _made(self, problem: Problem) -> Station | str:
        try:
            return station(problem, *self._asked, exact=self._exact)
        except InfeasibleError as error:
            return str(error)
        except InputError as error:
            if self._asked[1] is None:
                raise
            return str(error)


class Limit(NamedTuple):
    """How many sessions a group bears, and what keeps it from one more."""

    sessions: int
    binds: str  # memory, rate or admission
    text: str


class Fleet(NamedTuple):
    """Groups with their stations. `refused` says of groups that cannot hold a session why; they take none."""

    policy: Policy
    stations: tuple[Station, ...]
    limits: tuple[Limit, ...]
    refused: tuple[str, ...]

    @property
    def places(self) -> tuple[int, ...]:
        return tuple(limit.sessions for limit in self.limits)

    @property
    def open_places(self) -> tuple[int, ...]:
        """Places that are given out: as many as the policy says, however slow that is, where memory has room."""
        each = self.policy.each
        if each is None:
            return self.places
        return tuple(min(each, station.memory.sessions) for station in self.stations)

    @property
    def price_per_hour(self) -> float:
        return sum(station.price_per_hour for station in self.stations)


def fleet(stations: Stations, policy: Policy, fps: float) -> Fleet:
    """The groups of a policy. Raises InputError if there are too few devices."""
    cluster = stations.problem.cluster
    made, refused = [], []
    for begin, size in policy.groups(cluster.nodes or (cluster.size,)):
        found = stations.of(begin, size)
        if isinstance(found, str):
            refused.append(found)
        else:
            made.append(max(found, key=lambda each: _worth(each, policy, stations.problem, fps)))
    limits = tuple(limit_of(each, policy, stations.problem, fps) for each in made)
    return Fleet(policy, tuple(made), limits, tuple(dict.fromkeys(refused)))


def plainly(made: Fleet) -> Fleet:
    """The fleet under the policy that it amounts to: where each group bears one session, none of them is shared."""
    alone = made.policy.each is None and set(made.places) == {1}
    return made._replace(policy=made.policy.model_copy(update={"each": 1})) if alone else made


def _worth(station: Station, policy: Policy, problem: Problem, fps: float) -> tuple[int, int]:
    """Larger is better: sessions, then pace."""
    return limit_of(station, policy, problem, fps).sessions, -station.period_us


def limit_of(station: Station, policy: Policy, problem: Problem, fps: float) -> Limit:
    """The least of what memory, rate and policy allow one group; of equals memory before rate before policy."""
    frames = problem.model.pixel_frames(1)
    play_us = round(frames * 1e6 / fps)
    by_rate = play_us // station.period_us
    limits = [
        Limit(station.memory.sessions, "memory", f"memory: {station.memory.sum_of(station.memory.sessions + 1)}"),
        Limit(by_rate, "rate", _rate_text(station, by_rate + 1, play_us, frames)),
    ]
    if policy.each is not None:
        number = "one session" if policy.each == 1 else f"{policy.each} sessions"
        limits.append(Limit(policy.each, "admission", f"admission: {policy} gives a group to {number} only"))
    return min(limits, key=lambda limit: limit.sessions)


def _rate_text(station: Station, sessions: int, play_us: int, frames: int) -> str:
    needed = f"{sessions} x " if sessions > 1 else ""
    each = frames * 1e6 / station.period_us / sessions
    return (
        f"rate: {needed}{station.period_us / 1e3:.1f} ms a block > the {play_us / 1e3:.0f} ms that it plays "
        f"({each:.2f} fps for {'each' if sessions > 1 else 'one session'})"
    )


def part(cluster: Cluster, begin: int, size: int) -> Cluster:
    """The cluster of consecutive ranks."""
    kept = Counter(cluster.node_of[begin : begin + size])
    nodes = tuple(kept[node] for node in sorted(kept)) if len(kept) > 1 else ()
    devices = cluster.devices[begin : begin + size]
    return cluster.model_copy(
        update={"devices": devices, "nodes": nodes, "network": cluster.network if nodes else None}
    )


def best_split(devices: int, held: Sequence[int]) -> tuple[int, ...]:
    """The sizes of groups on at most so many devices that hold the most sessions, with the fewest devices of those.

    `held[size]`: what a group of that size holds; largest groups first.
    """
    best: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    for count in range(1, devices + 1):
        chosen = best[count - 1]
        for size in range(1, min(count, len(held) - 1) + 1):
            total = best[count - size][0] + held[size]
            if held[size] and total > chosen[0]:
                chosen = total, (*best[count - size][1], size)
        best.append(chosen)
    return tuple(sorted(best[devices][1], reverse=True))


def fewest(sessions: int, held: Sequence[int], most: int) -> tuple[int, ...] | None:
    """The sizes of groups that hold so many sessions on the fewest devices; None if `most` devices do not."""
    for count in range(1, most + 1):
        sizes = best_split(count, held)
        if sum(held[size] for size in sizes) >= sessions:
            return sizes
    return None
