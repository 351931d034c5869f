"""How long everything takes under given conditions, in one run: draws, stragglers, slow links, start-up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from planner.calibrating.script import Place, Script
from planner.conditions import Conditions, Spread
from planner.draws import Draws, stretched
from planner.simulating.outages import Outages


class Effects:
    """What the conditions make of planned times. All are whole microseconds."""

    def __init__(self, script: Script, conditions: Conditions, run: int) -> None:
        self._script, self._conditions = script, conditions
        self._draws = Draws(conditions.jitter, conditions.seed, runs=1, first=run)
        self.outages = Outages(conditions.outages)
        self._compiled = script.firsts() if conditions.start_up.compile_us else frozenset()
        self.wire_us = cache(self._wire_us)

    def ready_us(self, rank: int) -> int:
        """When a rank takes its first action."""
        return self._drawn(self._conditions.start_up.ready_us, f"ready {rank}")

    def attempt(self, places: Sequence[Place], ready_us: int) -> tuple[int, int] | None:
        """When a gang begins that is ready, and how long it takes: as its slowest share. None if it is never done."""
        factors = [float(self._draws.compute(self._script.action(place), place[0])[0]) for place in places]
        compiles = [self._compile_us(place) for place in places]

        def lasts(start_us: int) -> int:
            shares = zip(places, factors, compiles, strict=True)
            return max(self._share_us(place, factor, start_us) + extra for place, factor, extra in shares)

        found = self.outages.attempt((rank for rank, _ in places), ready_us, lasts)
        return None if found is None else (found[0], found[1] - found[0])

    def latency_us(self, number: int) -> int:
        """That part of a move's time (or of a layer's) which takes no bandwidth."""
        latency = self._script.costs.wire(*self._script.moves[number].way).latency_us
        return min(self.wire_us(number), round(latency * self._slowed(number)))

    def _share_us(self, place: Place, factor: float, start_us: int) -> int:
        rank = place[0]
        for straggler in self._conditions.stragglers:
            until = straggler.until_us
            if straggler.rank == rank and straggler.from_us <= start_us and (until is None or start_us < until):
                factor *= straggler.factor
        return _stretched(self._script.compute_us(place), factor)

    def _compile_us(self, place: Place) -> int:
        if place not in self._compiled:
            return 0
        return self._drawn(self._conditions.start_up.compile_us, f"compile {place[0]}/{self._script.action(place)}")

    def _drawn(self, planned_us: int, name: str) -> int:
        spread: Spread = self._conditions.start_up.spread
        return _stretched(planned_us, float(self._draws.of(spread, name)[0])) if planned_us else 0

    def _wire_us(self, number: int) -> int:
        """How long a move takes, or one layer of it where it streams."""
        return _stretched(self._script.wire_us(number), self._slowed(number))

    def _slowed(self, number: int) -> float:
        move = self._script.moves[number]
        factor = float(self._draws.transfer(self._script.action(move.sent), move.way[0])[0])
        for slow in self._conditions.slow_links:
            if slow.source in (None, move.way[0]) and slow.target in (None, move.way[1]):
                factor *= slow.factor
        return factor


def _stretched(planned_us: int, factor: float) -> int:
    return int(stretched(planned_us, np.asarray(factor))) if factor != 1.0 else max(1, planned_us)
