"""A link's latency and bandwidth from the transfers of real runs."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from planner.calibrating.observed import Run
from planner.calibrating.replay import Assumed
from planner.calibrating.script import Script

CLOSE_US = 1  # rounding: a link that foretells times this well is not touched
SPREAD = 1.5  # sizes that differ less than so many times do not tell latency from bandwidth
LEAST_GBPS, MOST_GBPS = 1e-6, 1e9


class Wired(NamedTuple):
    """A link's line: a message takes `latency_us` + bytes / (1000 x `gbps`)."""

    latency_us: int
    gbps: float

    def us(self, size: int) -> float:
        return self.latency_us + size / (self.gbps * 1000)


def fitted(script: Script, planned: Assumed, runs: Sequence[Run], known: Wired) -> Wired:
    """The line through the measured times of messages within a node, by size.

    Of an arrival that nobody waited for it counts how long it can have taken at most: those that were waited for are
    the slow ones. Sizes that differ give latency and bandwidth by Theil and Sen's median of slopes, which a few
    disturbed sizes do not move; otherwise the known line is scaled to fit. What the known line foretells to a
    microsecond leaves it as it is, and so do runs that hide the medians.
    """
    return line(*_by_size(script, planned, runs), known)


def line(times: Mapping[int, float], foretold: Mapping[int, float], known: Wired) -> Wired:
    """The line through times by size; `foretold` are those of the known line."""
    if all(abs(times[size] - foretold[size]) <= CLOSE_US for size in times):
        return known
    sizes = sorted(times)
    slopes = [(times[b] - times[a]) / (b - a) for a, b in combinations(sizes, 2) if b >= SPREAD * a]
    slope = statistics.median(slopes) if slopes else 0.0
    if slope > 0:
        latency = round(statistics.median(times[size] - slope * size for size in sizes))
        return Wired(max(0, latency), _within(1 / (slope * 1000)))
    stretch = max(statistics.median(times[size] / max(1, foretold[size]) for size in sizes), 1 / MOST_GBPS)
    return Wired(round(known.latency_us * stretch), _within(known.gbps / stretch))


def median_below(seen: Sequence[int], at_most: Sequence[int]) -> int | None:
    """The median of values of which some are only known not to exceed a bound; None if those hide it.

    Kaplan and Meier's product-limit estimate, taken from the largest value down.
    """
    values = sorted((*seen, *at_most))
    below = 1.0  # the share of values that lie below what was looked at so far
    for value, count in sorted(Counter(seen).items(), reverse=True):
        below *= 1 - count / bisect_right(values, value)
        if below < 0.5:
            return value
    return None


def _within(gbps: float) -> float:
    return min(max(gbps, LEAST_GBPS), MOST_GBPS)


def _by_size(script: Script, planned: Assumed, runs: Sequence[Run]) -> tuple[dict[int, int], dict[int, int]]:
    """The median time of a message of each size, as measured and as planned."""
    node = script.costs.problem.cluster.node_of
    seen: dict[int, list[int]] = defaultdict(list)
    at_most: dict[int, list[int]] = defaultdict(list)
    foretold: dict[int, int] = {}
    for number, move in enumerate(script.moves):
        if node[move.way[0]] == node[move.way[1]]:
            size = script.costs.sent_bytes(move.payload)
            size = -(-size // script.costs.spec.layers) if move.streams else size
            foretold[size] = planned.wires[number]
            for run in runs:
                (seen if run.exact[number] else at_most)[size].append(
                    run.wires[number] if run.exact[number] else run.at_most[number]
                )
    return {size: _typical(seen[size], at_most[size], us) for size, us in foretold.items()}, foretold


def _typical(seen: Sequence[int], at_most: Sequence[int], foretold: int) -> int:
    """The median time, or where it is hidden what was foretold, as far as that can be."""
    found = median_below(seen, at_most)
    return min((foretold, *seen, *at_most)) if found is None else found
