"""Lowers a schedule to programs: sends, receives and frees take their places between the compute actions.

A transfer is posted on both sides after the last compute action that ends before it starts, so on no rank does it
wait to be posted; links carry their transfers in the order of the posts. A payload's storage is freed once its last
local reader is done and no transfer of it is under way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from operator import itemgetter

import networkx as nx

from planner.action import Action, Kind, Payload
from planner.schedulers.list_schedule import Schedule


def lower(schedule: Schedule, graph: nx.DiGraph[Action]) -> list[list[Action]]:
    """Each rank's program, in order."""
    posts = _posts(schedule)
    frees = _frees(schedule, graph)
    programs = []
    for rank, rows in enumerate(schedule.ranks):
        program: list[Action] = []
        for place in range(len(rows) + 1):
            # Frees last: one that waits for its send must not keep a receive from being posted.
            program += [action for _, action in sorted(posts[rank, place], key=itemgetter(0))]
            program += [_free(payload) for payload in frees[rank, place]]
            if place < len(rows):
                program.append(rows[place].action)
        programs.append(program)
    return programs


def _posts(schedule: Schedule) -> dict[tuple[int, int], list[tuple[int, Action]]]:
    """Sends and receives by (rank, how many compute actions precede them)."""
    ends = [[row.end_us for row in rows] for rows in schedule.ranks]
    posts: dict[tuple[int, int], list[tuple[int, Action]]] = defaultdict(list)
    for payload, source, target, start, _ in schedule.transfers:
        carries, block, step = payload
        for rank, kind, peer in ((source, Kind.SEND, target), (target, Kind.RECV, source)):
            posts[rank, bisect_right(ends[rank], start)].append((start, Action(kind, block, step, carries, peer)))
    return posts


def _frees(schedule: Schedule, graph: nx.DiGraph[Action]) -> dict[tuple[int, int], list[Payload]]:
    """Payloads given up by (rank, how many compute actions precede that), in the order they were made.

    `idle_from` holds when each payload on each rank is last needed; a clip's output is not in it, as it stays.
    """
    starts = [[row.start_us for row in rows] for rows in schedule.ranks]
    idle_from: dict[tuple[int, Payload], int] = {}
    for rank, rows in enumerate(schedule.ranks):
        for action, _, end in rows:
            for payload in made_by(action):
                if not _is_output(action, payload, graph):
                    idle_from[rank, payload] = end
    for transfer in schedule.transfers:
        at = (transfer.source, transfer.payload)
        if at in idle_from:
            idle_from[at] = max(idle_from[at], transfer.end_us)
        idle_from[transfer.target, transfer.payload] = transfer.end_us
    for rank, rows in enumerate(schedule.ranks):
        for action, _, end in rows:
            for _, _, data in graph.in_edges(action, data=True):
                at = (rank, data["payload"])
                if at in idle_from:
                    idle_from[at] = max(idle_from[at], end)
    frees: dict[tuple[int, int], list[Payload]] = defaultdict(list)
    for (rank, payload), idle in idle_from.items():
        frees[rank, bisect_left(starts[rank], idle)].append(payload)
    return frees


def made_by(action: Action) -> tuple[Payload, ...]:
    """What a compute action leaves behind."""
    if action.kind is Kind.DECODE:
        return ()
    kv = Payload("kv", action.block, action.step)
    return (kv,) if action.kind is Kind.COMMIT else (kv, Payload("latents", action.block, action.step))


def _is_output(action: Action, payload: Payload, graph: nx.DiGraph[Action]) -> bool:
    """Whether latents are the clip itself: a block's last, where nothing is decoded."""
    if payload.carries != "latents" or Action(Kind.DECODE, action.block) in graph:
        return False
    assert action.step is not None
    return Action(Kind.DENOISE, action.block, action.step + 1) not in graph


def _free(payload: Payload) -> Action:
    return Action(Kind.FREE, payload.block, payload.step, payload.carries)
