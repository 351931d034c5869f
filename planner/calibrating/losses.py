"""Why a run took longer than planned: the difference split by cause, to the microsecond.

The plan's order is replayed again and again, each time with one more of the run's own figures in place of the planned
one; what a cause costs is by how much the replay gets longer when its figures come in. So the parts sum to the whole
difference, and a part may be negative: a gain. What comes in later is counted only where what came before left it on
the critical path: a slow transfer behind a pass that is slower still costs nothing.

    slow pass          passes take their kind's measured median instead of the planned time
    slow decode        so do decodes, encodes, re-caching and text
    imbalance          ranks differ: each rank's own median of the kind
    jitter             actions of one kind on one rank differ: each its own time
    exposed transfer   transfers take their measured time, and come one after the other in the measured order
    posting            posting a send or a receive takes the host as long as it was seen to, where it was
    waiting for data   transfers begin later than both ends' programs and the way would let them: posted or begun late
    launch gaps        actions start later than the rank is free and their inputs there
    rest               idle time of the plan that a run need not keep, live readers held up in ways that the replay
                       cannot tell, and ends that were noticed after the last action

Where it is ambiguous: an action that ran once is the median of its kind, so all it lost is a slow pass. What a joint
tick waits for inside (K/V going round in each layer) counts as its duration, from the last share's start on. A live
reader that ended with what it read has no duration of its own to be seen: its kind's median stands for it, and the
rest is put down to what it waited for. On the CPU a transfer takes cores from the passes beside it: slow pass.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from planner.action import SIDE_WORK
from planner.calibrating.observed import Run
from planner.calibrating.replay import Assumed, Played, lane_order, play
from planner.calibrating.script import Script
from planner.rows import Rows, finished_us, lengths_us
from planner.value import Value

Cause = Literal[
    "slow pass",
    "slow decode",
    "imbalance",
    "jitter",
    "exposed transfer",
    "posting",
    "waiting for data",
    "launch gaps",
    "rest",
]


class Loss(Value):
    """What one cause adds: to the makespan, and to the time from the first finished block to the last."""

    cause: Cause
    makespan_us: int
    steady_us: int


class RankTime(Value):
    """What a rank did with the run's makespan: the last four sum to it.

    `waiting_us`: it was there, what it needed was not. `gaps_us`: all else between actions, such as posting, freeing
    and launching. `idle_us`: after its last action.
    """

    rank: int
    planned_busy_us: int
    busy_us: int
    waiting_us: int
    gaps_us: int
    idle_us: int


class Losses(Value):
    """Planned against measured. The parts sum to the differences, exactly.

    `steady`: from the first finished block to the last; over `blocks` - 1 that is the period.
    """

    planned_us: int
    measured_us: int
    planned_steady_us: int
    measured_steady_us: int
    blocks: int
    parts: tuple[Loss, ...]
    ranks: tuple[RankTime, ...]

    @property
    def whole_us(self) -> int:
        return self.measured_us - self.planned_us

    @property
    def planned_period_us(self) -> float:
        """Mean time between finished blocks as planned; 0 for one block."""
        return self.planned_steady_us / max(1, self.blocks - 1)

    @property
    def measured_period_us(self) -> float:
        return self.measured_steady_us / max(1, self.blocks - 1)


class Medians(NamedTuple):
    """Measured durations by what they depend on, over all runs: of a kind of action, and of a kind on a rank."""

    of_kind: Mapping[object, int]
    on_rank: Mapping[tuple[object, int], int]


def planned_as(script: Script, rows: Rows) -> Assumed:
    """What the plan assumes: the cost model's durations, and its own order on shared lanes."""
    wires = tuple(map(script.wire_us, range(len(script.moves))))
    begun = [rows[move.sent[0]][move.sent[1]].start_us for move in script.moves]
    lasts = {place: script.compute_us(place) for place in script.inputs}
    return Assumed(lasts, wires, lane_order(script, begun))


def medians(script: Script, runs: Sequence[Run]) -> Medians:
    """Medians over all runs, live readers that were held up left out. A gang lasts as long as its slowest share."""
    of_kind: dict[object, list[int]] = defaultdict(list)
    on_rank: dict[tuple[object, int], list[int]] = defaultdict(list)
    for run in runs:
        for places in script.gangs.values():
            if not run.held.intersection(places):
                key = script.key(places[0])
                of_kind[key].append(max(run.lasted[place] for place in places))
                for place in places:
                    on_rank[key, place[0]].append(run.lasted[place])
    return Medians({k: _median(v) for k, v in of_kind.items()}, {k: _median(v) for k, v in on_rank.items()})


