"""What repeats in the schedule of an endless stream, and where in a long schedule it does."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from planner.errors import InputError

# For each unit, the (task, block) pairs it runs one after the other; then it does the same with each block `blocks`
# later, and so on without end. The pairs may start in different rounds: what counts is which come after which.
Order = tuple[tuple[tuple[int, int], ...], ...]


class Slot(NamedTuple):
    """One task of one block, on a unit."""

    task: int
    block: int
    unit: int
    start_us: int
    end_us: int


class Kernel(NamedTuple):
    """What repeats: each task of block b + `blocks` runs `period_us` after that of block b, on the same unit.

    `slots` has blocks `first` to `first` + `blocks` - 1, by block and task; it repeats up to block `last`, or without
    end if that is None.
    """

    blocks: int
    period_us: int
    first: int
    last: int | None
    slots: tuple[Slot, ...]

    @property
    def period(self) -> Fraction:
        """Microseconds between finished blocks, on average."""
        return Fraction(self.period_us, self.blocks)

    @property
    def order(self) -> Order:
        """What each unit runs during one period, in order."""
        begin = min(slot.start_us for slot in self.slots)
        rows: list[list[tuple[int, int, int]]] = [[] for _ in range(1 + max(slot.unit for slot in self.slots))]
        for slot in self.slots:
            rounds, since = divmod(slot.start_us - begin, self.period_us)
            rows[slot.unit].append((since, slot.task, slot.block - rounds * self.blocks))
        return tuple(tuple((task, block) for _, task, block in sorted(row)) for row in rows)


def find_kernel(
    starts_us: Sequence[int],
    ends_us: Sequence[int],
    units: Sequence[int],
    blocks: Sequence[int],
    stages: Sequence[int] | None = None,
    repeats: int = 3,
) -> Kernel | None:
    """The smallest kernel of a schedule and how far it goes, or None if none runs `repeats` times in a row.

    One entry a task in each sequence; a task's stage tells it from the others of its block, by default its place among
    them. The kernel has to account for half of the blocks at least: alike neighbours are none yet. Linear time.
    """
    rows = _rows(starts_us, ends_us, units, blocks, stages if stages is not None else _places(blocks))
    shapes = _shapes(rows)
    for inside in (len(rows) // 2 + 1, len(rows) // 4 + 1):
        # Two blocks look alike if they have the same shape and follow the block before at the same distance.
        texts = [(shapes[b], rows[b][0].start_us - rows[b - 1][0].start_us) for b in range(inside, len(rows))]
        count = _period(texts)
        if count is None:
            continue
        first, last = _extent(rows, shapes, inside, count)
        if last - first + 1 >= max(repeats * count, len(rows) / 2):
            slots = tuple(slot for row in rows[first : first + count] for slot in row)
            return Kernel(count, rows[first + count][0].start_us - rows[first][0].start_us, first, last, slots)
    return None


def _places(blocks: Sequence[int]) -> list[int]:
    counts: dict[int, int] = {}
    places = []
    for block in blocks:
        places.append(counts.get(block, 0))
        counts[block] = places[-1] + 1
    return places


def _rows(
    starts_us: Sequence[int], ends_us: Sequence[int], units: Sequence[int], blocks: Sequence[int], stages: Sequence[int]
) -> list[list[Slot]]:
    """The tasks of each block, by stage."""
    rows: list[list[Slot]] = [[] for _ in range(max(blocks, default=-1) + 1)]
    for start, end, unit, block, stage in zip(starts_us, ends_us, units, blocks, stages, strict=True):
        rows[block].append(Slot(stage, block, unit, start, end))
    if not all(rows):
        raise InputError(f"blocks: none has the number {rows.index([])}; number them from 0 without gaps")
    for row in rows:
        row.sort()
    return rows


def _shapes(rows: list[list[Slot]]) -> list[int]:
    """A number for each block; blocks with the same one differ in nothing but when their first task starts."""
    numbers: dict[tuple[tuple[int, int, int, int], ...], int] = {}
    shapes = []
    for row in rows:
        begin = row[0].start_us
        shape = tuple((slot.task, slot.unit, slot.start_us - begin, slot.end_us - begin) for slot in row)
        shapes.append(numbers.setdefault(shape, len(numbers)))
    return shapes


def _period(texts: list[tuple[int, int]]) -> int | None:
    """Length of the smallest block whose repetition gives the longest beginning of a text, at least two of it.

    All lengths at once by the Z-algorithm (Gusfield 1997, 1.3): reach[k] letters from k on equal those from 0 on.
    """
    size = len(texts)
    reach = [0] * size
    left = right = 0
    best, longest = None, 0
    for k in range(1, size):
        span = min(right - k, reach[k - left]) if k < right else 0
        while k + span < size and texts[span] == texts[k + span]:
            span += 1
        reach[k] = span
        if k + span > right:
            left, right = k, k + span
        if span >= k and k + span > longest:
            best, longest = k, k + span
    return best


def _extent(rows: list[list[Slot]], shapes: list[int], inside: int, count: int) -> tuple[int, int]:
    """First and last block between which each equals the one `count` before it, one period later."""
    period = rows[inside + count][0].start_us - rows[inside][0].start_us

    def repeats(block: int) -> bool:
        later = block + count
        same = later < len(rows) and shapes[block] == shapes[later]
        return same and rows[later][0].start_us - rows[block][0].start_us == period

    first = last = inside
    while first and repeats(first - 1):
        first -= 1
    while repeats(last):
        last += 1
    return first, last + count - 1
