"""Lowers a draft to programs: sends, receives and frees take their places between the compute actions.

A transfer is posted on both sides after the last compute action that ends before it starts, so on no rank does it
wait to be posted; links carry their transfers in the order of the posts. A stream is posted before the action that
makes it. A payload's storage is freed once its last local reader is done and no transfer of it is under way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict

from planner.action import Action, Kind, Payload
from planner.draft import Draft, Move
from planner.flow import Flow

Place = tuple[int, int]  # rank, and how many compute actions precede


def lower(draft: Draft, flow: Flow) -> list[list[Action]]:
    """Each rank's program, in order."""
    posts = _posts(draft)
    frees = _frees(draft, flow)
    programs = []
    for rank, rows in enumerate(draft.ranks):
        program: list[Action] = []
        for place in range(len(rows) + 1):
            # Frees last: one that waits for its send must not keep a receive from being posted.
            program += [post for _, _, post in sorted(posts[rank, place], key=lambda item: item[:2])]
            program += [_free(payload) for payload in frees[rank, place]]
            if place < len(rows):
                program.append(rows[place].action)
        programs.append(program)
    return programs


def _posts(draft: Draft) -> dict[Place, list[tuple[int, int, Action]]]:
    """(start, number, action) of the sends and receives at each place: in the same order on both ends."""
    ends = [[row.end_us for row in rows] for rows in draft.ranks]
    posts: dict[Place, list[tuple[int, int, Action]]] = defaultdict(list)
    for number, move in enumerate(sorted(draft.moves, key=_by_time)):
        kinds = (Kind.STREAM, Kind.TAP) if move.live else (Kind.SEND, Kind.RECV)
        for rank, kind, peer in ((move.source, kinds[0], move.target), (move.target, kinds[1], move.source)):
            place = rank, bisect_right(ends[rank], move.start_us)
            posts[place].append((move.start_us, number, _transfer(kind, move.payload, peer)))
    return posts


def _by_time(move: Move) -> tuple[int, int, int, int, Payload]:
    return move.start_us, move.end_us, move.source, move.target, move.payload


def _frees(draft: Draft, flow: Flow) -> dict[Place, list[Payload]]:
    """Payloads given up at each place, in the order they were made; a clip's output is not among them, as it stays."""
    starts = [[row.start_us for row in rows] for rows in draft.ranks]
    idle_from: dict[tuple[int, Payload], int] = {}
    for rank, rows in enumerate(draft.ranks):
        for action, _, end in rows:
            for payload in flow.makes(action):
                if not is_output(payload, flow):
                    idle_from[rank, payload] = end
    for move in draft.moves:
        at = (move.source, move.payload)
        if at in idle_from:
            idle_from[at] = max(idle_from[at], move.end_us)
        idle_from[move.target, move.payload] = move.end_us
    for rank, rows in enumerate(draft.ranks):
        for action, _, end in rows:
            for payload in flow.needs(action):
                if (rank, payload) in idle_from:
                    idle_from[rank, payload] = max(idle_from[rank, payload], end)
    frees: dict[Place, list[Payload]] = defaultdict(list)
    for (rank, payload), idle in idle_from.items():
        frees[rank, bisect_left(starts[rank], idle)].append(payload)
    return frees


def is_output(payload: Payload, flow: Flow) -> bool:
    """Whether latents are the clip itself: a block's last, where nothing is decoded."""
    if flow.decodes or payload.carries != "latents":
        return False
    return payload.step == flow.spec.block_steps(payload.block) - 1


def _transfer(kind: Kind, payload: Payload, peer: int) -> Action:
    return Action(kind, payload.block, payload.step, payload.carries, peer)


def _free(payload: Payload) -> Action:
    return Action(Kind.FREE, payload.block, payload.step, payload.carries)
