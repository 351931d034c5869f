"""A plan as a graph of moments: what each waits for if the plan's order is kept, whatever anything lasts.

Nodes are numbered. Those of compute actions are gangs: all shares of one action are one node.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from planner.action import TRANSFERS, Action, Kind
from planner.calibrating.replay import lane_order
from planner.calibrating.script import Place, Script, script
from planner.conditions import Player
from planner.errors import InfeasibleError
from planner.measuring.playing import play_marks_us
from planner.plan import Plan
from planner.problem import Problem
from planner.simulating.stopped import never_finishes
from planner.streams.unroll import unroll

# A node has two moments: when it is over, and an earlier one that others may wait for: a transfer's first layer there,
# a pass's first layer made, a post made.
OVER, EARLY = 0, 1


def over(node: int) -> int:
    return 2 * node + OVER


def early(node: int) -> int:
    return 2 * node + EARLY


class OfBlocks(NamedTuple):
    """What an action is to blocks: their first pass, their last step, a part of what finishes them."""

    begins: tuple[int, ...]
    cleans: tuple[int, ...]
    finishes: tuple[int, ...]


class Gang(NamedTuple):
    """A compute action on all its ranks. `release_us`: before which its prompt is not there."""

    shares: tuple[Place, ...]
    release_us: int
    blocks: OfBlocks


class Node(NamedTuple):
    """What happens: `number` is a rank, a gang, a move or a block. It begins once all `ready` moments are past, and is
    over no sooner than a layer after all `live` ones.
    """

    kind: str  # "start" | "post" | "free" | "gang" | "move" | "play"
    number: int
    ready: tuple[int, ...]
    live: tuple[int, ...] = ()


class Graph(NamedTuple):
    """The nodes by number, in an order in which each comes after all it waits for: `order`.

    `marks_us`: from the begin of playing on, when each block's turn comes.
    """

    script: Script
    player: Player
    gangs: tuple[Gang, ...]
    nodes: tuple[Node, ...]
    order: tuple[int, ...]
    marks_us: tuple[int, ...]

    @property
    def blocks(self) -> int:
        return self.script.flow.blocks


def graph(plan: Plan, problem: Problem, player: Player) -> Graph:
    """The graph of a plan of this problem, a stream's kernel as often as it repeats.

    Raises MismatchError for a plan of another problem, InputError if it is too long, InfeasibleError if it never
    finishes in its own order.
    """
    plan.require(problem)
    read, rows = script(plan, problem), unroll(plan)
    begun = [rows[move.sent[0]][move.sent[1]].start_us for move in read.moves]
    builder = _Builder(read, lane_order(read, begun), player)
    nodes = tuple(builder.nodes())
    return Graph(read, player, builder.gangs, nodes, _order(nodes, builder), builder.marks_us)


class _Builder:
    """Numbers the nodes: each rank's start, then the ranks' programs one after the other, moves, and blocks played."""

    def __init__(self, read: Script, after: tuple[tuple[int, ...], ...], player: Player) -> None:
        self._script, self._after, self._player = read, after, player
        programs = read.programs
        self.firsts = [len(programs)]
        for program in programs:
            self.firsts.append(self.firsts[-1] + len(program))
        self._moves_from = self.firsts[-1]
        self._plays_from = self._moves_from + len(read.moves)
        self._leader = {place: places[0] for places in read.gangs.values() for place in places}
        self.marks_us = tuple(int(mark) for mark in play_marks_us(read.costs.spec, read.flow.blocks))
        self._of_blocks = _of_blocks(read)
        self._finishers = _finishers(self._of_blocks)
        self._number = {places[0]: number for number, places in enumerate(read.gangs.values())}
        self.gangs = tuple(self._gang(gang, places) for gang, places in read.gangs.items())
        self._ends: dict[Place, int] = {}
        for number, move in enumerate(read.moves):
            self._ends[move.sent] = self._ends[move.received] = self._moves_from + number

    def node_of(self, place: Place) -> int:
        """The node that stands for an action on its rank; of a gang, its first share's."""
        rank, index = self._leader.get(place, place)
        return self.firsts[rank] + index

    def _happens(self, place: Place) -> int:
        """The node that gives an action its row: of a post, the transfer."""
        return self._ends.get(place) or self.node_of(place)

    def nodes(self) -> Iterator[Node]:
        for rank in range(len(self._script.programs)):
            yield Node("start", rank, ())
        for rank, program in enumerate(self._script.programs):
            for index, action in enumerate(program):
                yield self._action((rank, index), action)
        for number in range(len(self._script.moves)):
            yield self._move(number)
        if self._player.queue_blocks is not None:
            yield from self._plays()

    def never(self, missing: Sequence[int]) -> str:
        """What to say of a plan some of whose nodes never have all they wait for."""
        stuck = []
        for rank, program in enumerate(self._script.programs):
            places = ((rank, index) for index in range(len(program)))
            at = next((place for place in places if missing[self._happens(place)]), None)
            stuck += [] if at is None else [f"r{rank} at {self._script.action(at)}"]
        return never_finishes(stuck, self._player)

    # -- actions ---------------------------------------------------------------------------------

    def _gang(self, gang: Action, places: tuple[Place, ...]) -> Gang:
        release = max(self._script.flow.release_us(self._script.action(place)) for place in places)
        return Gang(places, release, self._of_blocks[gang])

    def _action(self, place: Place, action: Action) -> Node:
        if action.kind in TRANSFERS:
            return Node("post", place[0], (self._before(place),))
        if action.kind is Kind.FREE:
            moves = (over(self._moves_from + number) for number in self._script.clears[place])
            return Node("free", place[0], (self._before(place), *moves))
        if self._leader[place] != place:
            return Node("share", place[0], ())
        return self._compute(self._script.gangs[action.gang], self._number[place])

    def _compute(self, places: tuple[Place, ...], number: int) -> Node:
        ready, live = [], []
        for place in places:
            ready.append(self._before(place))
            for move, first in self._script.inputs[place]:
                node = self._moves_from + move
                ready.append(early(node) if first else over(node))
                live += [over(node)] if first else []
        ready += [over(self._plays_from + block) for block in self._gates(places[0])]
        return Node("gang", number, _once(ready), _once(live))

    def _gates(self, place: Place) -> Iterator[int]:
        """The blocks that must be played before an action may finish another one."""
        queue = self._player.queue_blocks
        if queue is not None:
            blocks = self._finishers[self._script.action(place).gang]
            yield from (block - queue for block in blocks if block >= queue)

    def _before(self, place: Place) -> int:
        """The moment from which a rank is free for an action."""
        rank, index = place
        return over(self.node_of((rank, index - 1)) if index else rank)

    # -- moves and plays -------------------------------------------------------------------------

    def _move(self, number: int) -> Node:
        move = self._script.moves[number]
        ready = [self._posted(move.sent), self._posted(move.received)]
        ready += [over(self._moves_from + before) for before in self._after[number]]
        live = []
        if move.streams:
            if move.maker is None:
                raise InfeasibleError(
                    f"the plan never finishes: r{move.sent[0]} at {self._script.action(move.sent)}: never made"
                )
            ready.append(early(self.node_of(move.maker)))
            live.append(over(self.node_of(move.maker)))
        return Node("move", number, _once(ready), tuple(live))

    def _posted(self, place: Place) -> int:
        node = self.node_of(place)
        return early(node) if self._script.costs.post_us else over(node)

    def _plays(self) -> Iterator[Node]:
        finishers: dict[int, list[int]] = defaultdict(list)
        for gang, places in self._script.gangs.items():
            for block in self._of_blocks[gang].finishes:
                finishers[block].append(over(self.node_of(places[0])))
        start = min(self._player.start_blocks, self._script.flow.blocks)
        for block in range(self._script.flow.blocks):
            waits = [moment for early_one in range(start) for moment in finishers[early_one]] if not block else []
            before = (over(self._plays_from + block - 1),) if block else ()
            yield Node("play", block, _once(waits + finishers[block]), before)


