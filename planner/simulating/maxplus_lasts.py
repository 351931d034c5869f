"""How long things last in many runs at once, under given conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.calibrating.script import Place, Script
from planner.conditions import Conditions, Spread, Straggler
from planner.draws import Draws, Factors, stretched

Times = NDArray[np.int64]
Us = int | Times  # the same in all runs, or of each

NEVER = 2**62  # no run gets there: a thousandth of it is more than a million years


class Planned(NamedTuple):
    """Microseconds as planned: of each compute action, of each move (of one layer where it streams)."""

    lasts: Mapping[Place, int]
    wires: Sequence[int]

    @classmethod
    def of(cls, script: Script) -> Planned:
        lasts = {place: script.compute_us(place) for place in script.inputs}
        return cls(lasts, [script.wire_us(number) for number in range(len(script.moves))])


class _Moving(NamedTuple):
    """A share that takes longer or shorter depending on when it begins."""

    planned_us: int
    factors: Factors | float
    stragglers: Sequence[Straggler]
    compile_us: Us

    def at(self, start: Times) -> Times:
        factors = self.factors
        for straggler in self.stragglers:
            until = NEVER if straggler.until_us is None else straggler.until_us
            holds = (start >= straggler.from_us) & (start < until)
            factors = factors * np.where(holds, straggler.factor, 1.0)
        return stretched(self.planned_us, np.asarray(factors)) + self.compile_us


class Lasting(NamedTuple):
    """How long a gang lasts: as its slowest share."""

    fixed: Us
    moving: Sequence[_Moving]

    def at(self, start: Times) -> Us:
        """If it begins then."""
        lasts = self.fixed
        for share in self.moving:
            lasts = np.maximum(lasts, share.at(start))
        return lasts


class Lasts:
    """The durations of the runs `first` to before `first + runs`."""

    def __init__(self, script: Script, planned: Planned, conditions: Conditions, runs: int, first: int) -> None:
        self._script, self._planned, self._conditions = script, planned, conditions
        self._draws = Draws(conditions.jitter, conditions.seed, runs, first)
        self._one = self._draws.of(Spread(), "")
        ranks = range(len(script.programs))
        self._stragglers = [[s for s in conditions.stragglers if s.rank == rank] for rank in ranks]
        self._steady = [all(s.from_us == 0 and s.until_us is None for s in found) for found in self._stragglers]
        self._compiles = script.firsts() if conditions.start_up.compile_us else frozenset()

    def ready(self, rank: int) -> Us:
        """When a rank takes its first action."""
        return self._started(self._conditions.start_up.ready_us, f"ready {rank}")

    def gang(self, shares: Sequence[Place]) -> Lasting:
        fixed: Us = 0
        moving = []
        for place in shares:
            rank, action = place[0], self._script.action(place)
            share = _Moving(
                self._planned.lasts[place],
                self._varying(self._draws.compute(action, rank)),
                self._stragglers[rank],
                self._compiled(place),
            )
            if self._steady[rank]:
                factors = share.factors
                for straggler in share.stragglers:
                    factors = factors * straggler.factor
                lasts = _stretched(share.planned_us, factors) + share.compile_us
                fixed = lasts if isinstance(fixed, int) and not fixed else np.maximum(fixed, lasts)
            else:
                moving.append(share)
        return Lasting(fixed, moving)

    def wire(self, number: int) -> Us:
        """Of a move, or of one layer where it streams."""
        move = self._script.moves[number]
        source, target = move.way
        factors = self._varying(self._draws.transfer(self._script.action(move.sent), source))
        for link in self._conditions.slow_links:
            if link.source in (None, source) and link.target in (None, target):
                factors = factors * link.factor
        return _stretched(self._planned.wires[number], factors)

    def _compiled(self, place: Place) -> Us:
        if place not in self._compiles:
            return 0
        name = f"compile {place[0]}/{self._script.action(place)}"
        return self._started(self._conditions.start_up.compile_us, name)

    def _started(self, planned_us: int, name: str) -> Us:
        if not planned_us:
            return 0
        return _stretched(planned_us, self._varying(self._draws.of(self._conditions.start_up.spread, name)))

    def _varying(self, factors: Factors) -> Factors | float:
        """What does not vary as one number, which is quicker."""
        return 1.0 if factors is self._one else factors


def _stretched(planned_us: int, factors: Factors | float) -> Us:
    if isinstance(factors, float):
        return planned_us if factors == 1.0 else int(stretched(planned_us, np.asarray(factors)))
    return stretched(planned_us, factors)
