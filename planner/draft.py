"""A schedule of units, told for ranks: each rank's compute actions in order, and the transfers between ranks."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from planner.action import LEADERS_WORK, Action, Kind, Payload, TimedAction
from planner.cost import Costs
from planner.expand import Tasks
from planner.flow import Flow
from planner.instance import Schedule


class Move(NamedTuple):
    """One payload's way from rank to rank; `live` if it travels layer by layer while it is made."""

    payload: Payload
    source: int
    target: int
    start_us: int
    end_us: int
    live: bool = False


class Draft(NamedTuple):
    """Compute actions per rank in order of time, and the moves between ranks."""

    ranks: list[list[TimedAction]]
    moves: list[Move]


def draft(schedule: Schedule, tasks: Tasks, costs: Costs) -> Draft:
    """The ranks' part of a schedule. What a rank lacks although nothing was moved is fetched from its maker."""
    flow = costs.flow
    rows: list[list[TimedAction]] = [[] for _ in range(costs.problem.cluster.size)]
    order = sorted(range(len(tasks.actions)), key=lambda t: (schedule.starts_us[t], schedule.ends_us[t], t))
    for task in order:
        span = schedule.starts_us[task], schedule.ends_us[task]
        for rank, action in _shares(tasks.actions[task], schedule.units[task], flow):
            rows[rank].append(TimedAction(action, *span))
    moves = _scheduled(schedule, tasks, flow, rows)
    return Draft(rows, moves + _missing(rows, moves, costs))


def _shares(action: Action, unit: int, flow: Flow) -> list[tuple[int, Action]]:
    """What each rank does of a task that runs on a unit."""
    units = flow.layout.units
    if action.kind is Kind.TICK:
        shares = flow.shares(action.block)
        return [(rank, action._replace(batch=shares[u])) for u in range(flow.layout.denoising) for rank in units[u]]
    if action.kind in LEADERS_WORK:
        return [(units[unit][0], action)]
    return [(rank, action) for rank in units[unit]]


def _scheduled(schedule: Schedule, tasks: Tasks, flow: Flow, rows: list[list[TimedAction]]) -> list[Move]:
    """The schedule's transfers between units of equal size: each rank sends its share to its counterpart."""
    moves = []
    # On a group, a decode's inputs are read by the first rank only.
    read = [{payload for row in program for payload in flow.needs(row.action)} for program in rows]
    maker = {number: task for task, numbers in _made(tasks, flow).items() for number in numbers}
    for number, source, target, start, end in schedule.transfers:
        # Which of a gang's units made a payload is not in the schedule: `_missing` finds it.
        if number not in maker:
            continue
        payload = tasks.payloads[number]
        ends = schedule.ends_us[maker[number]]
        alone = tasks.actions[maker[number]].kind in LEADERS_WORK
        for a, b in _pairs(flow, source, target, alone=alone):
            if payload in read[b]:
                moves.append(Move(payload, a, b, start, end, live=start < ends))
    return moves


def _made(tasks: Tasks, flow: Flow) -> dict[int, list[int]]:
    number = {payload: at for at, payload in enumerate(tasks.payloads)}
    found: dict[int, list[int]] = defaultdict(list)
    for task, action in enumerate(tasks.actions):
        if action.kind is not Kind.TICK:
            found[task] = [number[payload] for payload in flow.makes(action)]
    return found


def _pairs(flow: Flow, source: int, target: int, *, alone: bool) -> list[tuple[int, int]]:
    """Who sends to whom between two units; `alone` if only the first rank has what is sent."""
    senders, receivers = flow.layout.units[source], flow.layout.units[target]
    if alone or len(senders) != len(receivers):
        return [(senders[0], rank) for rank in receivers]
    return list(zip(senders, receivers, strict=True))


def _missing(rows: list[list[TimedAction]], moves: list[Move], costs: Costs) -> list[Move]:
    """Moves of what an action needs and no transfer brings: latents of a gang's shares, and what a group's first rank
    made alone for all.
    """
    flow = costs.flow
    there: set[tuple[int, Payload]] = {(move.target, move.payload) for move in moves}
    makers: dict[Payload, list[tuple[int, int]]] = defaultdict(list)  # (end, rank)
    for rank, program in enumerate(rows):
        for action, _, end in program:
            for payload in flow.makes(action):
                there.add((rank, payload))
                makers[payload].append((end, rank))
    found = []
    for rank, program in enumerate(rows):
        for action, _, _ in program:
            for payload in flow.needs(action):
                if (rank, payload) not in there:
                    end, source = min(makers[payload])
                    there.add((rank, payload))
                    lasts = costs.transfer_us(payload, source, rank)
                    found.append(Move(payload, source, rank, end, end + lasts))
    return found