def _once(moments: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(moments))


def _of_blocks(read: Script) -> dict[Action, OfBlocks]:
    """Of each gang what it is to which blocks."""
    spec, flow, found = read.costs.spec, read.flow, {}
    passes = {
        gang: sorted({item for place in places for item in read.action(place).passes}, key=str)
        for gang, places in read.gangs.items()
    }
    firsts: dict[int, int] = {}
    for block, step in (item for items in passes.values() for item in items):
        stage = flow.stage((block, step))
        firsts[block] = min(stage, firsts.get(block, stage))
    for gang, items in passes.items():
        begins = tuple(block for block, step in items if flow.stage((block, step)) == firsts[block])
        cleans = tuple(block for block, step in items if step == spec.block_steps(block) - 1)
        decoded = (gang.block,) if gang.kind is Kind.DECODE else ()
        found[gang] = OfBlocks(begins, cleans, decoded if flow.decodes else cleans)
    return found


def _finishers(of_blocks: Mapping[Action, OfBlocks]) -> dict[Action, tuple[int, ...]]:
    """Of each gang the blocks that it is the last part of."""
    parts: dict[int, int] = {}
    for gang, found in of_blocks.items():
        for block in found.finishes:
            parts[block] = max(_part(gang), parts.get(block, 0))
    return {
        gang: tuple(block for block in found.finishes if parts[block] == _part(gang))
        for gang, found in of_blocks.items()
    }


def _part(gang: Action) -> int:
    """Which part of a decoder or slice of a ring; others are whole."""
    return gang.step or 0 if gang.kind in (Kind.DECODE, Kind.SLICE) else 0


def _order(nodes: tuple[Node, ...], builder: _Builder) -> tuple[int, ...]:
    """Kahn's order. Raises InfeasibleError naming each rank's action that never comes."""
    missing = [0] * len(nodes)
    heirs: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        awaited = {moment // 2 for moment in (*node.ready, *node.live)}
        missing[number] = len(awaited)
        for other in awaited:
            heirs[other].append(number)
    todo = deque(number for number, count in enumerate(missing) if not count)
    order: list[int] = []
    while todo:
        number = todo.popleft()
        order.append(number)
        for heir in heirs[number]:
            missing[heir] -= 1
            if not missing[heir]:
                todo.append(heir)
    if len(order) < len(nodes):
        raise InfeasibleError(builder.never(missing))
    return tuple(number for number in order if nodes[number].kind != "share")
