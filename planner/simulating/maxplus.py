"""`Program`: a plan compiled to a list of additions and maxima, each over all runs at once.

A moment is the latest of what it waits for, plus how long something lasts (a max-plus system); who waits for whom is
the plan's and so the same in all runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

from planner.calibrating.script import Script
from planner.conditions import Conditions, Player
from planner.plan import Plan
from planner.problem import Problem
from planner.simulating.maxplus_graph import Graph, early, graph, over
from planner.simulating.maxplus_lasts import Lasts, Planned
from planner.simulating.maxplus_play import Op, Played, play
from planner.simulating.required import require_planned_turns, require_ranks

CHUNK_BYTES = 256 * 2**20  # of all moments alive at once


class Program(NamedTuple):
    """The operations in order. `slots`: rows of times that are needed at once; a moment's row is given to another when
    nothing needs it any more.
    """

    graph: Graph
    planned: Planned
    ops: tuple[Op, ...]
    slots: int

    @classmethod
    def of(cls, plan: Plan, problem: Problem, player: Player = Player()) -> Self:  # noqa: B008 - frozen value
        """The program of a plan, for a player that may hold it back.

        Raises MismatchError for a plan of another problem, InputError if it is too long, InfeasibleError if it never
        finishes in its own order.
        """
        found = graph(plan, problem, player)
        ops, slots = _allocate(found)
        return cls(found, Planned.of(found.script), ops, slots)

    @property
    def script(self) -> Script:
        return self.graph.script

    def play(self, conditions: Conditions, runs: int, first: int = 0) -> Played:
        """Runs `first` to before `first + runs` of the conditions' seed.

        Raises InputError for a rank that the plan does not have, or for what cannot be played many runs at once.
        """
        require_ranks(conditions, len(self.script.programs))
        require_planned_turns(conditions)
        assert conditions.player.queue_blocks == self.graph.player.queue_blocks, "compiled for another player"
        parts = [self._chunk(conditions, count, first + at) for at, count in self._chunks(runs)]
        return Played.joined(parts)

    def _chunks(self, runs: int) -> Iterator[tuple[int, int]]:
        rows = self.slots + 2 * self.graph.blocks + 2 * len(self.script.programs) + 8
        most = max(1, CHUNK_BYTES // (8 * rows))
        for begin in range(0, runs, most):
            yield begin, min(most, runs - begin)

    def _chunk(self, conditions: Conditions, runs: int, first: int) -> Played:
        lasts = Lasts(self.script, self.planned, conditions, runs, first)
        return play(self.graph, self.ops, self.slots, lasts, conditions, runs)


def _allocate(found: Graph) -> tuple[tuple[Op, ...], int]:
    """The nodes as operations on rows: a row is free again after the last that reads it."""
    last = _last_uses(found)
    row_of: dict[int, int] = {}
    free: list[int] = []
    ops, slots = [], 0
    for at, number in enumerate(found.order):
        node = found.nodes[number]
        ready, live = tuple(row_of[m] for m in node.ready), tuple(row_of[m] for m in node.live)
        made = [over(number)] + ([early(number)] if early(number) in last else [])
        for moment in made:
            if not free:
                free.append(slots)
                slots += 1
            row_of[moment] = free.pop()
        ops.append(Op(node.kind, node.number, ready, live, row_of[made[0]], row_of[made[1]] if made[1:] else -1))
        dead = [moment for moment in (*node.ready, *node.live, *made) if last.get(moment, at) == at]
        free += [row_of.pop(moment) for moment in dict.fromkeys(dead)]
    return tuple(ops), slots


def _last_uses(found: Graph) -> dict[int, int]:
    """Of each moment that something waits for, the last place in the order that does."""
    last = {}
    for at, number in enumerate(found.order):
        node = found.nodes[number]
        for moments in (node.ready, node.live):
            last.update(dict.fromkeys(moments, at))
    return last
