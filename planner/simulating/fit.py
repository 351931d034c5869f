"""`fit_jitter()`: how times varied in measured runs, as the distributions that a simulation draws from."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from planner.action import SIDE_WORK
from planner.calibrate import calibrate
from planner.calibrating.losses import medians, planned_as
from planner.calibrating.observed import Run, observe
from planner.calibrating.script import Place, Script, script
from planner.conditions import SLOWEST, Conditions, Jitter, Spread
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem
from planner.simulating.maxplus import Program
from planner.streams.unroll import unroll
from planner.trace import Trace

QUANTILES = 21
RUNS = 400  # simulated, to find the median makespan
CLOSE = 1e-4  # how far it may be from what was measured
STEPS = 50  # at most, on the way there


def fit_jitter(plan: Plan, problem: Problem, traces: Sequence[Trace]) -> Jitter:
    """How the runs vary around what `planner.calibrate` makes of them: the problem calibrated by these traces, under
    this jitter, resembles them.

    `runs`: each run's median factor over its kinds' medians. `ranks`: each rank's beside its run's. `passes` and
    `side`: what is left of each action. `transfers`: those whose arrival was seen, over the median of their kind. Each
    as 21 quantiles; of one run, or of one rank, the spread among runs or ranks is not known and is none. Raises
    MismatchError for traces of another plan or with actions missing, InputError without a trace or for one in which
    nothing took any time.
    """
    if not traces:
        raise InputError("traces: fitting jitter takes at least one")
    for trace in traces:
        trace.require(plan)
    lines = script(plan, problem)
    planned = planned_as(lines, unroll(plan))
    runs = [observe(lines, trace, planned) for trace in traces]
    ratios = _ratios(lines, runs)
    if not all(ratios):
        raise InputError("traces: no compute action of a run took any time of its own; run the plan again")
    ranks = [_medians(by_place) for by_place in ratios]
    whole = [statistics.median(found.values()) for found in ranks]
    beside = [factor / of_run for found, of_run in zip(ranks, whole, strict=True) for factor in found.values()]
    own = [
        (lines.action(place).kind in SIDE_WORK, factor / found[place[0]])
        for by_place, found in zip(ratios, ranks, strict=True)
        for place, factor in by_place.items()
    ]
    return Jitter(
        passes=spread(factor for is_side, factor in own if not is_side),
        side=spread(factor for is_side, factor in own if is_side),
        transfers=spread(_transfers(lines, planned.wires, runs)),
        ranks=spread(beside if len(lines.programs) > 1 else ()),
        runs=spread(whole if len(runs) > 1 else ()),
    )


def spread(factors: Iterable[float]) -> Spread:
    """The quantiles of positive factors; none if they do not vary."""
    found = [factor for factor in factors if factor > 0]
    if not found or min(found) == max(found):
        return Spread()
    at = np.quantile(found, np.linspace(0, 1, QUANTILES))
    return Spread(quantiles=tuple(float(value) for value in np.minimum(np.maximum.accumulate(at), SLOWEST)))


def _ratios(lines: Script, runs: Sequence[Run]) -> list[dict[Place, float]]:
    """By run and share, how long it took over the median of its kind; live readers that were held up left out."""
    typical = medians(lines, runs).of_kind
    return [
        {
            place: run.lasted[place] / of_kind
            for places in lines.gangs.values()
            for place in places
            if not run.held.intersection(places) and (of_kind := typical.get(lines.key(places[0]), 0))
        }
        for run in runs
    ]


def _medians(ratios: Mapping[Place, float]) -> dict[int, float]:
    by_rank: dict[int, list[float]] = defaultdict(list)
    for (rank, _), ratio in ratios.items():
        by_rank[rank].append(ratio)
    return {rank: statistics.median(found) or 1.0 for rank, found in by_rank.items()}


def _transfers(lines: Script, planned: Sequence[int], runs: Sequence[Run]) -> list[float]:
    """What moves took over the median of those that are planned to take as long on as many lanes."""
    kinds: dict[object, list[int]] = defaultdict(list)
    for run in runs:
        for number, move in enumerate(lines.moves):
            if run.exact[number] and run.wires[number] > 0:
                kinds[planned[number], move.streams].append(run.wires[number])
    typical = {kind: statistics.median(found) for kind, found in kinds.items()}
    return [us / typical[kind] for kind, found in kinds.items() for us in found]


class Measured(NamedTuple):
    """A plan and its problem with the durations of measured runs, and how those varied."""

    plan: Plan
    problem: Problem
    jitter: Jitter


def as_measured(plan: Plan, problem: Problem, traces: Sequence[Trace]) -> Measured:
    """What a simulation takes to resemble measured runs of the plan, which keeps its order.

    What actions' own times do not tell, such as gaps between them, ranks that begin late and what is slow on all ranks
    at once, counts as compute that is slower or faster in all runs: by as much as brings the median makespan to that of
    the traces. Raises as `fit_jitter`, and InputError if no compute, however slow or quick, brings it there.
    """
    jitter = fit_jitter(plan, problem, traces)
    known = calibrate(problem, plan, *traces).calibrated(problem)
    played = plan.model_copy(update={"problem_digest": known.digest})
    program = Program.of(played, known)

    def median_us(factor: float) -> float:
        conditions = Conditions(jitter=_slowed(jitter, factor))
        return float(np.median(program.play(conditions, RUNS).makespan_us))

    wanted = statistics.median(trace.makespan_us for trace in traces)
    return Measured(played, known, _slowed(jitter, _factor(median_us, wanted)))


def _factor(median_us: Callable[[float], float], wanted: float) -> float:
    """On all compute, so that the median makespan is the wanted one; it never falls as the factor rises."""
    low, high = -math.log(SLOWEST), math.log(SLOWEST)
    least, most, at = low, high, 0.0
    found = median_us(1.0)
    for step in range(STEPS):
        if abs(found - wanted) <= CLOSE * wanted:
            break
        low, high = (at, high) if found < wanted else (low, at)
        # As if compute were all that takes time, and every other time the middle.
        guess = at + math.log(wanted / found) if wanted and not step % 2 else least
        at = guess if low < guess < high else (low + high) / 2
        found = median_us(math.exp(at))
    else:
        # What jumps over the wanted one from microsecond to microsecond is as near as can be.
        if most == high or least == low:
            raise InputError(_unmet(found, wanted))
    return math.exp(at)


def _unmet(found: float, wanted: float) -> str:
    slow = "slow" if found < wanted else "quick"
    return (
        f"traces: their median makespan is {wanted / 1000:.3f} ms, the plan's {found / 1000:.3f} ms by their actions "
        f"and transfers, however {slow} the compute; simulate without them, and tell what slowed the runs as conditions"
    )


def _slowed(jitter: Jitter, factor: float) -> Jitter:
    if factor == 1:
        return jitter
    quantiles = tuple(min(value * factor, SLOWEST) for value in jitter.runs.quantiles or (1.0, 1.0))
    return jitter.model_copy(update={"runs": Spread(quantiles=quantiles)})
