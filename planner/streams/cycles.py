"""The maximum cycle ratio of a graph: how fast anything that repeats can go, and the cycle that says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd
from typing import NamedTuple

from planner.errors import InputError


class Edge(NamedTuple):
    """The target of block b + `distance` starts at least `lag_us` after the source of block b has started."""

    source: int
    target: int
    lag_us: int
    distance: int


class Cycle(NamedTuple):
    """Edges in order, each from where the one before leads, the last back to the first."""

    edges: tuple[Edge, ...]

    @property
    def ratio(self) -> Fraction:
        """Time that passes around the cycle for each block: no period is shorter."""
        return Fraction(sum(edge.lag_us for edge in self.edges), sum(edge.distance for edge in self.edges))

    @property
    def nodes(self) -> tuple[int, ...]:
        return tuple(edge.source for edge in self.edges)


def max_cycle_ratio(nodes: Sequence[str], edges: Iterable[Edge]) -> Cycle | None:
    """The cycle with the largest ratio of lag to distance, from its smallest node on; None if there is no cycle.

    Edges name nodes by index; lags and distances may be negative, as long as each cycle's distance is positive.
    Raises InputError with the names on a cycle whose distance is not. Howard's policy iteration in exact integers
    (Cochet-Terrasson et al. 1998): each round costs one look at every edge, and there are few.
    """
    best: Cycle | None = None
    for component in _components(len(nodes), list(edges)):
        cycle = Cycle(tuple(_howard(_Component(component, nodes))))
        if best is None or cycle.ratio > best.ratio:
            best = cycle
    return best


def earliest_starts(size: int, edges: Sequence[Edge], period: Fraction) -> list[Fraction]:
    """Start of each node's block 0, none negative and each as early as can be, if all repeat every `period`.

    The period must be no less than the maximum cycle ratio, or else there is no such schedule.
    """
    scale, step = period.denominator, period.numerator
    lags = [(edge.source, edge.target, edge.lag_us * scale - step * edge.distance) for edge in edges]
    starts = [0] * size
    for _ in range(size + 1):
        before = starts.copy()
        for source, target, lag in lags:
            if starts[source] + lag > starts[target]:
                starts[target] = starts[source] + lag
        if starts == before:
            return [Fraction(start, scale) for start in starts]
    raise InputError(f"period: {period} us is shorter than what the dependencies allow")


def _components(size: int, edges: list[Edge]) -> list[list[Edge]]:
    """The edges inside each strongly connected part, parts by their smallest node (Tarjan 1972, without recursion)."""
    targets: list[list[int]] = [[] for _ in range(size)]
    for edge in edges:
        targets[edge.source].append(edge.target)
    part = _parts(targets)
    inner: dict[int, list[Edge]] = {}
    for edge in edges:
        if part[edge.source] == part[edge.target]:
            inner.setdefault(part[edge.source], []).append(edge)
    return [inner[root] for root in sorted(inner)]


def _parts(targets: list[list[int]]) -> list[int]:
    """The smallest node of each node's strongly connected part."""
    size = len(targets)
    number, low, part = [-1] * size, [0] * size, [-1] * size
    stack: list[int] = []
    count = 0
    for root in range(size):
        path = [(root, iter(targets[root]))] if number[root] < 0 else []
        while path:
            node, rest = path[-1]
            if number[node] < 0:
                number[node] = low[node] = count
                count += 1
                stack.append(node)
            for target in rest:
                if number[target] < 0:
                    path.append((target, iter(targets[target])))
                    break
                if part[target] < 0:
                    low[node] = min(low[node], low[target])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    members = stack[stack.index(node) :]
                    del stack[-len(members) :]
                    for member in members:
                        part[member] = min(members)
    return part


