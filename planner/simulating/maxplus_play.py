"""Plays a compiled plan: one operation after the other, on a vector of times for all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.conditions import Conditions
from planner.simulating.maxplus_graph import Gang, Graph
from planner.simulating.maxplus_lasts import NEVER, Lasts, Times, Us

UNKNOWN = -1  # the time of what never happens


class Op(NamedTuple):
    """A node with the rows its moments are in; `early` is -1 where nobody waits for that."""

    kind: str
    number: int
    ready: tuple[int, ...]
    live: tuple[int, ...]
    over: int
    early: int


class Played(NamedTuple):
    """What many runs came to, microseconds; UNKNOWN from the first block on that a run never finishes.

    `whole`: which runs got to their end; others count with what they did. `clean_us`: a block's last step is done.
    `busy_us`: of each rank, in compute actions; `span_us`: from the first of them to the end of the last.
    """

    makespan_us: Times  # [runs]
    whole: NDArray[np.bool_]  # [runs]
    begun_us: Times  # [runs, blocks]
    clean_us: Times  # [runs, blocks]
    finished_us: Times  # [runs, blocks]
    busy_us: Times  # [runs, ranks]
    span_us: Times  # [runs, ranks]

    @classmethod
    def joined(cls, parts: Sequence[Played]) -> Played:
        return parts[0] if len(parts) == 1 else cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


Windows = Sequence[tuple[int, int]]  # from, to before


def play(graph: Graph, ops: Sequence[Op], slots: int, lasts: Lasts, conditions: Conditions, runs: int) -> Played:
    """All operations, `runs` times each."""
    run = _Run(graph, slots, lasts, conditions, runs)
    steps: dict[str, Callable[[Op], None]] = {
        "start": run.start,
        "post": run.post,
        "free": run.free,
        "gang": run.gang,
        "move": run.move,
        "play": run.play,
    }
    for op in ops:
        steps[op.kind](op)
    return run.played()


class _Run:
    """The rows of times, and what is kept of them."""

    def __init__(self, graph: Graph, slots: int, lasts: Lasts, conditions: Conditions, runs: int) -> None:
        self._graph, self._lasts = graph, lasts
        self._post_us, self._layers = graph.script.costs.post_us, graph.script.costs.spec.layers
        ranks = range(len(graph.script.programs))
        self._out = [_windows(conditions, (rank,)) for rank in ranks]
        self._conditions = conditions
        self._stops = any(outage.back_us is None for outage in conditions.outages)
        self._rows = list(np.zeros((slots, runs), np.int64))
        self._begun_at, self._spare = np.zeros((2, runs), np.int64)
        self._makespan, self._whole = np.zeros(runs, np.int64), np.ones(runs, np.bool_)
        self._begun = np.full((graph.blocks, runs), NEVER)
        self._clean, self._finished = np.zeros((2, graph.blocks, runs), np.int64)
        self._busy, self._last = np.zeros((2, len(ranks), runs), np.int64)
        self._first = np.full((len(ranks), runs), NEVER)

    def played(self) -> Played:
        there = np.logical_and.accumulate(self._finished < NEVER, axis=0)
        begun, clean, finished = (
            np.where(there & (times < NEVER), times, UNKNOWN).T for times in (self._begun, self._clean, self._finished)
        )
        span = np.maximum(0, self._last - self._first)
        return Played(self._makespan, self._whole, begun, clean, finished, self._busy.T, span.T)

    # -- operations ------------------------------------------------------------------------------

    def start(self, op: Op) -> None:
        self._rows[op.over][:] = self._lasts.ready(op.number)

    def post(self, op: Op) -> None:
        over = self._rows[op.over]
        np.copyto(over, self._rows[op.ready[0]])
        self._put_off(over, self._out[op.number])
        if op.early >= 0:
            np.copyto(self._rows[op.early], over)
        if self._post_us:
            np.add(over, self._post_us, out=over)

    def free(self, op: Op) -> None:
        over = self._rows[op.over]
        self._latest(op.ready, over)
        self._put_off(over, self._out[op.number])
        self._note(over)

    def gang(self, op: Op) -> None:
        gang, begun, over = self._graph.gangs[op.number], self._begun_at, self._rows[op.over]
        self._latest(op.ready, begun)
        if gang.release_us:
            np.maximum(begun, gang.release_us, out=begun)
        windows = self._windows(rank for rank, _ in gang.shares)
        lasts = self._attempt(begun, over, self._lasts.gang(gang.shares).at, windows)
        if op.live or op.early >= 0:
            layer = -(-lasts // self._layers)
            for row in op.live:
                self._close(self._rows[row], over, layer, windows)
            if op.early >= 0:
                np.add(begun, layer, out=self._rows[op.early])
        self._note(over)
        self._note_pass(gang, begun, over)

    def move(self, op: Op) -> None:
        begun, over = self._begun_at, self._rows[op.over]
        self._latest(op.ready, begun)
        wire = self._lasts.wire(op.number)
        windows = self._windows(self._graph.script.moves[op.number].way)
        if not op.live:
            self._attempt(begun, over, lambda _: wire, windows)
        else:
            self._attempt(begun, over, lambda _: wire * max(1, self._layers - 1), windows)
            # The last layer leaves when the others are there and its pass has made it.
            np.add(begun, wire * (self._layers - 1), out=over)
            np.maximum(over, self._rows[op.live[0]], out=self._spare)
            self._close(self._spare, over, wire, windows)
            if op.early >= 0:
                np.add(begun, wire, out=self._rows[op.early])
        self._note(over)

    def play(self, op: Op) -> None:
        """The begin of a block's turn: it is finished, and the one before is over."""
        shown, marks = self._rows[op.over], self._graph.marks_us
        self._latest(op.ready, shown)
        for row in op.live:
            np.add(self._rows[row], marks[op.number] - marks[op.number - 1], out=self._spare)
            np.maximum(shown, self._spare, out=shown)

    # -- times -----------------------------------------------------------------------------------

    def _latest(self, ready: Sequence[int], out: Times) -> None:
        rows = self._rows
        if len(ready) == 1:
            np.copyto(out, rows[ready[0]])
            return
        np.maximum(rows[ready[0]], rows[ready[1]], out=out)
        for row in ready[2:]:
            np.maximum(out, rows[row], out=out)

    def _attempt(self, begun: Times, over: Times, lasts: Callable[[Times], Us], windows: Windows) -> Us:
        """Moves `begun` to the attempt that no outage cuts, and sets `over`; how long that lasts."""
        lasted = lasts(begun)
        np.add(begun, lasted, out=over)
        for at_us, back_us in windows:
            cut = (begun < back_us) & (over > at_us)
            if cut.any():
                begun[cut] = back_us
                lasted = lasts(begun)
                np.add(begun, lasted, out=over)
        return lasted

    def _close(self, there: Times, over: Times, layer: Us, windows: Windows) -> None:
        """A last layer that cannot begin before all is there."""
        closed = np.empty_like(there)
        self._attempt(there.copy(), closed, lambda _: layer, windows)
        np.maximum(over, closed, out=over)

    # -- outages ---------------------------------------------------------------------------------

    def _windows(self, ranks: Iterable[int]) -> Windows:
        return _windows(self._conditions, tuple(ranks)) if self._conditions.outages else ()

    def _put_off(self, times: Times, windows: Windows) -> None:
        for at_us, back_us in windows:
            times[(times >= at_us) & (times < back_us)] = back_us

    # -- what is kept ----------------------------------------------------------------------------

    def _note(self, over: Times) -> None:
        if self._stops:
            done = over < NEVER
            self._whole &= done
            over = np.where(done, over, 0)
        np.maximum(self._makespan, over, out=self._makespan)

    def _note_pass(self, gang: Gang, begun: Times, over: Times) -> None:
        np.subtract(over, begun, out=self._spare)
        ended = over
        if self._stops:
            never = over >= NEVER
            self._spare[never] = 0
            ended = np.where(never, 0, over)
        for rank, _ in gang.shares:
            np.add(self._busy[rank], self._spare, out=self._busy[rank])
            np.minimum(self._first[rank], begun, out=self._first[rank])
            np.maximum(self._last[rank], ended, out=self._last[rank])
        for block in gang.blocks.begins:
            np.minimum(self._begun[block], begun, out=self._begun[block])
        for block in gang.blocks.cleans:
            np.maximum(self._clean[block], over, out=self._clean[block])
        for block in gang.blocks.finishes:
            np.maximum(self._finished[block], over, out=self._finished[block])


def _windows(conditions: Conditions, ranks: Sequence[int]) -> Windows:
    """When any of the ranks is out, earliest first; once more is enough, as what is put off only gets later."""
    found = (outage for outage in conditions.outages if outage.rank in ranks)
    return sorted((outage.at_us, NEVER if outage.back_us is None else outage.back_us) for outage in found)
