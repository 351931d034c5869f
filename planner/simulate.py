"""`simulate()`: plays a plan in SimPy, a process per rank and one per transfer, and returns a Trace.

Durations are the problem's; with jitter each is stretched by a factor of its own, so order and waiting show.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy
from pydantic import Field

from planner.action import COMING, LEAVING, TRANSFERS, Action, Kind, Payload, TimedAction
from planner.cost import costs
from planner.errors import InfeasibleError, InputError
from planner.flow import Flow
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem
from planner.streams.unroll import unroll
from planner.trace import Trace
from planner.value import Value

Process = Generator[simpy.Event, Any, None]
Stretch = Callable[[Action, int], float]
Way = tuple[int, int]  # from rank, to rank

MAX_ACTIONS = 10**6  # a minute or two


class Jitter(Value):
    """How much longer or shorter actions take than planned: a log-normal factor of median 1, drawn from a seed.

    `spread` is the standard deviation of the factor's logarithm; 0 is no jitter.
    """

    spread: float = Field(ge=0, le=2, default=0.0)
    seed: int = 0


def simulate(plan: Plan, problem: Problem, jitter: Jitter = Jitter()) -> Trace:  # noqa: B008 - frozen value
    """What the plan does if every action takes its planned time, or that times the jitter's factor.

    The ranks follow the plan's order, never its times; without jitter the trace's times equal the plan's. A gang lasts
    as long as its slowest share; the host's time to post a transfer has no jitter. A stream's kernel runs as often as
    it repeats. Raises MismatchError for a plan of another problem, InputError for a stream of too many blocks,
    InfeasibleError naming each rank's action if the plan never finishes.
    """
    plan.require(problem)
    world = _World(_whole(plan), problem, _stretch(jitter))
    world.play()
    return Trace(plan_digest=plan.digest, kind="simulated", last_step=plan.last_step, ranks=world.spans())


def _whole(plan: Plan) -> Plan:
    """The plan with every row that runs: a stream's kernel as often as it repeats."""
    repeat = plan.repeat
    if repeat is None:
        return plan
    kernel = sum(end - begin for begin, end in repeat.places)
    if repeat.copies * kernel > MAX_ACTIONS:
        raise InputError(
            f"plan: {repeat.copies} copies of a kernel of {kernel} actions are too many to simulate; plan a clip of "
            f"at most {MAX_ACTIONS // kernel * repeat.kernel_blocks} blocks"
        )
    return plan.model_copy(update={"ranks": unroll(plan), "repeat": None})


def _stretch(jitter: Jitter) -> Stretch:
    def factor(action: Action, rank: int) -> float:
        # Keyed by what it belongs to, not by call order: the same action is as slow in every plan of the problem.
        return random.Random(f"{jitter.seed}/{rank}/{action}").lognormvariate(0.0, jitter.spread)

    return factor if jitter.spread else lambda _action, _rank: 1.0


class _Gang:
    """Shares of one action that start and end together; an action of one rank is a gang of one."""

    def __init__(self, env: simpy.Environment, size: int) -> None:
        self.missing = size
        self.shares: list[tuple[int, int, Action]] = []  # rank, index in its program
        self.begins: simpy.Event = env.event()


class _Transfer:
    """One payload's way from rank to rank, from the first of its two posts on."""

    def __init__(self, env: simpy.Environment, payload: Payload, way: Way) -> None:
        self.payload, self.way = payload, way
        self.posted: dict[int, tuple[int, Action]] = {}  # by rank: index in its program
        self.ready_us = 0
        self.end_us = 0
        self.first: simpy.Event = env.event()  # the first layer is there
        self.all: simpy.Event = env.event()

    @property
    def streams(self) -> bool:
        """Whether its layers leave as they are made; known once the sender has posted it."""
        return self.posted[self.way[0]][1].kind is Kind.STREAM


