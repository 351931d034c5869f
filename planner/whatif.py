"""`whatif()`: a grid of questions answered in order, on any `concurrent.futures.Executor`.

A point is laid out by one list schedule of a stream's beginning, which is what makes a thousand of them a matter of
seconds; ask for `exact` where it has to be the plan itself. Rows are the same on every executor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from planner.errors import MismatchError
from planner.sweeping.grid import Grid, settled
from planner.sweeping.row import Row
from planner.sweeping.spread_out import answered, are_first
from planner.sweeping.sweep import Sweep

__all__ = ["Grid", "Row", "Sweep", "whatif"]


def whatif(
    grid: Grid,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    on_row: Callable[[Row], None] | None = None,
    rows: Sequence[Row] = (),
    exact: bool | None = None,
) -> Sweep:
    """A row for every point of the grid, in the grid's order; points that nothing can run say why.

    `executor`: where chunks of points are answered, such as Dask's `client.get_executor()`; by default processes, as
    many as there are cores (or `workers`), if the grid is worth it. `on_row` gets every new row as soon as those before
    it are there. `rows`: those of the same grid that are known, from its first on; the sweep goes on after them.
    `exact` overrides the grid's. Ctrl-C ends the sweep with the rows it has: see `Sweep.is_complete`.

    Raises MismatchError for known rows that are not this grid's first ones.
    """
    if exact is not None and exact != grid.exact:
        grid = grid.model_copy(update={"exact": exact})
    grid = settled(grid)
    if not are_first(grid, rows):
        raise MismatchError(f"rows: are not the first ones of this grid of {grid.size} points; start anew")
    found = list(rows)
    try:
        for row in answered(grid, len(found), executor, workers):
            found.append(row)
            if on_row is not None:
                on_row(row)
    except KeyboardInterrupt:
        return Sweep(grid, tuple(found))
    return Sweep(grid, tuple(found))
