"""A schedule from what CP-SAT answers: units told apart, everything timed anew."""

from __future__ import annotations

from typing import NamedTuple

from planner.bounds.candidates import leaders
from planner.instance import ORDER, Instance, Schedule
from planner.schedulers.pools import Pool, chained
from planner.schedulers.replay import Send, replay


class Answer(NamedTuple):
    """The pool of each task, when it starts, and when each transfer does, in ticks."""

    pools: list[Pool]
    starts: list[int]
    sends: dict[Send, int]


def schedule_of(instance: Instance, answer: Answer, tick_us: int) -> Schedule | None:
    """The answer's order of tasks and transfers, each as early as that allows; None if it makes no sense.

    No unit is later than the answer says, unless chains had to stay on a unit that the answer does not know of.
    """
    units = _units(instance, answer, tick_us)
    needed = {
        (payload, units[reader])
        for reader, reads in enumerate(instance.inputs)
        for maker, payload in reads
        if payload != ORDER and instance.wires is not None and units[maker] != units[reader]
    }
    tasks: list[tuple[int, int | Send]] = [(start, task) for task, start in enumerate(answer.starts)]
    sends: list[tuple[int, int | Send]] = [(start, send) for send, start in answer.sends.items() if send in needed]
    # Makers come before readers; sorting is stable.
    return replay(instance, units, [item for _, item in sorted(tasks + sends, key=lambda timed: timed[0])])


def _units(instance: Instance, answer: Answer, tick_us: int) -> list[int]:
    """A unit of its pool for each task. Chains have the first ones; others go there only if no other is free."""
    numbers, leads = chained(instance), leaders(instance)
    units = [pool[0] for pool in answer.pools]
    free_us = [0] * instance.units
    for task in sorted(range(instance.size), key=lambda task: (answer.starts[task], task)):
        pool, start_us = answer.pools[task], answer.starts[task] * tick_us
        if leads[task] in numbers:
            units[task] = pool[numbers[leads[task]] % len(pool)]
        else:
            units[task] = min(pool, key=lambda unit: (max(free_us[unit], start_us), -unit))
        free_us[units[task]] = max(free_us[units[task]], start_us) + instance.durations[task][units[task]]
    return units
