"""What a plan and conditions must be for the plan to be played under them, one by one or many runs at once."""

from __future__ import annotations

from collections.abc import Iterator

from planner.conditions import Conditions
from planner.errors import InputError

LAST_RUN = 10**12


def require_run(run: int, what: str) -> None:
    """Raises InputError for what is no run's number."""
    if not 0 <= run <= LAST_RUN:
        raise InputError(f"{what}: must be 0 to {LAST_RUN}, not {run}")


def require_ranks(conditions: Conditions, size: int) -> None:
    """Raises InputError naming the first condition of a rank that a cluster of `size` does not have."""
    for field, rank in _ranks(conditions):
        if rank >= size:
            there = "only rank 0" if size == 1 else f"ranks 0 to {size - 1}"
            raise InputError(f"conditions: {field}: rank {rank}: the cluster has {there}")


def require_planned_turns(conditions: Conditions) -> None:
    """Raises InputError where the order of things depends on the run: those are played one by one."""
    if conditions.turns != "planned":
        raise InputError(
            f"conditions: turns: {conditions.turns!r} decides anew in each run; play such runs one by one "
            "(planner.simulate), or choose 'planned'"
        )
    if conditions.host_slots is not None:
        raise InputError(
            "conditions: host_slots: who gets a slot differs from run to run; play such runs one by one "
            "(planner.simulate), or leave it out"
        )


def _ranks(conditions: Conditions) -> Iterator[tuple[str, int]]:
    yield from (("stragglers", straggler.rank) for straggler in conditions.stragglers)
    for link in conditions.slow_links:
        yield from (("slow_links", rank) for rank in (link.source, link.target) if rank is not None)
    yield from (("outages", outage.rank) for outage in conditions.outages)
