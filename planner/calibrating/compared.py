"""Planned against measured, a line for each kind of action and of transfer."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field

from planner.action import Action, Kind
from planner.calibrating.observed import Run
from planner.calibrating.replay import Assumed
from planner.calibrating.script import Place, Script
from planner.profile import percentile
from planner.value import Value


class Compared(Value):
    """One kind over all runs: how many, the median planned, the median and 95th percentile measured, and the worst.

    Times are of those whose own time can be seen: no live reader that was held up, no transfer that nothing waited
    for; `median_us` is None where there is none. `worst` took longest beyond its plan, on rank `worst_rank` (of a
    transfer: the receiver).
    """

    what: str
    count: int = Field(ge=1)
    planned_us: int
    median_us: int | None = None
    p95_us: int | None = None
    worst: str = ""
    worst_rank: int = 0
    worst_us: int = 0

    @property
    def ratio(self) -> float | None:
        """Measured over planned."""
        return None if self.median_us is None else self.median_us / max(1, self.planned_us)


class _Sample(NamedTuple):
    planned_us: int
    measured_us: int | None
    action: Action
    rank: int


def compare(script: Script, planned: Assumed, runs: Sequence[Run]) -> tuple[Compared, ...]:
    """The table: compute actions in the order of their first appearance, then transfers by what they carry."""
    samples: dict[str, list[_Sample]] = defaultdict(list)
    for run in runs:
        for places in script.gangs.values():
            lasted, place = max((run.lasted[place], place) for place in places)
            action = script.action(place)
            seen = None if run.held.intersection(places) else lasted
            samples[what(script, place)].append(_Sample(planned.lasts[place], seen, action, place[0]))
        for number, move in enumerate(script.moves):
            action = script.action(move.received)
            wire = run.wires[number] if run.exact[number] else None
            name = f"{move.payload.carries}, a layer" if move.streams else f"{move.payload.carries} sent"
            samples[name].append(_Sample(planned.wires[number], wire, action, move.way[1]))
    return tuple(_compared(name, found) for name, found in samples.items())


def what(script: Script, place: Place) -> str:
    """The kind of a compute action as a user would tell it: `denoise, 3 read`, `tick of 5`, `decode, first`."""
    action, flow = script.action(place), script.flow
    if action.kind in (Kind.DENOISE, Kind.COMMIT):
        item = action.passes[0]
        return f"{action.kind}, {flow.blocks_read(item[0], flow.stage(item))} read"
    if action.kind is Kind.TICK:
        return f"tick of {len(flow.passes_at(action.block))}"
    if action.kind is Kind.BATCH:
        return f"batch of {len(action.batch)}"
    part = "" if action.step is None else f" part {action.step}"
    if action.kind is Kind.SLICE:
        return f"slice{part} of {len(action.batch)}"
    return f"{action.kind}{part}" + (", first" if action.kind is Kind.DECODE and action.block == 0 else "")


def _compared(name: str, samples: Sequence[_Sample]) -> Compared:
    planned = round(statistics.median(sample.planned_us for sample in samples))
    seen = [(sample.measured_us, sample) for sample in samples if sample.measured_us is not None]
    if not seen:
        return Compared(what=name, count=len(samples), planned_us=planned)
    times = sorted(us for us, _ in seen)
    worst_us, worst = max(seen, key=lambda item: item[0] - item[1].planned_us)
    return Compared(
        what=name,
        count=len(samples),
        planned_us=planned,
        median_us=round(statistics.median(times)),
        p95_us=round(percentile(times, 0.95)),
        worst=str(worst.action),
        worst_rank=worst.rank,
        worst_us=worst_us,
    )
