"""Search over states: which tasks have started, and when units and inputs are free. Exact if no state is given up.

Tasks are started in order of time; all states in which equally many have started are looked at together, as arrays.
A state goes if its bound is no better than the best schedule known, or if another with the same tasks started is ahead
of it everywhere. Beyond `width` states the least promising are given up: then it is a beam search.

Transfers are reckoned as if each had lanes of its own: where they meet, what is found is a bound, and a good guess.

Arrays carry their shape as a suffix: S states, P places (units), C tasks at the frontier, H chains, B bound rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from planner.instance import ANY
from planner.schedulers.frontier_rows import Row
from planner.schedulers.frontier_states import (
    STARTED,
    Offers,
    States,
    sort_pools,
    turned,
    undominated,
    without_finished,
)
from planner.schedulers.frontier_tables import NEVER, Ints, Tables


class Step(NamedTuple):
    """One more task started, by state: the state before, the task, its place and start, and how places were sorted."""

    parent_S: Ints
    task_S: Ints
    place_S: Ints
    start_S: Ints
    turn_PS: Ints | None


class Found(NamedTuple):
    """The steps to all tasks started, if a state got there; `ends_S`: when each such state ends.

    `bound`: no schedule is shorter, in ticks; at most the search's limit. `cells`: how many numbers were looked at,
    which is what time goes with.
    """

    steps: list[Step]
    ends_S: Ints
    bound: int
    cells: int


def search(
    tables: Tables,
    rows: list[Row],
    *,
    limit: int,
    bound: int,
    width: int,
    cells: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Found:
    """The best schedule that ends before `limit`, in ticks; `bound`: none ends before it.

    Ends after so many `cells`, or when it may not `go_on`, and has found nothing then. Deterministic but for that. No
    live inputs.
    """
    assert not tables.instance.live
    run = _Search(tables, rows, limit, bound)
    states, steps = run.begin(), []
    for _ in range(tables.size):
        if run.cells > cells or not go_on():
            return Found([], states.now_S[:0], bound, run.cells)
        states, step = run.advance(states, width)
        steps.append(step)
        if not len(states.now_S):
            return Found([], states.now_S, run.given_up, run.cells)
    ends_S = states.free_PS.max(axis=0)
    return Found(steps, ends_S, min(int(ends_S.min()), run.given_up), run.cells)


class _Search:
    def __init__(self, tables: Tables, rows: list[Row], limit: int, bound: int) -> None:
        self._tables, self._rows, self._limit, self._bound = tables, rows, limit, bound
        self._wired = tables.travel_TRPP is not None
        self._may_TP = tables.duration_TP < NEVER
        self._use_time(limit)
        self._work_BT = np.array([row.work_T for row in rows])
        # One place of a pool stands for all where it does not matter who made what.
        stands = range(len(tables.places)) if self._wired else (begin for begin, _ in tables.spans)
        self._stands = np.array(list(stands))
        dice = np.random.default_rng(0)
        self._task_key_T = dice.integers(1, 2**63, size=tables.size, dtype=np.uint64)
        self._home_key_HP = dice.integers(1, 2**63, size=(tables.chains, len(tables.places)), dtype=np.uint64)
        self._waits_T = tables.waits_T.astype(np.int16)
        self._next_TR = np.concatenate([tables.readers_TR, tables.followers_TR], axis=1)
        self._chain_rows = [row for row in rows if row.chain_TP is not None]
        self._reached = set(np.flatnonzero(tables.waits_T == 0).tolist())  # tasks that have or had a column
        self.given_up = limit
        self.cells = 0

    def _use_time(self, limit: int) -> None:
        """Times in 32 bits if they fit, which is half as much to move about."""
        tables = self._tables
        latest = limit + int(tables.duration_TP[self._may_TP].max())
        if tables.travel_TRPP is not None:
            latest += int(tables.travel_TRPP.max())
        self._never = 1 << 30 if latest < 1 << 29 else NEVER
        self._time = np.dtype(np.int32 if latest < 1 << 29 else np.int64)
        self._duration_TP = np.minimum(tables.duration_TP, self._never - latest).astype(self._time)
        self._heads_T, self._tails_T = tables.heads_T.astype(self._time), tables.tails_T.astype(self._time)
        self._travel_TRPP = None if tables.travel_TRPP is None else tables.travel_TRPP.astype(self._time)

    def begin(self) -> States:
        tables, places = self._tables, len(self._tables.places)
        columns_C = np.flatnonzero(self._waits_T == 0)
        deep = places if self._wired else 1
        chain_work_HP = np.zeros((tables.chains, places), dtype=np.int64)
        for row in self._chain_rows:
            assert row.chain_TP is not None
            for chain in range(tables.chains):
                chain_work_HP[chain] = row.chain_TP[tables.chain_T == chain].sum(axis=0)
        return States(
            columns_C=columns_C,
            free_PS=np.zeros((places, 1), dtype=self._time),
            ready_CPS=np.repeat(self._heads_T[columns_C][:, None, None], deep, axis=1),
            waits_CS=np.zeros((len(columns_C), 1), dtype=np.int16),
            now_S=np.zeros(1, dtype=self._time),
            key_S=np.zeros(1, dtype=np.uint64),
            home_HS=np.full((tables.chains, 1), ANY, dtype=np.int64),
            work_BS=self._work_BT.sum(axis=1)[:, None],
            chain_work_HPS=chain_work_HP[:, :, None],
        )

    def advance(self, states: States, width: int) -> tuple[States, Step]:
        """Every state with one more task started, in each way that can matter."""
        offers = self._promising(states, self._offers(states))
        children = self._start(states, offers)
        if not self._wired:
            sort_pools(children.free_PS, self._tables.spans)
        bound_S = self._settle(children)
        alive_S = np.flatnonzero(bound_S < self._limit)
        children, offers, bound_S = children.at(alive_S), offers.at(alive_S), bound_S[alive_S]
        turn_PS = self._turn(children)
        if turn_PS is not None:
            children = turned(children, turn_PS)
        children = without_finished(children)
        kept_S = undominated(children)
        if len(kept_S) > width:
            ranked_S = kept_S[np.lexsort((children.free_PS[:, kept_S].sum(axis=0), bound_S[kept_S]))]
            self.given_up = min(self.given_up, int(bound_S[ranked_S[width]]))
            kept_S = ranked_S[:width]
        kept = offers.at(kept_S)
        step = Step(kept.state, kept.task, kept.place, kept.start, None if turn_PS is None else turn_PS[:, kept_S])
        return children.at(kept_S), step

    def _offers(self, states: States) -> Offers:
        """All tasks that are ready, at all places where they may run, unless that would leave time unused for sure."""
        column, state = np.nonzero(states.waits_CS == 0)
        task = states.columns_C[column]
        home = self._homes(states, task, state)
        stands = self._stands[:, None]
        may = self._may_TP[task, stands] & ((home == ANY) | (home == stands))
        start = self._starts(states, column, task, state)
        end = start + self._duration_TP[task, stands]
        # What could end, wherever it is bound to run, before another task starts would have run before that.
        bound_to = self._wired | (home == ANY) & (self._tables.chain_T[task] != ANY)
        last, first = np.where(may, end, 0).max(axis=0), np.where(may, end, self._never).min(axis=0)
        soonest_S = np.full(len(states.now_S), self._never)
        np.minimum.at(soonest_S, state, np.where(bound_to, last, first))
        in_time = end + self._tails_T[task] < self._limit
        stand, nth = np.nonzero(may & in_time & (start < soonest_S[state]))
        places = self._stands[stand]
        return Offers(state[nth], column[nth], task[nth], places, start[stand, nth], end[stand, nth])

    def _homes(self, states: States, task: Ints, state: Ints) -> Ints:
        """The place each task is bound to by its chain, or ANY."""
        if not self._tables.chains:
            return np.full(len(task), ANY)
        chain = self._tables.chain_T[task]
        home: Ints = np.where(chain == ANY, ANY, states.home_HS[chain, state])
        return home

    def _starts(self, states: States, column: Ints, task: Ints, state: Ints) -> Ints:
        """When each task could start at each place that stands for others."""
        ready = states.ready_CPS[column, :, state].T
        free = states.free_PS[self._stands][:, state]
        start: Ints = np.maximum(np.maximum(ready, free), states.now_S[state])
        for gang, places in self._tables.gangs.items():
            members = np.flatnonzero(task == gang)
            start[:, members] = np.maximum(start[:, members], states.free_PS[places][:, state[members]].max(axis=0))
        return start

    def _start(self, states: States, offers: Offers) -> States:
        """The states in which what is offered has started."""
        tables, many = self._tables, np.arange(len(offers.state))
        children = self._widened(states, offers.task).at(offers.state)
        self.cells += children.ready_CPS.size
        at_T = np.full(tables.size + 1, -1)
        at_T[children.columns_C] = np.arange(len(children.columns_C))
        free_PS, waits_CS, ready_CPS = children.free_PS, children.waits_CS, children.ready_CPS
        free_PS[offers.place, many] = offers.end
        for gang, places in tables.gangs.items():
            members = np.flatnonzero(offers.task == gang)
            free_PS[np.array(places)[:, None], members] = offers.end[members]
        waits_CS[at_T[offers.task], many] = STARTED
        for nth, next_T in enumerate(self._next_TR.T):
            reads = np.flatnonzero(next_T[offers.task] < tables.size)
            column = at_T[next_T[offers.task[reads]]]
            waits_CS[column, reads] -= 1
            if nth >= tables.readers_TR.shape[1]:
                continue
            there = offers.end[reads][:, None]
            if self._travel_TRPP is not None:
                there = there + self._travel_TRPP[offers.task[reads], nth, offers.place[reads]]
            ready_CPS[column, :, reads] = np.maximum(ready_CPS[column, :, reads], there)
        return children._replace(
            now_S=offers.start,
            key_S=self._keys(children, offers),
            home_HS=self._homes_after(children, offers),
            work_BS=children.work_BS - self._work_BT[:, offers.task],
            chain_work_HPS=self._chain_work_after(children, offers),
        )

    def _widened(self, states: States, task: Ints) -> States:
        """The states with columns for all that reads what starts now."""
        tables = self._tables
        following = np.unique(self._next_TR[np.unique(task)])
        new_C = np.setdiff1d(following[following < tables.size], states.columns_C)
        if not len(new_C):
            return states
        self._reached.update(new_C.tolist())
        columns_C = np.concatenate([states.columns_C, new_C])
        order_C = np.argsort(columns_C)
        many, deep = states.waits_CS.shape[1], states.ready_CPS.shape[1]
        ready_CPS = np.broadcast_to(self._heads_T[new_C][:, None, None], (len(new_C), deep, many))
        waits_CS = np.broadcast_to(self._waits_T[new_C][:, None], (len(new_C), many))
        return states._replace(
            columns_C=columns_C[order_C],
            ready_CPS=np.concatenate([states.ready_CPS, ready_CPS])[order_C],
            waits_CS=np.concatenate([states.waits_CS, waits_CS])[order_C],
        )

    def _keys(self, states: States, offers: Offers) -> npt.NDArray[np.uint64]:
        keys: npt.NDArray[np.uint64] = states.key_S ^ self._task_key_T[offers.task]
        if self._tables.chains:
            chain = self._tables.chain_T[offers.task]
            settles = (chain != ANY) & (states.home_HS[chain, np.arange(len(chain))] == ANY)
            keys[settles] ^= self._home_key_HP[chain[settles], offers.place[settles]]
        return keys

    def _homes_after(self, states: States, offers: Offers) -> Ints:
        chain = self._tables.chain_T[offers.task]
        chained = np.flatnonzero(chain != ANY)
        states.home_HS[chain[chained], chained] = offers.place[chained]
        return states.home_HS

    def _chain_work_after(self, states: States, offers: Offers) -> Ints:
        chain = self._tables.chain_T[offers.task]
        chained = np.flatnonzero(chain != ANY)
        for row in self._chain_rows:
            assert row.chain_TP is not None
            states.chain_work_HPS[chain[chained], :, chained] -= row.chain_TP[offers.task[chained]]
        return states.chain_work_HPS

    def _promising(self, states: States, offers: Offers) -> Offers:
        """Those whose work alone does not take too long."""
        free_PS = states.free_PS[:, offers.state]
        free_PS[offers.place, np.arange(len(offers.state))] = offers.end
        free_PS = np.maximum(free_PS, offers.start)
        work_BS = states.work_BS[:, offers.state] - self._work_BT[:, offers.task]
        return offers.at(self._work_bound(free_PS, work_BS) < self._limit)

    def _work_bound(self, free_PS: Ints, work_BS: Ints) -> Ints:
        """What the rows without flows say."""
        bound_S: Ints = free_PS.max(axis=0)
        for row, work_S in zip(self._rows, work_BS, strict=True):
            if row.flow_T is None:
                bound_S = np.maximum(bound_S, -(-(work_S + self._terms(row, free_PS)) // row.total))
        return bound_S

    def _terms(self, row: Row, free_PS: Ints) -> Ints:
        """A unit that is free late may have no more work: then the known bound stands in."""
        terms = [weight_P @ (np.minimum(free_PS, self._bound - tail) + tail) for tail, weight_P in row.terms]
        return np.sum(terms, axis=0) if terms else np.zeros(free_PS.shape[1], dtype=np.int64)

    def _settle(self, states: States) -> Ints:
        """Raises, in place, to what is sure when units are free and inputs are there; the bound of each state.

        A task waits for the first unit, and for what it reads to be able to end; a unit waits for the first input.
        """
        tables, shape = self._tables, states.waits_CS.shape
        end_CS, ready_CS = np.zeros(shape, dtype=self._time), np.zeros(shape, dtype=self._time)
        bound_S = np.zeros_like(states.now_S)
        earliest_S = np.maximum(states.free_PS.min(axis=0), states.now_S)
        free_PS = states.free_PS[self._stands]
        column_of = dict(zip(states.columns_C.tolist(), range(shape[0]), strict=True))
        for task, column in column_of.items():
            ready_PS, waits_S = states.ready_CPS[column], states.waits_CS[column] != STARTED
            makers = [end_CS[column_of[maker]] for maker in tables.makers[task] if maker in column_of]
            np.maximum(ready_PS, np.maximum.reduce([earliest_S, *makers]), out=ready_PS)
            end_PS = np.maximum(ready_PS, free_PS) + self._duration_TP[task, self._stands][:, None]
            end_CS[column] = end_PS.min(axis=0) * waits_S
            ready_CS[column] = ready_PS.min(axis=0) * waits_S
            np.copyto(ready_PS, STARTED, where=~waits_S)
            bound_S = np.maximum(bound_S, end_CS[column] + self._tails_T[task] * waits_S)
        opens_S = np.where(states.waits_CS == 0, ready_CS, self._never).min(axis=0)
        np.maximum(states.free_PS, np.where(opens_S < self._never, opens_S, states.now_S), out=states.free_PS)
        return np.maximum(bound_S, self._row_bound(states, ready_CS))

    def _row_bound(self, states: States, ready_CS: Ints) -> Ints:
        bound_S = self._work_bound(states.free_PS, states.work_BS)
        for row, work_S in zip(self._rows, states.work_BS, strict=True):
            if row.flow_T is not None:
                sum_S = work_S + self._terms(row, states.free_PS) + self._flow(row, states, ready_CS)
                if row.chain_TP is not None:
                    sum_S += self._chain_work(states)
                bound_S = np.maximum(bound_S, -(-sum_S // row.total))
        return bound_S

    def _flow(self, row: Row, states: States, ready_CS: Ints) -> Ints:
        """What enters the tasks that have not started x when their inputs are there."""
        assert row.flow_T is not None
        sum_S: Ints = np.zeros(len(states.now_S), dtype=np.int64)
        waits_CS = states.waits_CS != STARTED
        column_of = dict(zip(states.columns_C.tolist(), range(len(waits_CS)), strict=True))
        for task, column in column_of.items():
            if row.flow_T[task]:
                enters_S = np.full_like(sum_S, row.flow_T[task])
                for maker in self._tables.makers[task]:
                    flow = row.flows.get((maker, task), 0)
                    if maker in column_of:
                        enters_S -= flow * waits_CS[column_of[maker]]
                    elif maker not in self._reached:
                        enters_S -= flow
                sum_S += enters_S * ready_CS[column]
        return sum_S

    def _chain_work(self, states: States) -> Ints:
        """Of each chain's tasks that have not started, at its place, or at the best."""
        sum_S: Ints = np.zeros(len(states.now_S), dtype=np.int64)
        for work_PS, home_S in zip(states.chain_work_HPS, states.home_HS, strict=True):
            at_home_S = np.take_along_axis(work_PS, np.maximum(home_S, 0)[None], axis=0)[0]
            sum_S += np.where(home_S == ANY, work_PS.min(axis=0), at_home_S)
        return sum_S

    def _turn(self, states: States) -> Ints | None:
        """How to sort the places of each pool, if it matters who made what: by when they are free, then by content."""
        if not self._wired or all(end - begin == 1 for begin, end in self._tables.spans):
            return None
        turn_PS = np.tile(np.arange(len(states.free_PS))[:, None], (1, len(states.now_S)))
        for begin, end in self._tables.spans:
            content_PS = states.ready_CPS[:, begin:end].sum(axis=0)
            turn_PS[begin:end] = begin + np.lexsort((content_PS, states.free_PS[begin:end]), axis=0)
        return turn_PS