class _World:
    """One run: the clock, the lanes and what has arrived where."""

    def __init__(self, plan: Plan, problem: Problem, stretch: Stretch) -> None:
        self.env = simpy.Environment()
        self._plan = plan
        self._flow = Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks)
        self._costs = costs(problem, self._flow)
        self._stretch = stretch
        self._spans: list[list[tuple[int, int] | None]] = [[None] * len(rows) for rows in plan.ranks]
        sizes = Counter(row.action.gang for rows in plan.ranks for row in rows if row.action.is_compute)
        self._gangs = {action: _Gang(self.env, size) for action, size in sizes.items()}
        self._made: dict[tuple[int, Payload], tuple[int, int]] = {}  # when its first layer and when all of it
        self._transfers: dict[tuple[Payload, Way], _Transfer] = {}
        self._coming = [_coming(rank, [row.action for row in rows]) for rank, rows in enumerate(plan.ranks)]
        self._leaving: dict[tuple[int, Payload], list[_Transfer]] = defaultdict(list)
        self._queues: dict[Way, deque[_Transfer]] = defaultdict(deque)
        self._lane_free_us: dict[int, int] = defaultdict(int)

    # -- the clock -------------------------------------------------------------------------------

    def play(self) -> None:
        """Runs until nothing more happens. In each microsecond transfers begin after all else has happened."""
        for rank in range(len(self._plan.ranks)):
            self.env.process(self._walk(rank))
        while (now := self.env.peek()) != math.inf:
            while self.env.peek() == now:
                self.env.step()
            self._begin_transfers()

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

    # -- ranks -----------------------------------------------------------------------------------

    def _walk(self, rank: int) -> Process:
        """A rank: takes its actions in order; computing and freeing make it wait, posting takes the host's time."""
        for index, (action, _, _) in enumerate(self._plan.ranks[rank]):
            if action.kind in TRANSFERS:
                self._post(rank, index, action)
                if self._costs.post_us:
                    yield self.env.timeout(self._costs.post_us)
            elif action.kind is Kind.FREE:
                yield self.env.all_of(self._moves(rank, action.payload))
                self._spans[rank][index] = (self._now, self._now)
            else:
                if (release := self._flow.release_us(action)) > self._now:
                    yield self.env.timeout(release - self._now)
                yield self.env.all_of(self._inputs(rank, action))
                end_us = yield self._join(rank, index, action)
                yield self.env.timeout(end_us - self._now)

    def _inputs(self, rank: int, action: Action) -> list[simpy.Event]:
        """What the rank waits for: all that it receives for the action, of a live stream only the first layer."""
        beside = self._flow.beside(action)
        events = []
        for payload in self._flow.needs(action):
            if payload in self._coming[rank]:
                transfer = self._transfer(payload, self._coming[rank][payload])
                events.append(transfer.first if payload in beside else transfer.all)
        return events

    def _moves(self, rank: int, payload: Payload) -> list[simpy.Event]:
        moves = [transfer.all for transfer in self._leaving[rank, payload]]
        if payload in self._coming[rank]:
            moves.append(self._transfer(payload, self._coming[rank][payload]).all)
        return moves

    def _join(self, rank: int, index: int, action: Action) -> simpy.Event:
        """Brings a share to its gang; the gang begins with its last, and its event tells when it ends."""
        gang = self._gangs[action.gang]
        gang.shares.append((rank, index, action))
        gang.missing -= 1
        if not gang.missing:
            gang.begins.succeed(self._run(gang))
        return gang.begins

    def _run(self, gang: _Gang) -> int:
        """When a gang that begins now ends: its slowest share's time, and a layer after all that it reads live."""
        start = self._now
        lasts = max(self._stretched(self._costs.compute_us(share, rank), share, rank) for rank, _, share in gang.shares)
        layer = -(-lasts // self._costs.spec.layers)
        end = max([start + lasts, *(there + layer for there in self._streams_end(gang))])
        for rank, index, share in gang.shares:
            self._spans[rank][index] = (start, end)
            for payload in self._flow.makes(share):
                self._made[rank, payload] = start + layer, end
        if self._flow.pattern.is_live:
            self.env.timeout(layer)  # a stream may begin then
        return end

    def _streams_end(self, gang: _Gang) -> list[int]:
        ends = []
        for rank, _, share in gang.shares:
            for payload in self._flow.beside(share):
                if payload in self._coming[rank]:
                    transfer = self._transfer(payload, self._coming[rank][payload])
                    ends += [transfer.end_us] if transfer.streams else []
        return ends

    # -- transfers -------------------------------------------------------------------------------

    def _transfer(self, payload: Payload, way: Way) -> _Transfer:
        if (payload, way) not in self._transfers:
            self._transfers[payload, way] = _Transfer(self.env, payload, way)
        return self._transfers[payload, way]

    def _post(self, rank: int, index: int, action: Action) -> None:
        assert action.peer is not None
        leaves = action.kind in LEAVING
        transfer = self._transfer(action.payload, (rank, action.peer) if leaves else (action.peer, rank))
        transfer.posted[rank] = index, action
        transfer.ready_us = self._now
        if leaves:
            self._leaving[rank, action.payload].append(transfer)
            self._queues[transfer.way].append(transfer)

    def _begin_transfers(self) -> None:
        """Begins all that can: each way's in the order of its sends; on shared lanes the longest ready, then by place
        in the sender's program, then by way.
        """
        heads = [queue[0] for queue in self._queues.values() if queue]
        ready = [
            (at_us, transfer.posted[transfer.way[0]][0], transfer.way, transfer)
            for transfer in heads
            if (at_us := self._ready_us(transfer)) >= 0
        ]
        for _, _, way, transfer in sorted(ready, key=lambda item: item[:3]):
            lanes = self._costs.wire(*way).lanes
            if all(self._lane_free_us[lane] <= self._now for lane in lanes):
                self._begin(transfer)
                for lane in lanes:
                    self._lane_free_us[lane] = transfer.end_us

    def _ready_us(self, transfer: _Transfer) -> int:
        """Since when a transfer could begin, -1 if it cannot yet: both posted and, of a stream, a layer made."""
        if len(transfer.posted) < 2:
            return -1
        if not transfer.streams:
            return transfer.ready_us
        first, _ = self._made.get((transfer.way[0], transfer.payload), (math.inf, 0))
        return max(transfer.ready_us, int(first)) if first <= self._now else -1

    def _begin(self, transfer: _Transfer) -> None:
        """Sends a transfer off: whole, or a layer at a time, each when it is made and the one before is there."""
        costs_, way, start = self._costs, transfer.way, self._now
        queue = self._queues[way]
        queue.popleft()
        if queue:
            queue[0].ready_us = max(queue[0].ready_us, start)
        action = transfer.posted[way[0]][1]
        if transfer.streams:
            layer = self._stretched(costs_.stream_layer_us(transfer.payload, *way), action, way[0])
            made = self._made[way[0], transfer.payload][1]
            transfer.end_us = max(made, start + (costs_.spec.layers - 1) * layer) + layer
        else:
            layer = self._stretched(costs_.transfer_us(transfer.payload, *way), action, way[0])
            transfer.end_us = start + layer
        for rank, (index, _) in transfer.posted.items():
            self._spans[rank][index] = (start, transfer.end_us)
        self.env.process(self._travel(transfer, layer))

    def _travel(self, transfer: _Transfer, first_us: int) -> Process:
        yield self.env.timeout(first_us)
        transfer.first.succeed()
        yield self.env.timeout(transfer.end_us - self._now)
        transfer.all.succeed()

    def _stretched(self, planned_us: int, action: Action, rank: int) -> int:
        return max(1, round(planned_us * self._stretch(action, rank)))


def _coming(rank: int, program: Sequence[Action]) -> dict[Payload, Way]:
    """What a rank receives, and on which way."""
    return {
        action.payload: (action.peer, rank) for action in program if action.kind in COMING and action.peer is not None
    }
