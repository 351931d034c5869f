"""What the clip's length hangs on: the plan's order played again with one kind of duration longer or shorter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from planner.action import OF_PASSES, Kind
from planner.calibrating.losses import planned_as
from planner.calibrating.replay import Assumed, play
from planner.calibrating.script import Place, Script, script
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem
from planner.rows import finished_us, makespan_us
from planner.streams.unroll import unroll

CHANGES = (-0.1, 0.1)
MOST_ACTIONS = 20_000  # a second or so for each replay
PASSES = OF_PASSES | {Kind.DENOISE, Kind.COMMIT}


class Effect(NamedTuple):
    """What a change of some durations does: the clip and its first block, before and after, in microseconds.

    `change` is the share by which they are longer; negative if shorter.
    """

    what: str
    change: float
    makespan_us: int
    first_block_us: int
    base_us: int
    base_first_us: int

    @property
    def makespan_change(self) -> float:
        return self.makespan_us / self.base_us - 1 if self.base_us else 0.0

    @property
    def first_block_change(self) -> float:
        return self.first_block_us / self.base_first_us - 1 if self.base_first_us else 0.0


def sensitivity(plan: Plan, problem: Problem) -> tuple[Effect, ...]:
    """The effect of each kind of work, of the links and of each rank taking a tenth less and a tenth more.

    The order stays the plan's, as an executor would keep it, so a search might find better plans. Raises MismatchError
    for a plan of another problem, InputError for one of more than MOST_ACTIONS actions.
    """
    rows = unroll(plan)
    count = sum(map(len, rows))
    if count > MOST_ACTIONS:
        raise InputError(
            f"plan: {count} actions; the sensitivity is of clips of at most {MOST_ACTIONS}, plan fewer blocks"
        )
    lines = script(plan, problem)
    planned = planned_as(lines, rows)
    base = _figures(lines, planned, plan.last_step)
    found = []
    for what, changed in _kinds(lines, planned):
        for change in CHANGES:
            figures = _figures(lines, changed(1 + change), plan.last_step)
            found.append(Effect(what, change, *figures, *base))
    return tuple(found)


def _kinds(lines: Script, planned: Assumed) -> Iterator[tuple[str, Callable[[float], Assumed]]]:
    """What can change, by name, and what the replay assumes if it does so by a factor."""
    actions = {place: lines.action(place) for place in planned.lasts}
    decodes = {place for place, action in actions.items() if action.kind is Kind.DECODE}
    passes = {place for place, action in actions.items() if action.kind in PASSES}
    for what, places in (
        ("denoise and clean passes", passes),
        ("decodes", decodes),
        ("encode, recache, text", set(actions) - decodes - passes),
    ):
        if places:
            yield what, _compute(planned, places)
    if lines.moves:
        yield "transfers", lambda factor: planned._replace(wires=tuple(_times(us, factor) for us in planned.wires))
    ranks = sorted({place[0] for place in actions})
    for rank in ranks if len(ranks) > 1 else ():
        yield f"all of rank {rank}", _compute(planned, {place for place in actions if place[0] == rank})


def _compute(planned: Assumed, places: set[Place]) -> Callable[[float], Assumed]:
    def changed(factor: float) -> Assumed:
        lasts = {place: _times(us, factor) if place in places else us for place, us in planned.lasts.items()}
        return planned._replace(lasts=lasts)

    return changed


def _times(us: int, factor: float) -> int:
    return round(us * factor)


def _figures(lines: Script, assumed: Assumed, last_step: int) -> tuple[int, int]:
    rows = play(lines, assumed).rows
    return makespan_us(rows), finished_us(rows, last_step)[0]
