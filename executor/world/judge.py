"""Decides from beats which rank has failed: pure, told the time by its caller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from executor.world.limits import Limits
from executor.world.pulse import NO_BEAT, Beat, State

# A judge that was itself held up this long beyond its ticks cannot blame others for it.
HELD_UP_S = 1.0


class Finding(NamedTuple):
    """Which rank failed, at which action (empty before the first), and why."""

    rank: int
    action: str
    cause: str
    silent: bool = False  # it may be stopped, and so unable to end itself

    def __str__(self) -> str:
        return f"rank {self.rank}{' at ' * bool(self.action)}{self.action}: {self.cause}"


class Judge:
    """Hears beats; finds at most one failure, the oldest by its kind: silence, a long action, a deadlock."""

    def __init__(self, ranks: Iterable[int], limits: Limits, now: float) -> None:
        self._limits = limits
        self._heard = dict.fromkeys(ranks, now)
        self._last = dict.fromkeys(self._heard, NO_BEAT)
        self._looked = now

    def hear(self, rank: int, beat: Beat, now: float) -> None:
        """A beat as read now; an old one read again is no sign of life."""
        if beat.number != self._last[rank].number:
            self._heard[rank] = now
        self._last[rank] = beat

    def last(self, rank: int) -> Beat:
        return self._last[rank]

    def silent_s(self, rank: int, now: float) -> float:
        return now - self._heard[rank]

    def verdict(self, now: float, stall_s: float | None = None) -> Finding | None:
        """The failure that shows by now, if any; `stall_s` replaces the limit of that name."""
        held_up = now - self._looked - self._limits.beat_s
        if held_up > HELD_UP_S:
            self._heard = {rank: heard + held_up for rank, heard in self._heard.items()}
        self._looked = now
        at_work = [rank for rank, beat in self._last.items() if beat.state is not State.DONE]
        return (
            self._silent(at_work, now, self._limits.stall_s if stall_s is None else stall_s)
            or self._too_long(at_work)
            or self._deadlock(at_work)
        )

    def _silent(self, at_work: list[int], now: float, stall_s: float) -> Finding | None:
        rank = min(at_work, key=lambda rank: self._heard[rank], default=None)
        if rank is None or self.silent_s(rank, now) <= stall_s:
            return None
        cause = (
            f"no sign of life for {self.silent_s(rank, now):.1f} s; it is stopped (SIGSTOP, a debugger, a paused "
            f"container), its machine or network is gone, or a call holds Python's lock (limit BLOCKCASCADE_STALL_S)"
        )
        return Finding(rank, self._last[rank].action, cause, silent=True)

    def _too_long(self, at_work: list[int]) -> Finding | None:
        limit = {
            State.COMPUTES: ("computes one action", self._limits.action_s, "ACTION_S"),
            State.PREPARES: ("prepares", self._limits.prepare_s, "PREPARE_S"),
        }
        for rank in at_work:
            state, action, for_s = self._last[rank][1:]
            what, limit_s, name = limit.get(state, ("", float("inf"), ""))
            if for_s > limit_s:
                cause = (
                    f"{what} for {for_s:.1f} s, longer than {limit_s:g} s; its device hangs, or the work needs a higher"
                    f" limit, BLOCKCASCADE_{name}"
                )
                return Finding(rank, action, cause)
        return None

    def _deadlock(self, at_work: list[int]) -> Finding | None:
        """Whether all that are left wait; gathering results alone may take its time."""
        beats = {rank: self._last[rank] for rank in at_work}
        waiting = {rank: beat for rank, beat in beats.items() if beat.state is State.WAITS}
        idle = all(beat.state in (State.WAITS, State.GATHERS) for beat in beats.values())
        limit_s = self._limits.wait_s if waiting else self._limits.prepare_s
        if not beats or not idle or min(beat.for_s for beat in beats.values()) <= limit_s:
            return None
        found = waiting or beats
        first = max(found, key=lambda rank: found[rank].for_s)
        others = "; ".join(f"rank {rank} at {beat.action}" for rank, beat in found.items() if rank != first)
        cause = (
            f"waits since {found[first].for_s:.1f} s, and so do all others, with nothing under way"
            f"{' (' * bool(others)}{others}{')' * bool(others)}; the network lost a message, or the plan deadlocks "
            "(limit BLOCKCASCADE_WAIT_S)"
        )
        return Finding(first, found[first].action, cause)
