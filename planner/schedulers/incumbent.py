"""The best schedule so far and the best bound, while a solver runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from planner.instance import Schedule

Progress = Callable[[int, int, float], None]  # best and bound in microseconds, seconds gone


class Incumbent:
    """What is known of one instance; every improvement is reported."""

    def __init__(
        self, schedule: Schedule, bound_us: int, limit_s: float, on_progress: Progress | None, tick_us: int
    ) -> None:
        self._begun = time.perf_counter()
        self._on_progress = on_progress
        self._tick_us = tick_us
        self._limit_s = limit_s
        self.schedule, self.schedule_by = schedule, "hint"
        self.bound_us, self.bound_by = bound_us, "hint"

    @property
    def best_us(self) -> int:
        return self.schedule.makespan_us

    @property
    def best_ticks(self) -> int:
        """A schedule of fewer ticks would be better."""
        return -(-self.best_us // self._tick_us)

    @property
    def bound_ticks(self) -> int:
        return -(-self.bound_us // self._tick_us)

    @property
    def is_optimal(self) -> bool:
        return self.best_us <= self.bound_us

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._begun

    @property
    def left_s(self) -> float:
        return max(0.0, self._limit_s - self.seconds)

    def offer(self, schedule: Schedule | None, by: str) -> None:
        """Takes a schedule if it is better."""
        if schedule is not None and schedule.makespan_us < self.best_us:
            self.schedule, self.schedule_by = schedule, by
            self._report()

    def raise_bound(self, ticks: int, by: str) -> None:
        """Takes a bound, in ticks, if it is better; none is above the best schedule."""
        bound_us = min(ticks * self._tick_us, self.best_us)
        if bound_us > self.bound_us:
            self.bound_us, self.bound_by = bound_us, by
            self._report()

    def _report(self) -> None:
        if self._on_progress:
            self._on_progress(self.best_us, self.bound_us, self.seconds)