def losses(script: Script, planned_rows: Rows, planned: Assumed, run: Run, typical: Medians, last_step: int) -> Losses:
    """The difference between a plan and one run of it, by cause."""
    steps = list(_steps(script, planned, run, typical))
    followed = play(script, steps[-1][1], run.facts)
    steps += list(_delayed(steps[-1][1], followed))
    figures = [lengths_us(planned_rows, last_step)]
    figures += [lengths_us(play(script, assumed).rows, last_step) for _, assumed in steps]
    # The first replay is the plan's own; where it is shorter the plan had idle time, which is part of the rest.
    slack = [after - before for before, after in zip(figures[0], figures[1], strict=True)]
    parts = [
        Loss(cause=cause, makespan_us=after[0] - before[0], steady_us=after[1] - before[1])
        for (cause, _), before, after in zip(steps[1:], figures[1:-1], figures[2:], strict=True)
    ]
    measured = lengths_us(run.rows, last_step)
    rest = [slack[at] + measured[at] - figures[-1][at] for at in range(2)]
    return Losses(
        planned_us=figures[0][0],
        measured_us=measured[0],
        planned_steady_us=figures[0][1],
        measured_steady_us=measured[1],
        blocks=len(finished_us(planned_rows, last_step)),
        parts=(*parts, Loss(cause="rest", makespan_us=rest[0], steady_us=rest[1])),
        ranks=tuple(_rank_times(script, planned, run, followed, measured[0])),
    )


def _steps(script: Script, planned: Assumed, run: Run, typical: Medians) -> Iterator[tuple[Cause, Assumed]]:
    """What each replay assumes, one figure more of the run each time; the first is the plan."""
    lasts = dict(planned.lasts)
    yield "rest", planned
    keys = {place: script.key(place) for place in lasts}
    side = {place for place in lasts if script.action(place).kind in SIDE_WORK}
    kind = {place: typical.of_kind.get(key, lasts[place]) for place, key in keys.items()}
    # Who was held up for longer than that lasts at most what it was seen to last.
    kind.update((place, min(kind[place], run.lasted[place])) for place in run.held)
    yield "slow pass", planned._replace(lasts=lasts | {p: us for p, us in kind.items() if p not in side})
    yield "slow decode", planned._replace(lasts=kind)
    on_rank = {p: kind[p] if p in run.held else typical.on_rank[key, p[0]] for p, key in keys.items()}
    yield "imbalance", planned._replace(lasts=on_rank)
    own = {place: on_rank[place] if place in run.held else lasted for place, lasted in run.lasted.items()}
    yield "jitter", planned._replace(lasts=own)
    sent = planned._replace(lasts=own, wires=run.wires, after=run.after)
    yield "exposed transfer", sent
    yield "posting", sent._replace(posts=run.posts)


def _delayed(assumed: Assumed, followed: Played) -> Iterator[tuple[Cause, Assumed]]:
    late = followed.delays
    yield "waiting for data", assumed._replace(delays=assumed.delays._replace(moves=late.moves))
    yield "launch gaps", assumed._replace(delays=late._replace(ends={}))


def _rank_times(script: Script, planned: Assumed, run: Run, followed: Played, makespan: int) -> Iterator[RankTime]:
    for rank, program in enumerate(script.programs):
        places = [(rank, index) for index, action in enumerate(program) if action.is_compute]
        rows = [run.rows[rank][index] for _, index in places]
        busy = sum(row.end_us - row.start_us for row in rows)
        waiting = sum(
            max(0, min(row.start_us, followed.ready[p]) - followed.came[p]) for p, row in zip(places, rows, strict=True)
        )
        last = max((row.end_us for row in rows), default=0)
        yield RankTime(
            rank=rank,
            planned_busy_us=sum(planned.lasts[place] for place in places),
            busy_us=busy,
            waiting_us=waiting,
            gaps_us=last - busy - waiting,
            idle_us=makespan - last,
        )


def _median(values: Sequence[int]) -> int:
    return round(statistics.median(values))
