"""R4, R8 and R14 on columns: transfers between ranks."""

from __future__ import annotations

import numpy as np

from planner.action import COMING, LEAVING, Kind
from planner.checking.cells import Cells
from planner.checking.columns import CODE, Columns, Ints, sure
from planner.checking.grid import CONTEXT, KV, Grid
from planner.checking.prices import Prices

STREAM, TAP, SLICE = CODE[Kind.STREAM], CODE[Kind.TAP], CODE[Kind.SLICE]


def check_ways(table: Columns, grid: Grid, prices: Prices, cells: Cells, layer: Ints) -> Ints:
    """[row]: when a tap's row has brought the first layer. `layer`: how long a layer of each compute row takes."""
    ways = _Ways(table, grid, prices, cells)
    first_layer = np.zeros(table.size, np.int64)
    if ways.leaves.size:
        ways.pairs()
        ways.lanes()
        ways.sends()
        first_layer[ways.comes] = table.start[ways.comes] + ways.streams(layer)
    return first_layer


class _Ways:
    def __init__(self, table: Columns, grid: Grid, prices: Prices, cells: Cells) -> None:
        self._table, self._grid, self._prices, self._cells = table, grid, prices, cells
        self._ranks = ranks = len(grid.clip.devices)
        leaves, comes = table.of(*LEAVING), table.of(*COMING)
        sent, got = table.rank[leaves] * ranks + table.peer[leaves], table.peer[comes] * ranks + table.rank[comes]
        sure(sent.size == got.size)
        order = np.argsort(sent, kind="stable")
        # By way, and on each way in the order of the posts: the k-th at one end belongs to the k-th at the other.
        self.leaves, self.way = leaves[order], sent[order]
        self.comes = comes[np.argsort(got, kind="stable")]
        sure(bool((self.way == np.sort(got)).all()))
        self._streams = table.kind[self.leaves] == STREAM

    def pairs(self) -> None:
        """Both ends are of the same payload and kind and at the same time, one after the other on each way."""
        table, ours, theirs = self._table, self.leaves, self.comes
        payload = self._cells.payload
        sure(bool((payload[ours] == payload[theirs]).all()))
        sure(bool((self._streams == (table.kind[theirs] == TAP)).all()))
        start, end = table.start[ours], table.end[ours]
        sure(bool((start == table.start[theirs]).all() and (end == table.end[theirs]).all()))
        same = self.way[1:] == self.way[:-1]
        sure(bool((start[1:] >= end[:-1])[same].all()))
        self._split()

    def _split(self) -> None:
        """K/V that ranks have shares of goes to ranks with the same share."""
        clip = self._grid.clip
        if clip.placement.degree == 1 and clip.way != "slices":
            return
        place = np.zeros(self._ranks, np.int64)
        for unit in clip.layout.units:
            place[list(unit)] = unit if clip.way == "slices" else range(len(unit))
        carries = self._table.carries[self.leaves]
        alike = place[self.way // self._ranks] == place[self.way % self._ranks]
        sure(bool((alike | ((carries != KV) & (carries != CONTEXT))).all()))

    def lanes(self) -> None:
        """No two transfers are on a lane at once."""
        users: list[tuple[Ints, Ints]] = []
        used = np.unique(self.way)
        wires = [self._grid.clip.costs.wire(*divmod(way, self._ranks)) for way in used.tolist()]
        for number in range(max(len(wire.lanes) for wire in wires)):
            lane = np.array([wire.lanes[number] if number < len(wire.lanes) else -1 for wire in wires])
            of_row = lane[np.searchsorted(used, self.way)]
            users.append((of_row[of_row >= 0], self.leaves[of_row >= 0]))
        lane, rows = np.concatenate([lane for lane, _ in users]), np.concatenate([rows for _, rows in users])
        order = np.lexsort((self._table.start[rows], lane))
        lane, rows = lane[order], rows[order]
        free = self._table.start[rows[1:]] >= self._table.end[rows[:-1]]
        sure(bool((free | (lane[1:] != lane[:-1])).all()))

    def sends(self) -> None:
        """What is sent is there, made by this very rank, and stays until it is gone."""
        table, cells = self._table, self._cells
        cell = cells.of(self.leaves, cells.payload[self.leaves])
        self._maker = cells.filled[cell]
        sure(bool((self._maker < cells.never).all() and (table.kind[self._maker] <= SLICE).all()))
        sure(bool((cells.start[cells.freed[cell]] >= table.end[self.leaves]).all()))
        rows, maker = self.leaves[~self._streams], self._maker[~self._streams]
        sure(bool((maker < rows).all() and (cells.freed[cell][~self._streams] > rows).all()))
        sure(bool((table.start[rows] >= table.end[maker]).all()))
        size, way = self._prices.sent[cells.payload[rows]], self.way[~self._streams]
        sure(bool((table.end[rows] - table.start[rows] == self._prices.transfers(way, size)).all()))

    def streams(self, layer: Ints) -> Ints:
        """[transfer]: how long the first layer is under way; of what does not come by layers, all of it."""
        table, clip = self._table, self._grid.clip
        rows, maker, way = self.leaves[self._streams], self._maker[self._streams], self.way[self._streams]
        lasts = table.end[self.leaves] - table.start[self.leaves]
        if not rows.size:
            return lasts
        layers = clip.spec.layers
        sure(clip.pattern.is_live and bool((table.carries[rows] == KV).all()))
        sure(bool((maker > rows).all() and (table.start[rows] >= table.start[maker] + layer[maker]).all()))
        size = self._prices.sent[self._cells.payload[rows]]
        each = self._prices.transfers(way, -(-size // layers))
        last = np.maximum(table.end[maker], table.start[rows] + (layers - 1) * each)
        sure(bool((table.end[rows] == last + each).all()))
        lasts[self._streams] = each
        return lasts
