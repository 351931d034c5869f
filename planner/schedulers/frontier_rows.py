"""Lower bounds of what a state can still reach, as rows of whole numbers that are summed over what is not started."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.instance import ANY
from planner.schedulers.frontier_tables import NEVER, Ints, Tables
from planner.schedulers.multipliers import Multipliers

AREAS = 10  # how many of the tails an area is reckoned for
PRECISION = 1000


class Row(NamedTuple):
    """No schedule through a state ends before the sum of these, divided by `total`:

    `work_T` of each task that is not started, the least of `chain_TP` over the places for all of a chain's;
    for each (tail, weights) in `terms` and each place its weight x (when the place is free, at most the known bound -
    the tail, + the tail); and `flow_T` of what enters the tasks that are not started x when their inputs are there.
    """

    total: int
    work_T: Ints
    terms: list[tuple[int, Ints]]
    flow_T: Ints | None = None
    flows: dict[tuple[int, int], int] = {}  # noqa: RUF012 - never written to
    chain_TP: Ints | None = None


def area_rows(tables: Tables) -> list[Row]:
    """What must follow is work for all units together, each weighted by its speed; one row for each of some tails."""
    may_TP = tables.duration_TP < NEVER
    ratio_TP = np.where(may_TP, tables.least_T[:, None] / tables.duration_TP, np.nan)
    used_P = may_TP.any(axis=0)
    speed_P = np.zeros(len(tables.places))
    speed_P[used_P] = np.nanmedian(ratio_TP[:, used_P], axis=0)
    weight_P = np.maximum(1, np.round(speed_P * PRECISION)).astype(np.int64)
    if (weight_P == weight_P[0]).all():
        weight_P[:] = 1
    work_T = np.where(may_TP, tables.duration_TP * weight_P, NEVER * PRECISION).min(axis=1)
    tails = np.unique(np.quantile(tables.tails_T, np.linspace(0, 1, AREAS)).astype(np.int64))
    total = int(weight_P.sum())
    return [Row(total, np.where(tables.tails_T >= tail, work_T, 0), [(int(tail), weight_P)]) for tail in tails]


def multiplier_row(tables: Tables, multipliers: Multipliers) -> Row:
    """What the multipliers of the linear program say of any state."""
    flow_T = multipliers.flow_through(tables.size)
    cost_TP = np.tile(flow_T[:, None], (1, len(tables.places)))
    terms: dict[int, Ints] = {}
    for (pool, tail), weight in multipliers.by_tail().items():
        begin, end = tables.spans[pool]
        cost_TP[:, begin:end] += np.where(tables.tails_T >= tail, weight, 0)[:, None]
        terms.setdefault(tail, np.zeros(len(tables.places), dtype=np.int64))[begin:end] += weight
    cost_TP = np.where(tables.duration_TP < NEVER, cost_TP * np.minimum(tables.duration_TP, NEVER), NEVER * PRECISION)
    work_T = cost_TP.min(axis=1)
    in_chain_T = tables.chain_T != ANY
    work_T[in_chain_T] = 0
    return Row(
        total=multipliers.total(tables.spans),
        work_T=work_T,
        terms=sorted(terms.items()),
        flow_T=flow_T,
        flows=multipliers.flows,
        chain_TP=np.where(in_chain_T[:, None], cost_TP, 0) if in_chain_T.any() else None,
    )
