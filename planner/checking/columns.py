"""A plan's rows as columns of numbers, and the way to say that they leave a doubt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from planner.action import Action, Carried, Kind, Pass, TimedAction

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KINDS = tuple(Kind)
CODE = {kind: code for code, kind in enumerate(KINDS)}
CARRIES: tuple[Carried, ...] = get_args(Carried)
NONE = -1
FOREVER = 2**62

# A member of an Enum is looked up faster by its identity than by its hash.
_KIND_CODE = {id(kind): code for kind, code in CODE.items()}
_CARRIES_CODE = {None: 255} | {name: code for code, name in enumerate(CARRIES)}
_SMALL = {None: 255} | {number: number for number in range(255)}


class Doubt(Exception):  # noqa: N818 - no error: what it is about may well be right
    """Something is not as it is in a valid plan, or not of a kind that is quickly judged."""


def sure(holds: bool | np.bool_) -> None:
    """Raises Doubt unless it holds."""
    if not holds:
        raise Doubt


class Columns(NamedTuple):
    """All ranks' rows one after the other; NONE stands for None. `first`: the row with which each row's rank begins."""

    rank: Ints
    first: Ints
    kind: Ints
    block: Ints
    step: Ints
    carries: Ints
    peer: Ints
    start: Ints
    end: Ints
    actions: list[Action]
    batches: list[tuple[Pass, ...]]

    @property
    def size(self) -> int:
        return len(self.actions)

    def of(self, *kinds: Kind) -> Ints:
        """Numbers of the rows of these kinds, in order."""
        if len(kinds) == 1:
            return np.flatnonzero(self.kind == CODE[kinds[0]])
        wanted = np.zeros(len(KINDS), bool)
        wanted[[CODE[kind] for kind in kinds]] = True
        return np.flatnonzero(wanted[self.kind])


def columns(ranks: Sequence[Sequence[TimedAction]]) -> Columns:
    """The rows' columns. Raises Doubt if a field is nothing that it can be."""
    rows = list(chain.from_iterable(ranks))
    count = len(rows)
    sure(count > 0)
    flat: list[Any] = list(chain.from_iterable(rows))
    sure(len(flat) == 3 * count)
    fields: list[Any] = list(chain.from_iterable(flat[0::3]))
    sure(len(fields) == 6 * count)
    lengths = np.array([len(program) for program in ranks])
    begins = np.cumsum(lengths) - lengths
    try:
        return Columns(
            rank=np.repeat(np.arange(len(ranks)), lengths),
            first=np.repeat(begins, lengths),
            kind=_coded(bytes(map(_KIND_CODE.__getitem__, map(id, fields[0::6])))),
            block=_whole(fields[1::6]),
            step=_small(fields[2::6]),
            carries=_coded(bytes(map(_CARRIES_CODE.__getitem__, fields[3::6]))),
            peer=_small(fields[4::6]),
            start=_whole(flat[1::3]),
            end=_whole(flat[2::3]),
            actions=flat[0::3],
            batches=fields[5::6],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Doubt from error


def _coded(codes: bytes) -> Ints:
    numbers = np.frombuffer(codes, np.uint8).astype(np.int64)
    numbers[numbers == 255] = NONE
    return numbers


def _whole(values: list[int]) -> Ints:
    """Numbers from 0 on, and small enough to be added up."""
    numbers = np.array(values)
    sure(numbers.dtype == np.int64 and numbers.min() >= 0 and numbers.max() < FOREVER >> 8)
    return numbers


def _small(values: list[int | None]) -> Ints:
    """Numbers from 0 on that are hardly ever large, or None."""
    try:
        return _coded(bytes(map(_SMALL.__getitem__, values)))
    except KeyError:
        found = np.array([NONE if value is None else value for value in values])
        sure(found.dtype == np.int64 and all(value is None or value >= 0 for value in values))
        return found


class Shares(NamedTuple):
    """The passes in a set of rows' batches: which row each belongs to, its block, and its step or NONE."""

    row: Ints
    block: Ints
    step: Ints


def shares(table: Columns, rows: Ints) -> Shares:
    """The passes of ticks, batches or slices. Raises Doubt if there is something else in a batch."""
    batches = [table.batches[row] for row in rows.tolist()]
    try:
        lengths = np.array([len(batch) for batch in batches], np.int64)
        items = list(chain.from_iterable(batches))
        flat = list(chain.from_iterable(items))
    except TypeError as error:
        raise Doubt from error
    sure(len(flat) == 2 * len(items))
    block = _whole(flat[0::2]) if items else np.zeros(0, np.int64)
    return Shares(np.repeat(rows, lengths), block, _small(flat[1::2]))
