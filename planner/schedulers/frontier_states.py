"""States of the search: what has started, and when units and inputs are free.

Arrays carry their shape as a suffix: S states, P places (units), C tasks at the frontier, H chains, B bound rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from planner.schedulers.frontier_tables import Ints

STARTED = -1
NEIGHBOURS = 24  # how many states that are earlier on the whole a state is compared with


class States(NamedTuple):
    columns_C: Ints  # the tasks, ascending
    free_PS: Ints
    ready_CPS: Ints  # when the inputs are there, or STARTED; one place only where nothing travels
    waits_CS: Ints  # for how many tasks that have not started, or STARTED
    now_S: Ints
    key_S: npt.NDArray[np.uint64]  # a hash of what has started
    home_HS: Ints  # the place of each chain, or ANY
    work_BS: Ints  # of each row, what has not started
    chain_work_HPS: Ints

    def at(self, chosen_S: Ints) -> States:
        return States(
            self.columns_C,
            self.free_PS[:, chosen_S],
            self.ready_CPS[:, :, chosen_S],
            self.waits_CS[:, chosen_S],
            self.now_S[chosen_S],
            self.key_S[chosen_S],
            self.home_HS[:, chosen_S],
            self.work_BS[:, chosen_S],
            self.chain_work_HPS[:, :, chosen_S],
        )


class Offers(NamedTuple):
    """Tasks that could start next, in which state and where."""

    state: Ints
    column: Ints
    task: Ints
    place: Ints
    start: Ints
    end: Ints

    def at(self, chosen: Ints | npt.NDArray[np.bool_]) -> Offers:
        return Offers(*(array[chosen] for array in self))


def sort_pools(free_PS: Ints, spans: list[tuple[int, int]]) -> None:
    for begin, end in spans:
        if end - begin > 1:
            free_PS[begin:end].sort(axis=0)


def turned(states: States, turn_PS: Ints) -> States:
    return states._replace(
        free_PS=np.take_along_axis(states.free_PS, turn_PS, axis=0),
        ready_CPS=np.take_along_axis(states.ready_CPS, turn_PS[None], axis=1),
    )


def without_finished(states: States) -> States:
    """Only the columns of tasks that have not started in all states."""
    open_C = (states.waits_CS != STARTED).any(axis=1)
    return states._replace(
        columns_C=states.columns_C[open_C], ready_CPS=states.ready_CPS[open_C], waits_CS=states.waits_CS[open_C]
    )


def undominated(states: States) -> Ints:
    """The states that no neighbour with the same tasks started is ahead of everywhere.

    Keys bring those together; that they started the same is sure, as else each would have STARTED where the other has
    a time.
    """
    columns, deep, many = states.ready_CPS.shape
    times_XS = np.concatenate([states.free_PS, states.ready_CPS.reshape(columns * deep, many)])
    order_S = np.lexsort((times_XS.sum(axis=0), states.key_S))
    times_XS, key_S = times_XS[:, order_S], states.key_S[order_S]
    keeps_S = np.ones(len(order_S), dtype=bool)
    for apart in range(1, min(NEIGHBOURS + 1, len(order_S))):
        alike_S = key_S[apart:] == key_S[:-apart]
        if not alike_S.any():
            break
        ahead = np.flatnonzero(alike_S & keeps_S[apart:] & keeps_S[:-apart])
        behind = ahead + apart
        keeps_S[behind[(times_XS[:, ahead] <= times_XS[:, behind]).all(axis=0)]] = False
    return order_S[keeps_S]
