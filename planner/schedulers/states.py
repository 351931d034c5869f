"""Better schedules and bounds by the search over states, wider and wider, forwards and backwards in time."""

from __future__ import annotations

from dataclasses import dataclass

from planner.bounds.heads import HeadsTails
from planner.instance import Instance
from planner.schedulers.frontier import search
from planner.schedulers.frontier_paths import best_schedule
from planner.schedulers.frontier_rows import Row, area_rows, multiplier_row
from planner.schedulers.frontier_tables import Tables, mirrored
from planner.schedulers.incumbent import Incumbent
from planner.schedulers.multipliers import linear_bound

FIRST_WIDTH = 20
NARROW = 200
WIDER = 10
FILL = 0.8  # of the cells left, so that a search is hardly ever cut short
LEVEL_CELLS = 5_000_000  # of the states with equally many tasks started: some 100 MB, and half a second
NAME = "states"
PROGRAM = 1500  # tasks x pools: the linear program of more takes too long


@dataclass
class _Direction:
    """One way through time, and how the last search along it went."""

    tables: Tables
    rows: list[Row]
    backwards: bool
    width: int = 0
    cells: int = 0
    bound: int = 0

    def next_width(self, cells: int) -> int:
        """Ten times wider, or as wide as so many cells seem to allow; 0 if that is hardly wider than before."""
        if not self.width:
            return FIRST_WIDTH
        most = min(FILL * cells, LEVEL_CELLS * self.tables.size)
        width = min(WIDER * self.width, int(self.width * most / self.cells))
        return width if width >= 2 * self.width else 0


class StateSearch:
    """The search over states of one instance without live inputs, in portions."""

    def __init__(self, incumbent: Incumbent, instance: Instance, known: HeadsTails) -> None:
        self._incumbent, self._instance = incumbent, instance
        self._directions = _directions(incumbent, instance, known)
        self._is_over = False
        self._cells = 0

    def run(self, cells: int, until_s: float) -> None:
        """Improves the incumbent until so many cells have been looked at in all, or so many seconds are left.

        Ends when all is known that this search can tell: an optimum, if each transfer had lanes of its own.
        Deterministic unless time runs out.
        """
        incumbent = self._incumbent
        while not self._is_over and not incumbent.is_optimal and incumbent.left_s > until_s:
            # Narrow searches go both ways, wide ones the way that promises more.
            narrow = min(self._directions, key=lambda direction: direction.width)
            best = max(self._directions, key=lambda direction: (direction.bound, -direction.cells))
            direction = narrow if narrow.width < NARROW else best
            width = direction.next_width(cells - self._cells)
            if not width:
                return
            self._search(direction, width, cells - self._cells, until_s)

    def _search(self, direction: _Direction, width: int, cells: int, until_s: float) -> None:
        incumbent = self._incumbent
        limit = incumbent.best_ticks
        found = search(
            direction.tables,
            direction.rows,
            limit=limit,
            bound=incumbent.bound_ticks,
            width=width,
            cells=cells,
            go_on=lambda: incumbent.left_s > until_s,
        )
        self._cells += found.cells
        direction.width, direction.cells, direction.bound = width, max(1, found.cells), found.bound
        if len(found.ends_S):
            schedule = best_schedule(direction.tables, found, self._instance, backwards=direction.backwards)
            incumbent.offer(schedule, NAME)
        incumbent.raise_bound(found.bound, NAME)
        self._is_over = found.bound >= min([limit, *found.ends_S.tolist()])


def _directions(incumbent: Incumbent, instance: Instance, known: HeadsTails) -> list[_Direction]:
    """Forwards, and backwards if nothing is released late."""
    forwards = Tables.of(instance, known)
    rows = area_rows(forwards)
    found = [_Direction(forwards, rows, False)]
    if not instance.release_us:
        backwards = Tables.of(mirrored(instance), HeadsTails(known.tails[::-1], known.heads[::-1]))
        found.append(_Direction(backwards, area_rows(backwards), True))
    small = instance.size * len(forwards.spans) <= PROGRAM
    solved = linear_bound(forwards) if small and _unequal(instance) else None
    if solved is not None:
        bound, multipliers = solved
        incumbent.raise_bound(bound, "linear program")
        for direction in found:
            turned = multipliers.mirrored(instance.size) if direction.backwards else multipliers
            direction.rows.append(multiplier_row(direction.tables, turned))
    return found


def _unequal(instance: Instance) -> bool:
    """Whether a unit is faster than another: where all are equal the linear program adds nothing."""
    return any(len(set(row) - {0}) > 1 for row in set(instance.durations))
