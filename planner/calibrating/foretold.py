"""What runs were seen to take, and what the cost model with a profile makes of the same actions."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from planner.action import Action, Kind, Pass
from planner.calibrating.observed import Run
from planner.calibrating.script import Script
from planner.cost import Costs
from planner.profile import Profile

CLOSE_US = 1  # rounding


class Seen(NamedTuple):
    """Equal actions over all runs: one of them, the ranks that share it, and how long each lasted, sorted."""

    action: Action
    group: tuple[int, ...]
    lasted: tuple[int, ...]

    @property
    def median_us(self) -> float:
        return statistics.median(self.lasted)


def seen_in(script: Script, runs: Sequence[Run]) -> tuple[Seen, ...]:
    """What the runs tell of each kind of action; live readers that were held up tell nothing."""
    found: dict[object, list[int]] = defaultdict(list)
    examples: dict[object, tuple[Action, tuple[int, ...]]] = {}
    units = {rank: unit for unit in script.flow.layout.units for rank in unit}
    for places in script.gangs.values():
        rank, key = places[0][0], script.key(places[0])
        examples.setdefault(key, (script.action(places[0]), units.get(rank, (rank,))))
        free = [run for run in runs if not run.held.intersection(places)]
        found[key] += [max(run.lasted[place] for place in places) for run in free]
    return tuple(Seen(*examples[key], tuple(sorted(lasted))) for key, lasted in found.items() if lasted)


class Model:
    """The cost model with the profile so far."""

    def __init__(self, script: Script, profile: Profile) -> None:
        self.script, self.profile = script, profile
        self.flow, self.spec = script.flow, script.costs.spec
        self._passes = Costs(script.costs.problem.model_copy(update={"profile": profile}), script.flow).passes

    def changed(self, **changes: object) -> Model:
        return Model(self.script, self.profile.model_copy(update=changes))

    def us(self, action: Action, group: tuple[int, ...]) -> float:
        return self._passes.action_us(action, group)

    def alone_us(self, item: Pass, group: tuple[int, ...]) -> float:
        """How long a pass takes that is no part of a batch."""
        return self.us(Action(Kind.COMMIT if item[1] is None else Kind.DENOISE, *item), group)

    def explains(self, seen: Iterable[Seen]) -> bool:
        """Whether it foretells all of these, but for rounding."""
        return all(abs(math.ceil(self.us(s.action, s.group)) - s.median_us) <= CLOSE_US for s in seen)

    def ring_share(self, seen: Seen) -> float:
        """The share of a whole pass's time that a slice of the layers takes; 1 for whatever runs them all."""
        if seen.action.kind is not Kind.SLICE:
            return 1.0
        whole = Action(Kind.BATCH, seen.action.block, 0, batch=seen.action.batch)
        return self.us(seen.action, seen.group) / self.us(whole, seen.group)

    def passes_of(self, action: Action) -> tuple[Pass, ...]:
        """The passes of an action, or of all shares of its tick."""
        if action.kind is not Kind.TICK:
            return action.passes
        return tuple(self.flow.as_pass(*item) for item in self.flow.passes_at(action.block))

    def singles(self, seen: Iterable[Seen]) -> Iterator[tuple[Seen, Pass]]:
        """What ran one pass and nothing else, with that pass."""
        for item in seen:
            passes = self.passes_of(item.action)
            if len(passes) == 1:
                yield item, passes[0]
