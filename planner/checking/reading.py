"""R5, R6 and R15 on columns: whatever an action reads is on its rank, there in time and not freed."""

from __future__ import annotations

import numpy as np

from planner.action import Kind
from planner.checking.cells import Cells
from planner.checking.census import Census
from planner.checking.columns import CODE, NONE, Bools, Columns, Ints, sure
from planner.checking.grid import ENCODED, FEATURES, HIDDEN, PIXELS, TEXT, Grid

Reads = tuple[Ints, Ints]  # rows and the payloads that they read


def check_reads(table: Columns, grid: Grid, census: Census, cells: Cells, first_layer: Ints, layer: Ints) -> Ints:
    """[row]: a layer after the last stream that a row reads, or 0.

    `first_layer`: when a tap's row has brought its first layer. `layer`: how long a layer of each row takes.
    """
    rows, payloads, beside = _of_passes(table, grid, census)
    others = [*_besides(table, grid), *_recached(table, grid)]
    rows = np.concatenate([rows, *(row for row, _ in others)])
    payloads = np.concatenate([payloads, *(payload for _, payload in others)])
    beside = np.concatenate([beside, np.zeros(rows.size - beside.size, bool)])
    cell = cells.of(rows, payloads)
    by = cells.filled[cell]
    sure(bool((by < rows).all() and (cells.freed[cell] > rows).all()))
    tapped = beside & (table.kind[by] == CODE[Kind.TAP])
    sure(bool((table.start[rows] >= np.where(tapped, first_layer[by], table.end[by])).all()))
    until = np.zeros(table.size, np.int64)
    np.maximum.at(until, rows[tapped], (table.end[by] + layer[rows])[tapped])
    return until


def _of_passes(table: Columns, grid: Grid, census: Census) -> tuple[Ints, Ints, Bools]:
    payloads, sides = grid.reads
    read, beside = payloads[census.passes], sides[census.passes]
    there = read != NONE
    if grid.clip.way == "ticks":
        there &= ~beside  # within a tick that is no matter of payloads
    if grid.clip.way == "slices":
        # The others get hidden states; the last makes the next step's input of the flow and this one's.
        there[:, 0] &= np.isin(table.step[census.row], (0, grid.units - 1))
    rows = np.broadcast_to(census.row[:, None], read.shape)[there]
    return rows, read[there], beside[there] & grid.clip.pattern.is_live


def _besides(table: Columns, grid: Grid) -> list[Reads]:
    """What decoding, encoding and all slices but the first read."""
    rows = table.of(Kind.DECODE)
    part, block = table.step[rows], table.block[rows]
    handed = np.where(part > 0, grid.base[FEATURES] + block * grid.clip.parts + part - 1, grid.clean_latents[block])
    encodes = table.of(Kind.ENCODE)
    slices = np.flatnonzero((table.kind == CODE[Kind.SLICE]) & (table.step > 0))
    hidden = grid.base[HIDDEN] + table.block[slices] * grid.units + table.step[slices] - 1
    return [(rows, handed), (encodes, grid.base[PIXELS] + table.block[encodes]), (slices, hidden)]


def _recached(table: Columns, grid: Grid) -> list[Reads]:
    """What it takes to make a context anew: its blocks as they were encoded, or their clean latents; and a prompt."""
    rows = table.of(Kind.RECACHE)
    block = table.block[rows]
    context = grid.context[block]
    source = grid.base[ENCODED] + context if grid.clip.recomputes else grid.clean_latents[context]
    there = context != NONE
    found = [(np.broadcast_to(rows[:, None], there.shape)[there], source[there])]
    if grid.clip.workload.encode_text:
        found.append((rows, grid.base[TEXT] + grid.prompt[block, 0]))
    return found


def check_released(table: Columns, grid: Grid, census: Census) -> None:
    """R15: nothing that takes a prompt starts before the prompt is there."""
    switches, ticks = grid.clip.workload.switches, grid.clip.switch_ticks
    if not switches:
        return
    sure(all(tick >= 0 for tick in ticks) and list(ticks) == sorted(ticks))
    there = np.array([0, *(switch.at_us for switch in switches)])
    texts, recaches = table.of(Kind.TEXT), table.of(Kind.RECACHE)
    sure(bool((table.start[census.row] >= there[grid.prompt.ravel()[census.passes]]).all()))
    sure(bool((table.start[texts] >= there[table.block[texts]]).all()))
    sure(bool((table.start[recaches] >= there[grid.prompt[table.block[recaches], 0]]).all()))
