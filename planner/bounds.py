"""Lower bounds that no schedule can beat, whatever its placement; and the period of an endless stream.

Both clip bounds leave transfers out, so they hold for any links.
"""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Literal, NamedTuple

import networkx as nx

from planner.action import Action, Kind
from planner.cost import Costs
from planner.patterns import Pattern
from planner.problem import Problem

BoundName = Literal["critical path", "device area"]


class Bound(NamedTuple):
    """A proven lower bound of the makespan, and what it rests on."""

    value_us: int
    name: BoundName


class Period(NamedTuple):
    """Time between finished blocks in an endless stream, and what sets it."""

    value_us: Fraction
    limit: Literal["dependencies", "devices", "decoder"]


def makespan_bound(graph: nx.DiGraph[Action], costs: Costs, ranks: int) -> Bound:
    """The larger of the critical path and the head/tail area bound, each on the fastest ranks.

    Area: with heads h (earliest possible start) and tails q (work that must follow), `ranks` devices cannot finish
    before (sum of the smallest heads, one a device + all work + sum of the smallest tails) / ranks. Subsets of the
    actions with large heads and tails are tried too, as the whole set is not always the tightest.
    """
    work = {action: min(costs.compute_us(action, rank) for rank in range(ranks)) for action in graph}
    order = list(nx.topological_sort(graph))
    heads: dict[Action, int] = {}
    for action in order:
        heads[action] = max((heads[p] + work[p] for p in graph.predecessors(action)), default=0)
    tails: dict[Action, int] = {}
    for action in reversed(order):
        tails[action] = max((tails[s] + work[s] for s in graph.successors(action)), default=0)
    path = max(heads[a] + work[a] + tails[a] for a in order)
    area = _area(order, heads, work, tails, ranks)
    return Bound(area, "device area") if area > path else Bound(path, "critical path")


def steady_period(problem: Problem, pattern: Pattern, costs: Costs, ranks: int) -> Period:
    """The least period of an endless stream on identical devices whose transfers cost nothing, in closed form.

    max(largest sum of `offset` consecutive passes; work of a block / ranks; the decoder, as decodes are chained).
    Each term is necessary for any schedule; without decoding, running block b whole on rank b mod ranks reaches it.
    Beyond the ramp every pass has its full context. Where the window holds no predecessor nothing chains the blocks.
    """
    spec = problem.model
    settled = spec.window // spec.frames_per_block
    passes = [costs.compute_us(Action(Kind.DENOISE, settled, step), 0) for step in range(spec.steps)]
    if spec.clean_pass:
        passes.append(costs.compute_us(Action(Kind.COMMIT, settled), 0))
    decode = costs.compute_us(Action(Kind.DECODE, settled), 0) if problem.workload.decode else 0
    span = min(pattern.offset, len(passes))
    chain = max(sum(passes[i : i + span]) for i in range(len(passes) - span + 1))
    share = Fraction(sum(passes) + decode, ranks)
    if settled - 1 not in spec.context_blocks(settled):
        chain = 0
    value = max(Fraction(chain), share, Fraction(decode))
    if value == chain:
        return Period(value, "dependencies")
    return Period(value, "devices" if value == share else "decoder")


def _area(
    actions: list[Action], heads: dict[Action, int], work: dict[Action, int], tails: dict[Action, int], ranks: int
) -> int:
    """The best head/tail area bound over the subsets 'head at least h' and 'tail at least q'."""
    best = 0
    for key, other in ((heads, tails), (tails, heads)):
        by_key = sorted(actions, key=lambda a: -key[a])
        total, farthest = 0, _Smallest(ranks)
        for i, action in enumerate(by_key):
            total += work[action]
            farthest.add(other[action])
            closes = i + 1 == len(by_key) or key[by_key[i + 1]] < key[action]
            # Fewer actions than ranks leave ranks idle altogether: the bound needs one action a rank.
            if closes and i + 1 >= ranks:
                nearest = sum(key[a] for a in by_key[i + 1 - ranks : i + 1])
                best = max(best, -(-(nearest + total + farthest.total) // ranks))
    return best


class _Smallest:
    """Sum of the `count` smallest numbers added so far."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[int] = []
        self.total = 0

    def add(self, number: int) -> None:
        heapq.heappush(self._heap, -number)
        self.total += number
        if len(self._heap) > self._count:
            self.total += heapq.heappop(self._heap)
