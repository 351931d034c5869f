"""The random numbers of simulated runs: keyed by what they belong to, never by the order they are asked for in.

So the same action is as slow in every plan of a problem, and run k of a thousand is the same whoever plays it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from planner.action import Action, Kind
from planner.conditions import Jitter, Spread

Factors = NDArray[np.float64]

SIDE_WORK = frozenset({Kind.DECODE, Kind.ENCODE, Kind.TEXT, Kind.RECACHE})


class Draws:
    """Factors of the runs `first` to before `first + runs` of a seed."""

    def __init__(self, jitter: Jitter, seed: int, runs: int = 1, first: int = 0) -> None:
        self._jitter, self._seed, self._runs, self._first = jitter, seed, runs, first
        self._ranks: dict[int, Factors] = {}
        self._one = np.ones(runs)

    def compute(self, action: Action, rank: int) -> Factors:
        """What a compute action's planned time is multiplied by, a number for each run."""
        jitter = self._jitter
        spread = jitter.side if action.kind in SIDE_WORK else jitter.passes
        own = self.of(spread, f"{rank}/{action}")
        return own * self._rank(rank) if jitter.ranks.varies or jitter.runs.varies else own

    def transfer(self, action: Action, rank: int) -> Factors:
        """Of a transfer, by its send (or stream) action and the rank that sends."""
        return self.of(self._jitter.transfers, f"{rank}/{action}")

    def of(self, spread: Spread, name: str) -> Factors:
        """Draws of any spread under a name."""
        if not spread.varies:
            return self._one
        key = hashlib.blake2b(f"{self._seed}/{name}".encode(), digest_size=16).digest()
        numbers = np.random.Generator(np.random.Philox(key=int.from_bytes(key)))
        count = self._first + self._runs
        if spread.quantiles:
            at = np.linspace(0.0, 1.0, len(spread.quantiles))
            drawn = np.interp(numbers.random(count), at, spread.quantiles)
        else:
            drawn = np.exp(spread.sigma * numbers.standard_normal(count))
        return drawn[self._first :]

    def _rank(self, rank: int) -> Factors:
        if rank not in self._ranks:
            runs = self.of(self._jitter.runs, "run")
            self._ranks[rank] = self.of(self._jitter.ranks, f"rank {rank}") * runs
        return self._ranks[rank]


def stretched(planned_us: int, factors: Factors) -> NDArray[np.int64]:
    """Whole microseconds, at least one."""
    return np.maximum(1, np.rint(planned_us * factors)).astype(np.int64)
