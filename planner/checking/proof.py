"""The quick way: proves a valid plan valid on columns of numbers, rule by rule for every row.

R10 needs no walk of its own here: where every rule about times holds, each action and each transfer waits only for
what begins strictly earlier (or, within a gang, for those that begin with it), so nobody waits in a circle.
"""

from __future__ import annotations

import numpy as np

from planner.action import Kind
from planner.checking.cells import Cells
from planner.checking.census import Census, take_census
from planner.checking.claims import Ends
from planner.checking.clip import Clip
from planner.checking.columns import NONE, Columns, Doubt, Ints, columns, sure
from planner.checking.grid import Grid
from planner.checking.prices import Prices
from planner.checking.reading import check_reads, check_released
from planner.checking.ways import check_ways
from planner.errors import InputError
from planner.plan import Plan
from planner.problem import Problem


def proven(plan: Plan, problem: Problem) -> Ends | None:
    """The ends of rows that keep every rule for sure, or None: then they may still."""
    if len(plan.ranks) != problem.cluster.size or len(plan.switch_ticks) != len(problem.workload.switches):
        return None
    try:
        return _prove(plan, problem)
    except (Doubt, InputError):
        return None


def _prove(plan: Plan, problem: Problem) -> Ends:
    table = columns(plan.ranks)
    sure(table.size >= problem.workload.blocks)
    grid = Grid(Clip(plan, problem))
    prices = Prices(table, grid)
    census = take_census(table, grid, prices)
    _check_clock(table, grid.clip.costs.post_us)
    cells = Cells(table, grid, census)
    layer = -(-prices.durations // grid.clip.spec.layers)
    first_layer = check_ways(table, grid, prices, cells, layer)
    streams = check_reads(table, grid, census, cells, first_layer, layer)
    check_released(table, grid, census)
    _check_durations(table, prices.durations, streams, census)
    cells.check_memory(prices.sizes)
    return _ends(table, grid, census)


def _ends(table: Columns, grid: Grid, census: Census) -> Ends:
    decoded = table.of(Kind.DECODE)
    decoded = decoded[table.block[decoded] == 0]
    through = census.row[census.passes == grid.first_steps - 1]
    finished = decoded if grid.clip.workload.decode else through
    return Ends(int(table.end.max()), int(table.end[finished].max()))


def _check_clock(table: Columns, post_us: int) -> None:
    """R3 and R8: no row starts before its rank comes to it. Compute actions and frees keep the rank until they end;
    a transfer is posted in passing, which takes the host a while.
    """
    number = np.arange(table.size)
    posts = table.peer != NONE
    keeps = np.where(posts, NONE, number)
    latest = np.maximum.accumulate(np.concatenate([[NONE], keeps[:-1]]))
    begun = latest >= table.first
    clock = np.where(begun, table.end[latest], 0)
    if post_us:
        posted = np.concatenate([[0], np.cumsum(posts)])
        clock = clock + post_us * (posted[number] - posted[np.where(begun, latest, table.first)])
    sure(bool((table.start >= clock).all()))
    frees = table.of(Kind.FREE)
    sure(bool((table.end[frees] == table.start[frees]).all()))


def _check_durations(table: Columns, durations: Ints, streams: Ints, census: Census) -> None:
    """R4 and R13: each gang starts as one, and ends when its slowest share is done and a layer after its streams."""
    lasting, streamed = durations.copy(), streams.copy()
    for gangs in census.gangs:
        if gangs.shape[1] > 1:
            sure(bool((table.start[gangs] == table.start[gangs[:, :1]]).all()))
            lasting[gangs] = lasting[gangs].max(axis=1, keepdims=True)
            streamed[gangs] = streamed[gangs].max(axis=1, keepdims=True)
    rows = np.flatnonzero(table.carries == NONE)
    sure(bool((lasting[rows] > 0).all()))
    sure(bool((table.end[rows] == np.maximum(table.start + lasting, streamed)[rows]).all()))
