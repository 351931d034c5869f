"""`simulate()`: plays a plan in SimPy, a process per rank and a resource per link, and returns a Trace.

Durations are the problem's; with jitter each is stretched by a factor of its own, so order and waiting show.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import simpy
from pydantic import Field

from planner.action import Action, Kind, Payload, TimedAction
from planner.cost import Costs, costs
from planner.errors import InfeasibleError
from planner.graph import inputs
from planner.plan import Plan
from planner.problem import Problem
from planner.trace import Trace
from planner.value import Value

Process = Generator[simpy.Event, Any, None]
Stretch = Callable[[Action, int], float]


class Jitter(Value):
    """How much longer or shorter actions take than planned: a log-normal factor of median 1, drawn from a seed.

    `spread` is the standard deviation of the factor's logarithm; 0 is no jitter.
    """

    spread: float = Field(ge=0, le=2, default=0.0)
    seed: int = 0


def simulate(plan: Plan, problem: Problem, jitter: Jitter = Jitter()) -> Trace:  # noqa: B008 - frozen value
    """What the plan does if every action takes its planned time, or that times the jitter's factor.

    The ranks follow the plan's order, never its times; without jitter the trace's times equal the plan's. Raises
    MismatchError for a plan of another problem, InfeasibleError naming each rank's action if the plan never finishes.
    """
    plan.require(problem)
    world = _World(plan, problem, _stretch(jitter))
    for rank in range(len(plan.ranks)):
        world.env.process(world.walk(rank))
    world.env.run()
    return Trace(plan_digest=plan.digest, kind="simulated", last_step=plan.last_step, ranks=world.spans())


def _stretch(jitter: Jitter) -> Stretch:
    def factor(action: Action, rank: int) -> float:
        # Keyed by what it belongs to, not by call order: the same action is as slow in every plan of the problem.
        return random.Random(f"{jitter.seed}/{rank}/{action}").lognormvariate(0.0, jitter.spread)

    return factor if jitter.spread else lambda _action, _rank: 1.0


class _World:
    """One run: the clock, the links and what has arrived where."""

    def __init__(self, plan: Plan, problem: Problem, stretch: Stretch) -> None:
        self.env = simpy.Environment()
        self._plan = plan
        self._problem = problem
        self._costs: Costs = costs(problem)
        self._stretch = stretch
        self._links: dict[tuple[int, int], simpy.Resource] = defaultdict(lambda: simpy.Resource(self.env))
        self._posted: dict[tuple[Kind, Payload, int, int], simpy.Event] = defaultdict(self.env.event)
        self._arrived: dict[tuple[int, Payload], simpy.Event] = defaultdict(self.env.event)
        self._left: dict[tuple[int, Payload], list[simpy.Event]] = defaultdict(list)
        self._spans: list[list[tuple[int, int] | None]] = [[None] * len(rows) for rows in plan.ranks]
        self._receives = [{row.action.payload for row in rows if row.action.kind is Kind.RECV} for rows in plan.ranks]

    def walk(self, rank: int) -> Process:
        """A rank: takes its actions in order; only computing and freeing make it wait."""
        for index, (action, _, _) in enumerate(self._plan.ranks[rank]):
            if action.kind in (Kind.SEND, Kind.RECV):
                self._post(rank, index, action)
            elif action.kind is Kind.FREE:
                yield self.env.all_of(self._left[rank, action.payload])
                self._spans[rank][index] = (self._now, self._now)
            else:
                yield self.env.all_of(self._inputs(rank, action))
                start = self._now
                yield self.env.timeout(self._duration(self._costs.compute_us(action, rank), action, rank))
                self._spans[rank][index] = (start, self._now)

    def spans(self) -> tuple[tuple[TimedAction, ...], ...]:
        """The run's rows. Raises InfeasibleError if some rank did not get to its end."""
        stuck = []
        for rank, (rows, spans) in enumerate(zip(self._plan.ranks, self._spans, strict=True)):
            if None in spans:
                stuck.append(f"r{rank} at {rows[spans.index(None)].action}")
        if stuck:
            raise InfeasibleError(f"the plan never finishes: {', '.join(stuck)}")
        return tuple(
            tuple(TimedAction(row.action, *span) for row, span in zip(rows, spans, strict=True) if span is not None)
            for rows, spans in zip(self._plan.ranks, self._spans, strict=True)
        )

    @property
    def _now(self) -> int:
        return int(self.env.now)

    def _inputs(self, rank: int, action: Action) -> list[simpy.Event]:
        needed = (payload for _, payload in inputs(self._problem, self._plan.pattern, action))
        return [self._arrived[rank, payload] for payload in needed if payload in self._receives[rank]]

    def _post(self, rank: int, index: int, action: Action) -> None:
        assert action.peer is not None
        source, target = (rank, action.peer) if action.kind is Kind.SEND else (action.peer, rank)
        here = self._posted[action.kind, action.payload, source, target]
        if not here.triggered:
            here.succeed(index)
        if action.kind is Kind.SEND:
            done = self.env.event()
            self._left[rank, action.payload].append(done)
            self.env.process(self._transfer(action, source, target, index, done))

    def _transfer(self, action: Action, source: int, target: int, index: int, done: simpy.Event) -> Process:
        """One payload over its link: links serve sends in the order they were posted."""
        payload = action.payload
        with self._links[source, target].request() as turn:
            yield turn
            other = yield self._posted[Kind.RECV, payload, source, target]
            start = self._now
            yield self.env.timeout(self._duration(self._costs.transfer_us(payload), action, source))
            self._spans[source][index] = self._spans[target][other] = (start, self._now)
        done.succeed()
        self._arrived[target, payload].succeed()

    def _duration(self, planned_us: int, action: Action, rank: int) -> int:
        return max(1, round(planned_us * self._stretch(action, rank)))
