"""R1, R2, R7 and R13 at once, on columns: every action of the clip stands where it may, and no other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.action import OF_PASSES, TRANSFERS, Kind
from planner.checking.columns import CODE, KINDS, NONE, Bools, Columns, Ints, Shares, shares, sure
from planner.checking.grid import Grid
from planner.checking.prices import Prices

DENOISE, COMMIT = CODE[Kind.DENOISE], CODE[Kind.COMMIT]
STEPPED = frozenset({Kind.DENOISE, Kind.BATCH, Kind.SLICE})


class Census(NamedTuple):
    """The passes of all rows, as (row, pass) pairs, and the rows of each gang, [gang, member]."""

    row: Ints
    passes: Ints
    gangs: list[Ints]


def take_census(table: Columns, grid: Grid, prices: Prices) -> Census:
    """Raises Doubt if an action is missing, runs twice or where it may not, or is none of the clip's."""
    return _Taker(table, grid, prices).take()


class _Taker:
    def __init__(self, table: Columns, grid: Grid, prices: Prices) -> None:
        self._table, self._grid, self._prices = table, grid, prices
        self._clip = clip = grid.clip
        ranks, self._degree = len(clip.devices), clip.placement.degree
        self._unit, self._member = np.full(ranks, NONE), np.zeros(ranks, np.int64)
        for unit, members in enumerate(clip.layout.units):
            self._unit[list(members)] = unit
            self._member[list(members)] = np.arange(len(members))
        self._gangs: list[Ints] = []

    def take(self) -> Census:
        """All of it."""
        self._shapes()
        row, passes = {
            "passes": self._alone,
            "ticks": self._ticks,
            "batches": self._batches,
            "slices": self._slices,
        }[self._clip.way]()
        self._homes(row, passes)
        self._recaches()
        self._decodes()
        self._texts()
        return Census(row, passes, self._gangs)

    # -- rows by themselves ----------------------------------------------------------------------

    def _shapes(self) -> None:
        """Each row has the fields of its kind, and its rank a place in the placement."""
        table, parts = self._table, self._clip.parts
        moves, frees, steps, batched = np.zeros((4, len(KINDS)), bool)
        for code, kind in enumerate(KINDS):
            moves[code], frees[code], batched[code] = kind in TRANSFERS, kind is Kind.FREE, kind in OF_PASSES
            steps[code] = kind in STEPPED or (kind is Kind.DECODE and parts > 1)
        moving = moves[table.kind]
        sure(bool(((table.peer != NONE) == moving).all() and (table.peer < len(self._clip.devices)).all()))
        sure(bool((table.peer != table.rank).all()))
        computing = ~(moving | frees[table.kind])
        sure(bool(((table.carries == NONE) == computing).all()))
        sure(bool(((table.step != NONE) == steps[table.kind])[computing].all()))
        filled = np.frombuffer(bytes(map(bool, table.batches)), bool)
        sure(bool(batched[table.kind[filled]].all()))
        sure(bool((self._unit[table.rank] != NONE).all()))

    # -- ways to run passes ----------------------------------------------------------------------

    def _alone(self) -> tuple[Ints, Ints]:
        table, grid = self._table, self._grid
        rows = np.flatnonzero(table.kind <= COMMIT)
        sure(rows.size + self._others() == self._computes())
        passes = grid.passes(table.block[rows], table.step[rows])
        self._teams(rows, passes, grid.exists.ravel())
        self._prices.ask_passes(rows, passes)
        return rows, passes

    def _ticks(self) -> tuple[Ints, Ints]:
        table, grid, clip = self._table, self._grid, self._clip
        rows = table.of(Kind.TICK)
        sure(rows.size + self._others() == self._computes())
        held, passes = self._held(rows)
        sure(bool((grid.tick.ravel()[passes] == table.block[held.row]).all()))
        ranks = np.concatenate([np.array(unit) for unit in clip.layout.units[: grid.units]])
        ticks = int(grid.tick[grid.exists].max()) + 1
        place = np.full(len(clip.devices), NONE)
        place[ranks] = np.arange(ranks.size)
        team = self._team(table.block[rows], place[table.rank[rows]], rows, (ticks, ranks.size))
        sure(rows.size == team.size)
        self._gangs.append(team)
        self._whole(held, passes)
        self._alike(team.reshape(ticks, grid.units, self._degree))
        self._prices.ask_ticks(rows)
        return held.row, passes

    def _batches(self) -> tuple[Ints, Ints]:
        table, grid = self._table, self._grid
        rows = table.of(Kind.BATCH)
        sure(rows.size + self._others() == self._computes())
        held, passes = self._held(rows)
        sure(bool((grid.tick.ravel()[passes] == table.block[held.row]).all()))
        unit = table.step[rows]
        sure(bool((unit == self._unit[table.rank[rows]]).all() and (unit < grid.units).all()))
        sure(np.unique(held.row).size == rows.size)
        ticks = int(grid.tick[grid.exists].max()) + 1
        sure(bool((table.block[rows] < ticks).all()))
        number = table.block[rows] * grid.units + unit
        team = self._team(number, self._member[table.rank[rows]], rows, (ticks * grid.units, self._degree))
        filled = team[(team != NONE).any(axis=1)]
        sure(filled.size == rows.size)
        self._gangs.append(filled)
        self._whole(held, passes)
        self._alike(filled[:, None, :])
        self._prices.ask_batches(rows, held, passes)
        return held.row, passes

    def _slices(self) -> tuple[Ints, Ints]:
        table, grid = self._table, self._grid
        rows = table.of(Kind.SLICE)
        sure(rows.size + self._others() == self._computes())
        held, passes = self._held(rows)
        sure(bool((grid.wave.ravel()[passes] == table.block[held.row]).all()))
        sure(bool((table.step[rows] == self._unit[table.rank[rows]]).all() and (table.step[rows] < grid.units).all()))
        counts = np.bincount(grid.wave[grid.exists], minlength=int(grid.wave.max()) + 1)
        sure(bool((table.block[rows] < counts.size).all()))
        sure(bool((np.bincount(held.row, minlength=table.size)[rows] == counts[table.block[rows]]).all()))
        sure(bool((counts[table.block[rows]] > 0).all()))
        team = self._team(table.block[rows], table.step[rows], rows, (counts.size, grid.units))
        sure(rows.size == np.count_nonzero(counts) * grid.units and np.count_nonzero(team != NONE) == rows.size)
        self._prices.ask_batches(rows, held, passes)
        return held.row, passes

    def _held(self, rows: Ints) -> tuple[Shares, Ints]:
        """The passes in batches: each row's from older blocks to newer."""
        held = shares(self._table, rows)
        passes = self._grid.passes(held.block, held.step)
        same = held.row[1:] == held.row[:-1]
        sure(bool((held.block[1:] > held.block[:-1])[same].all()))
        return held, passes

    def _whole(self, held: Shares, passes: Ints) -> None:
        """The first ranks of the units together have each pass once."""
        leads = self._member[self._table.rank[held.row]] == 0
        exists = self._grid.exists.ravel()
        sure(bool((np.bincount(passes[leads], minlength=exists.size) == exists).all()))

    def _alike(self, teams: Ints) -> None:
        """[..., unit, member]: the other ranks of a unit have the same passes as its first."""
        if self._degree > 1:
            batches = self._table.batches
            flat = teams.reshape(-1, self._degree).tolist()
            sure(all(batches[row] == batches[team[0]] for team in flat for row in team[1:]))

    # -- who runs what ---------------------------------------------------------------------------

    def _team(self, number: Ints, place: Ints, rows: Ints, shape: tuple[int, int]) -> Ints:
        """[number, place]: the one row that has it, or NONE."""
        sure(bool((number < shape[0]).all() and (place >= 0).all()))
        team = np.full(shape, NONE)
        team[number, place] = rows
        sure(bool((team[number, place] == rows).all()))
        return team

    def _teams(self, rows: Ints, number: Ints, wanted: Bools) -> None:
        """Each wanted number once on every rank of one unit that denoises, and no other."""
        ranks = self._table.rank[rows]
        sure(bool(wanted[number].all()) and rows.size == np.count_nonzero(wanted) * self._degree)
        team = self._team(number, self._member[ranks], rows, (wanted.size, self._degree))[wanted]
        units = self._unit[self._table.rank[team]]
        sure(bool((units == units[:, :1]).all() and (units < self._grid.units).all()))
        self._gangs.append(team)

    def _homes(self, row: Ints, passes: Ints) -> None:
        """All passes of a block, or of a stage, on one unit, where the placement says so."""
        placed, width = self._clip.placement.passes, self._grid.width
        if placed in ("block", "step"):
            key = passes // width if placed == "block" else passes % width
            unit = self._unit[self._table.rank[row]]
            home = np.full(self._grid.blocks + width, NONE)
            home[key] = unit
            sure(bool((home[key] == unit).all()))

    # -- what is not a pass ----------------------------------------------------------------------

    def _computes(self) -> int:
        return int(np.count_nonzero(self._table.carries == NONE))

    def _others(self) -> int:
        return self._table.of(Kind.DECODE, Kind.ENCODE, Kind.RECACHE, Kind.TEXT).size

    def _recaches(self) -> None:
        wanted = np.zeros(self._grid.blocks, bool)
        wanted[list(self._clip.remade)] = True
        if self._clip.recomputes:
            wanted[1:] = True
        rows = self._table.of(Kind.RECACHE)
        sure(bool((self._table.block[rows] < wanted.size).all()))
        self._teams(rows, self._table.block[rows], wanted)
        self._prices.ask_others(rows)

    def _leads(self, rows: Ints) -> None:
        sure(bool((self._member[self._table.rank[rows]] == 0).all()))

    def _decodes(self) -> None:
        """Each part of the decoder on one rank, block after block, and the encoder with its last part."""
        table, grid, clip = self._table, self._grid, self._clip
        rows, encodes = table.of(Kind.DECODE), table.of(Kind.ENCODE)
        blocks = grid.blocks if clip.workload.decode else 0
        encoded = blocks - 1 if clip.recomputes and blocks else 0
        sure(rows.size == blocks * clip.parts and encodes.size == encoded)
        if not blocks:
            return
        part = np.maximum(table.step[rows], 0)
        sure(bool((part < clip.parts).all()))
        by_part = self._team(table.block[rows], part, rows, (blocks, clip.parts))
        ranks = table.rank[by_part]
        sure(bool((ranks == ranks[0]).all() and (by_part[1:] > by_part[:-1]).all()))
        self._leads(rows)
        unit = self._unit[ranks[0]]
        apart = clip.placement.decoder == "apart"
        sure(bool((unit == grid.units + np.arange(clip.parts) if apart else unit < grid.units).all()))
        in_order = self._team(table.block[encodes], np.zeros(encoded, np.int64), encodes, (encoded, 1))
        sure(bool((in_order[1:] > in_order[:-1]).all()))
        sure(bool((table.rank[encodes] == ranks[0, -1]).all()))
        self._prices.ask_others(rows)
        self._prices.ask_others(encodes)

    def _texts(self) -> None:
        table, grid, clip = self._table, self._grid, self._clip
        rows = table.of(Kind.TEXT)
        prompts = clip.prompts_read if clip.workload.encode_text else 0
        sure(rows.size == prompts)
        self._team(table.block[rows], np.zeros(rows.size, np.int64), rows, (prompts, 1))
        self._leads(rows)
        sure(bool((self._unit[table.rank[rows]] < grid.units).all()))
        self._prices.ask_others(rows)
