"""The random numbers of simulated runs: keyed by what they belong to, never by the order they are asked for in.

An action's factor is keyed by the action and the rank that runs it: it is as slow in every plan that runs it there, and
drawn anew where a plan runs it elsewhere. Run k of a thousand is the same whoever plays it, and any run's number costs
about as much as any other.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from planner.action import SIDE_WORK, Action
from planner.conditions import Jitter, Spread

Factors = NDArray[np.float64]

# Runs that share a sequence of random numbers: what one run costs at most, beside its own.
CHUNK = 1024


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
        key = int.from_bytes(hashlib.blake2b(f"{self._seed}/{name}".encode(), digest_size=16).digest())
        end = self._first + self._runs
        parts = []
        for chunk in range(self._first // CHUNK, -(-end // CHUNK)):
            begin = chunk * CHUNK
            drawn = _drawn(spread, key, chunk, min(CHUNK, end - begin))
            parts.append(drawn[max(0, self._first - begin) :])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _rank(self, rank: int) -> Factors:
        if rank not in self._ranks:
            runs = self.of(self._jitter.runs, "run")
            self._ranks[rank] = self.of(self._jitter.ranks, f"rank {rank}") * runs
        return self._ranks[rank]


def _drawn(spread: Spread, key: int, chunk: int, count: int) -> Factors:
    """The first factors of a chunk's own sequence."""
    numbers = np.random.Generator(np.random.Philox(key=key, counter=chunk << 128))
    if spread.quantiles:
        at = np.linspace(0.0, 1.0, len(spread.quantiles))
        return np.interp(numbers.random(count), at, spread.quantiles)
    drawn: Factors = np.exp(spread.sigma * numbers.standard_normal(count))
    return drawn


def stretched(planned_us: int, factors: Factors) -> NDArray[np.int64]:
    """Whole microseconds, at least one."""
    return np.maximum(1, np.rint(planned_us * factors)).astype(np.int64)
