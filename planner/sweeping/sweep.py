"""A grid's rows, as a table, a front, or text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from planner.errors import InputError
from planner.sweeping.front import front
from planner.sweeping.grid import Grid
from planner.sweeping.row import Row

if TYPE_CHECKING:
    import pandas


class Sweep(NamedTuple):
    """The rows of a grid in its order, from the first point on; some are missing if the sweep was interrupted."""

    grid: Grid
    rows: tuple[Row, ...]

    @property
    def is_complete(self) -> bool:
        return len(self.rows) == self.grid.size

    def pareto(self, objectives: Sequence[str] = ("steady_fps", "money_per_minute")) -> tuple[Row, ...]:
        """The possible rows that none beats in all objectives, best first by the first; those within the limits only,
        if any are. Raises InputError for an unknown objective, one named twice or less than two.
        """
        return front(self.rows, objectives)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first points that can run, and why others cannot."""
        from planner.pictures.inline import Table, listing
        from planner.sweeping.shown import COLUMNS, shown, summed_up

        rows = [shown(row) for row in self.rows if row.is_possible]
        return listing(f"Sweep of {self.grid.size:,} points", Table(COLUMNS, rows), notes=summed_up(self))

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a column for each field of a row. Raises InputError if pandas is not installed."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise InputError("pandas is not installed: pip install 'blockcascade[sweep]', or use to_csv()") from None
        return pandas.DataFrame.from_records([row._asdict() for row in self.rows], columns=list(Row._fields))

    def to_csv(self) -> str:
        """A line of column names, then a line a row; what is not known is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(self.rows)
        return text.getvalue()

    def to_json_lines(self) -> str:
        """A JSON object a row and line."""
        return "".join(json.dumps(row._asdict()) + "\n" for row in self.rows)