class _Component:
    """A strongly connected part, its nodes renumbered from 0 and its distances shifted to be none negative.

    A shift counts some nodes' blocks from elsewhere: distances change, but no sum around a cycle does.
    """

    def __init__(self, edges: list[Edge], names: Sequence[str]) -> None:
        self.edges = edges
        nodes = sorted({edge.source for edge in edges})
        self.names = [names[node] for node in nodes]
        number = {node: i for i, node in enumerate(nodes)}
        self.source = [number[edge.source] for edge in edges]
        self.target = [number[edge.target] for edge in edges]
        shift = self._shift()
        self.distance = [
            edge.distance + shift[source] - shift[target]
            for edge, source, target in zip(edges, self.source, self.target, strict=True)
        ]
        self.leaving: list[list[int]] = [[] for _ in nodes]
        self.entering: list[list[int]] = [[] for _ in nodes]
        for i, (source, target) in enumerate(zip(self.source, self.target, strict=True)):
            self.leaving[source].append(i)
            self.entering[target].append(i)
        self._refuse_deadlock()

    def _shift(self) -> list[int]:
        """Shortest distance to each node from anywhere (Bellman-Ford)."""
        shift = [0] * len(self.names)
        if all(edge.distance >= 0 for edge in self.edges):
            return shift
        via = [-1] * len(shift)
        for _ in range(len(shift) + 1):
            last = -1
            for i, edge in enumerate(self.edges):
                if shift[self.source[i]] + edge.distance < shift[self.target[i]]:
                    shift[self.target[i]] = shift[self.source[i]] + edge.distance
                    via[self.target[i]] = i
                    last = self.target[i]
            if last < 0:
                return shift
        self._refuse(last, via)
        raise AssertionError("a shift that never settles has a cycle")

    def _refuse_deadlock(self) -> None:
        """Takes away nodes that wait for nothing of their own block until none is left, or a cycle is."""
        waits = [sum(self.distance[i] == 0 for i in entering) for entering in self.entering]
        free = [node for node, count in enumerate(waits) if count == 0]
        for node in free:
            for i in self.leaving[node]:
                if self.distance[i] == 0:
                    waits[self.target[i]] -= 1
                    if waits[self.target[i]] == 0:
                        free.append(self.target[i])
        stuck = {node for node, count in enumerate(waits) if count}
        if stuck:
            via = [
                next((i for i in entering if self.distance[i] == 0 and self.source[i] in stuck), -1)
                for entering in self.entering
            ]
            self._refuse(min(stuck), via)

    def _refuse(self, node: int, via: list[int]) -> None:
        """Raises InputError with the cycle that the edges `via` lead back to from a node."""
        trail: list[int] = []
        while node not in trail:
            trail.append(node)
            node = self.source[via[node]]
        ring = trail[trail.index(node) :][::-1]
        first = ring.index(min(ring))
        path = " -> ".join(self.names[member] for member in (*ring[first:], *ring[: first + 1]))
        raise InputError(f"edges: {path} is cyclic, none can start first; drop an edge or let it reach a later block")


def _howard(part: _Component) -> list[Edge]:
    """The critical cycle. A policy is one leaving edge a node; following it from anywhere ends in a cycle.

    Once a round's values prove every edge's lag - ratio * distance no larger than their difference, no cycle has a
    larger ratio. Values are scaled by the ratio's denominator to stay whole.
    """
    policy = [max(leaving, key=lambda i: (part.edges[i].lag_us, -i)) for leaving in part.leaving]
    while True:
        cycle = _heaviest(part, policy)
        lag, distance = _sums(part, cycle)
        step, scale = lag // gcd(lag, distance), distance // gcd(lag, distance)
        weight = [scale * edge.lag_us - step * far for edge, far in zip(part.edges, part.distance, strict=True)]
        values = _values(part, policy, part.source[cycle[0]], weight)
        if not _improve(part, policy, values, weight):
            return [part.edges[i] for i in cycle]


def _sums(part: _Component, cycle: list[int]) -> tuple[int, int]:
    return sum(part.edges[i].lag_us for i in cycle), sum(part.distance[i] for i in cycle)


def _heaviest(part: _Component, policy: list[int]) -> list[int]:
    """The policy's cycle with the largest ratio, as edge indices from its smallest node on."""
    seen = [-1] * len(policy)
    best: list[int] = []
    best_lag, best_distance = 0, 0
    for root in range(len(policy)):
        node = root
        while seen[node] < 0:
            seen[node] = root
            node = part.target[policy[node]]
        if seen[node] != root:
            continue
        cycle = [policy[node]]
        while part.target[cycle[-1]] != node:
            cycle.append(policy[part.target[cycle[-1]]])
        lag, distance = _sums(part, cycle)
        if not best or lag * best_distance > best_lag * distance:
            best, best_lag, best_distance = cycle, lag, distance
    first = min(range(len(best)), key=lambda i: part.source[best[i]])
    return best[first:] + best[:first]


def _values(part: _Component, policy: list[int], root: int, weight: list[int]) -> list[int]:
    """Weight of each node's way to the root. Nodes that the policy leads to another cycle are turned to this one."""
    before: list[list[int]] = [[] for _ in policy]
    for i in policy:
        before[part.target[i]].append(i)
    values = [0] * len(policy)
    reached = [False] * len(policy)
    reached[root] = True
    queue = [root]
    for ways in (before, part.entering):
        for node in queue:
            for i in ways[node]:
                source = part.source[i]
                if not reached[source]:
                    reached[source] = True
                    policy[source] = i
                    values[source] = values[node] + weight[i]
                    queue.append(source)
        if len(queue) == len(policy):
            break
    return values


def _improve(part: _Component, policy: list[int], values: list[int], weight: list[int]) -> bool:
    """Turns each node to its best edge; whether that changed any."""
    changed = False
    for node, leaving in enumerate(part.leaving):
        best = values[node]
        for i in leaving:
            value = weight[i] + values[part.target[i]]
            if value > best:
                best, policy[node], changed = value, i, True
    return changed
