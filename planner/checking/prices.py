"""What the cost model says of each row, asked once for all rows that are alike.

Blocks are alike once their context has stopped growing, units if they have the same devices on as many nodes. Near
the clip's end a tick has its own price, as its passes read fewer newer blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from planner.action import Payload
from planner.checking.columns import CARRIES, NONE, Columns, Ints, Shares
from planner.checking.grid import CONTEXT, ENCODED, FEATURES, HIDDEN, KV, LATENTS, PIXELS, TEXT, Grid


class Prices:
    """Durations of compute rows, sizes of payloads and durations of transfers."""

    def __init__(self, table: Columns, grid: Grid) -> None:
        self._table, self._grid, self._clip = table, grid, grid.clip
        self._costs = grid.clip.costs
        spec = grid.clip.spec
        self._settled = spec.window // spec.frames_per_block
        self._alike: Ints = np.minimum(np.arange(grid.blocks), self._settled)
        self.durations: Ints = np.zeros(table.size, np.int64)
        self._unit_kind = self._kinds_of_units()

    def _kinds_of_units(self) -> Ints:
        """[rank]: equal numbers for ranks whose units are alike, counted from 0; the placement has the rank in one."""
        node, devices = self._clip.node_of, self._clip.devices
        numbers: dict[object, int] = {}
        found = np.zeros(len(devices), np.int64)
        for ranks in self._clip.layout.units:
            kinds = tuple((devices[r].kind, devices[r].peak_tflops, devices[r].memory_gbps) for r in ranks)
            found[list(ranks)] = numbers.setdefault((kinds, len({node[rank] for rank in ranks})), len(numbers))
        self.unit_kinds = max(1, len(numbers))
        return found

    # -- compute actions -------------------------------------------------------------------------

    def ask(self, rows: Ints, alike: Ints, *, by_unit: bool = True) -> None:
        """Prices rows, where rows of equal numbers (and on units that are alike) cost the same."""
        table = self._table
        keys = alike * self.unit_kinds + self._unit_kind[table.rank[rows]] if by_unit else alike
        one_of = np.full(int(keys.max(initial=-1)) + 1, NONE)
        one_of[keys] = rows
        known = np.zeros(one_of.size, np.int64)
        for key in np.flatnonzero(one_of != NONE).tolist():
            row = int(one_of[key])
            known[key] = self._costs.compute_us(table.actions[row], int(table.rank[row]))
        self.durations[rows] = known[keys]

    def ask_passes(self, rows: Ints, passes: Ints) -> None:
        """Prices rows of a single pass each."""
        self.ask(rows, self._pass_kinds[passes])

    def ask_batches(self, rows: Ints, shares: Shares, passes: Ints) -> None:
        """Prices batches and slices by which passes they hold."""
        kinds, ends = self._pass_kinds[passes].tolist(), np.searchsorted(shares.row, rows, side="right").tolist()
        numbers: dict[object, int] = {}
        begin, found = 0, []
        for step, end in zip(self._table.step[rows].tolist(), ends, strict=True):
            found.append(numbers.setdefault((step, *kinds[begin:end]), len(numbers)))
            begin = end
        self.ask(rows, np.array(found, np.int64))

    def ask_ticks(self, rows: Ints) -> None:
        """Prices ticks. Between ramps those are alike whose passes are at the same stages, in the same units' turn."""
        grid, offset = self._grid, self._clip.pattern.offset
        there = grid.exists
        tick, block = grid.tick[there], np.broadcast_to(np.arange(grid.blocks)[:, None], there.shape)[there]
        low, high = np.full(int(tick.max()) + 1, grid.blocks), np.full(int(tick.max()) + 1, NONE)
        np.minimum.at(low, tick, block)
        np.maximum.at(high, tick, block)
        steady = (low > self._settled) & (high + grid.width // offset + 1 < grid.blocks)
        turns = offset * (grid.units if self.unit_kinds > 1 else 1)
        number = np.arange(steady.size)
        # A tick's price is that of all its ranks.
        self.ask(rows, np.where(steady, number % turns, turns + number)[self._table.block[rows]], by_unit=False)

    def ask_others(self, rows: Ints) -> None:
        """Prices decodes and the like, by part and block."""
        if rows.size:
            parts = self._clip.parts + 1
            self.ask(rows, np.minimum(self._table.block[rows], self._settled) * parts + self._table.step[rows] + 1)

    @cached_property
    def _pass_kinds(self) -> Ints:
        grid = self._grid
        return (self._alike[:, None] * grid.width + np.arange(grid.width)[None, :]).ravel()

    # -- payloads --------------------------------------------------------------------------------

    @cached_property
    def sizes(self) -> Ints:
        """Bytes that each payload takes where it is held."""
        return self._bytes(self._costs.payload_bytes)

    @cached_property
    def sent(self) -> Ints:
        """Bytes that a transfer of each payload moves."""
        return self._bytes(self._costs.sent_bytes)

    def _bytes(self, bytes_of: Callable[[Payload], int]) -> Ints:
        grid = self._grid
        parts = []
        for carries in (KV, LATENTS, CONTEXT, PIXELS, ENCODED, FEATURES):
            inner = grid.stride[carries] if carries == FEATURES else 1
            known = [
                [bytes_of(Payload(CARRIES[carries], block, step)) for step in range(inner)]
                for block in range(int(self._alike[-1]) + 1)
            ]
            each = np.array(known, np.int64)[self._alike]
            parts.append(np.repeat(each.ravel(), grid.stride[carries] // inner))
        parts.append(np.repeat(self._hidden_sizes(), grid.units))
        parts.append(np.full(grid.limit[TEXT], bytes_of(Payload("text", 0))))
        return np.concatenate(parts)

    def _hidden_sizes(self) -> Ints:
        """[wave]: by how many passes a wave has."""
        grid = self._grid
        if not grid.limit[HIDDEN]:
            return np.zeros(0, np.int64)
        counts = np.bincount(grid.wave[grid.exists], minlength=int(grid.limit[HIDDEN]))
        found = np.zeros(counts.size, np.int64)
        for count in np.unique(counts).tolist():
            alike = counts == count
            found[alike] = self._costs.payload_bytes(Payload("hidden", int(np.argmax(alike)), 0))
        return found

    def transfers(self, ways: Ints, sizes: Ints) -> Ints:
        """How long payloads of these sizes are under way; a way is its source x ranks + target."""
        ranks, known = len(self._clip.devices), dict[tuple[int, int], int]()
        found = []
        for key in zip(ways.tolist(), sizes.tolist(), strict=True):
            if key not in known:
                known[key] = self._costs.wire(*divmod(key[0], ranks)).transfer_us(key[1])
            found.append(known[key])
        return np.array(found, np.int64)
