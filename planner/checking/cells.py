"""R9 and R11 on columns: what each rank holds, from which row to which."""

from __future__ import annotations

import numpy as np

from planner.action import COMING, Action, Kind
from planner.checking.census import Census
from planner.checking.columns import CODE, FOREVER, KINDS, NONE, Columns, Ints, sure
from planner.checking.grid import CONTEXT, ENCODED, FEATURES, HIDDEN, KV, LATENTS, PIXELS, TEXT, Grid


class Cells:
    """A cell is a payload on a rank. Each is filled by one row, and freed by one or kept.

    `filled` and `freed` give those rows, or `never`, which is after all others: it begins and ends FOREVER.
    """

    def __init__(self, table: Columns, grid: Grid, census: Census) -> None:
        self._table, self._grid, self._census, self._clip = table, grid, census, grid.clip
        self.never = table.size
        self.start, self.end = np.append(table.start, FOREVER), np.append(table.end, FOREVER)
        self.payload = np.full(table.size, NONE)
        named = np.flatnonzero(table.carries != NONE)
        self.payload[named] = grid.number(table.carries[named], table.block[named], table.step[named])
        self._fill()
        self._empty()

    def of(self, rows: Ints, payloads: Ints) -> Ints:
        """Cells of payloads on the rows' ranks."""
        return self._table.rank[rows] * self._grid.payloads + payloads

    def _new(self) -> Ints:
        return np.full(len(self._clip.devices) * self._grid.payloads, self.never)

    # -- filled and freed ------------------------------------------------------------------------

    def _fill(self) -> None:
        """What compute actions make and receives bring; R8: nothing comes to a rank twice."""
        table = self._table
        comes = table.of(*COMING)
        made = self._made()
        self._rows = np.concatenate([comes, *(rows for rows, _ in made)])
        self._payloads = np.concatenate([self.payload[comes], *(payloads for _, payloads in made)])
        self._brought = self.of(self._rows, self._payloads)
        self._made_from = comes.size
        self.filled = self._new()
        self.filled[self._brought] = self._rows
        sure(bool((self.filled[self._brought] == self._rows).all()))

    def _empty(self) -> None:
        """R9: all is freed once, when it is there, but the clip's latents where they were made."""
        frees = self._table.of(Kind.FREE)
        cells = self.of(frees, self.payload[frees])
        self.freed = self._new()
        self.freed[cells] = frees
        sure(bool((self.freed[cells] == frees).all() and (self.filled[cells] < frees).all()))
        sure(bool((self.start[frees] >= self.end[self.filled[cells]]).all()))
        kept = np.zeros(self._brought.size, bool)
        if not self._clip.workload.decode:
            clean = np.zeros(self._grid.payloads, bool)
            clean[self._grid.clean_latents] = True
            kept[self._made_from :] = clean[self._payloads[self._made_from :]]
        sure(bool(((self.freed[self._brought] == self.never) == kept).all()))

    def _made(self) -> list[tuple[Ints, Ints]]:
        """(rows, payloads) of what compute actions leave behind."""
        table, grid, clip, census = self._table, self._grid, self._clip, self._census
        found: list[tuple[Ints, Ints]] = []
        steps = census.passes % grid.width < grid.steps_of(census.passes // grid.width)
        if clip.way == "slices":
            last = table.step[census.row] == grid.units - 1
            rows = np.flatnonzero((table.kind == CODE[Kind.SLICE]) & (table.step != grid.units - 1))
            found.append((rows, grid.base[HIDDEN] + table.block[rows] * grid.units + table.step[rows]))
            steps = steps & last
        found.append((census.row[steps], grid.base[LATENTS] + census.passes[steps]))
        if clip.way == "ticks":
            found.append(self._committed())
        elif not clip.recomputes:
            found.append((census.row, grid.base[KV] + census.passes))
        return found + self._made_besides()

    def _committed(self) -> tuple[Ints, Ints]:
        """A tick leaves the cleanest K/V that came of it on every rank; the last block's is of no use."""
        grid, rows = self._grid, self._table.of(Kind.TICK)
        block = np.arange(grid.blocks - 1)
        stage = grid.exists[:-1].sum(axis=1) - 1
        made = np.full(int(grid.tick[grid.exists].max()) + 1, NONE)
        made[grid.tick[block, stage]] = grid.base[KV] + block * grid.width + stage
        sure(np.count_nonzero(made != NONE) == block.size)
        payloads = made[self._table.block[rows]]
        return rows[payloads != NONE], payloads[payloads != NONE]

    def _made_besides(self) -> list[tuple[Ints, Ints]]:
        table, grid, clip = self._table, self._grid, self._clip
        found = []
        for kind, carries in ((Kind.ENCODE, ENCODED), (Kind.RECACHE, CONTEXT), (Kind.TEXT, TEXT)):
            rows = table.of(kind)
            found.append((rows, grid.base[carries] + table.block[rows]))
        rows = table.of(Kind.DECODE)
        part, block = np.maximum(table.step[rows], 0), table.block[rows]
        goes_on = part < clip.parts - 1
        found.append((rows[goes_on], (grid.base[FEATURES] + block * clip.parts + part)[goes_on]))
        if clip.recomputes:
            again = ~goes_on & (block < grid.blocks - 1)
            found.append((rows[again], grid.base[PIXELS] + block[again]))
        return found

    # -- memory ----------------------------------------------------------------------------------

    def check_memory(self, sizes: Ints) -> None:
        """R11: what a rank holds besides weights and working memory, which the kinds of its actions tell."""
        table, frees = self._table, self._table.of(Kind.FREE)
        change = np.zeros(table.size, np.int64)
        np.add.at(change, self._rows, sizes[self._payloads])
        change[frees] -= sizes[self.payload[frees]]
        held = np.cumsum(change)
        begins = np.unique(table.first)
        peaks = np.maximum.reduceat(held, begins) - (held[begins] - change[begins])
        for begin, peak in zip(begins.tolist(), peaks.tolist(), strict=True):
            rank = int(table.rank[begin])
            limit = self._clip.devices[rank].memory_bytes
            sure(self._clip.costs.resident_bytes(self._telling(rank)) + max(0, peak) <= limit)

    def _telling(self, rank: int) -> list[Action]:
        """One action of each kind in a rank's program, and the one with the most passes."""
        rows = np.flatnonzero(self._table.rank == rank)
        one_of = np.full(len(KINDS), NONE)
        one_of[self._table.kind[rows]] = rows
        most = rows[np.argmax(np.bincount(self._census.row, minlength=self.never)[rows])]
        return [self._table.actions[row] for row in (*one_of[one_of != NONE].tolist(), int(most))]
