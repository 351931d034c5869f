"""Ways to spoil a plan in one place, and what a checker has to say about each.

A mutant changes a draft's programs where Hypothesis chooses, and returns part of the line that names the damage
(' ... ' stands for anything). Where a draft offers no such place it is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from hypothesis import assume
from hypothesis import strategies as st

from planner.action import COMPUTE, Action, Kind, Payload, TimedAction
from planner.graph import inputs
from planner.plan import Plan
from planner.problem import Problem

TRANSFERS = (Kind.SEND, Kind.RECV)
T = TypeVar("T")


@dataclass
class Draft:
    """A plan's programs, to be spoilt."""

    data: st.DataObject
    problem: Problem
    plan: Plan
    programs: list[list[TimedAction]]

    def one_of(self, places: Sequence[T]) -> T:
        assume(places)
        return self.data.draw(st.sampled_from(places))

    def place(self, *kinds: Kind) -> tuple[int, int, TimedAction]:
        """(rank, index, row) of an action of one of these kinds."""
        return self.one_of([place for place in self.places() if place[2].action.kind in kinds])

    def places(self) -> list[tuple[int, int, TimedAction]]:
        return [(rank, index, row) for rank, rows in enumerate(self.programs) for index, row in enumerate(rows)]

    def other_end(self, rank: int, action: Action) -> tuple[int, int]:
        """(rank, index) of the recv of a send, or of the send of a recv."""
        assert action.peer is not None
        kind = Kind.RECV if action.kind is Kind.SEND else Kind.SEND
        there = [row.action for row in self.programs[action.peer]]
        return action.peer, there.index(action._replace(kind=kind, peer=rank))

    def move(self, rank: int, index: int, start_us: int) -> None:
        """Another time for a row, as long as before."""
        action, start, end = self.programs[rank][index]
        self.programs[rank][index] = TimedAction(action, start_us, start_us + end - start)

    def move_transfer(self, rank: int, index: int, start_us: int) -> None:
        """Another time for both ends."""
        self.move(*self.other_end(rank, self.programs[rank][index].action), start_us)
        self.move(rank, index, start_us)

    def set_peer(self, rank: int, index: int, peer: int) -> Action:
        """Another peer for a transfer; returns what the action is then."""
        row = self.programs[rank][index]
        action = row.action._replace(peer=peer)
        self.programs[rank][index] = row._replace(action=action)
        return action

    def uses(self, action: Action) -> list[Payload]:
        """What an action reads or sends."""
        if action.is_compute:
            return [payload for _, payload in inputs(self.problem, self.plan.pattern, action) if payload is not None]
        return [action.payload] if action.kind is Kind.SEND else []

    def sends_on_a_link(self) -> tuple[int, int, int]:
        """(rank, index, later index) of two sends to the same rank."""
        sends = [place for place in self.places() if place[2].action.kind is Kind.SEND]
        pairs = [
            (rank, i, j)
            for rank, i, early in sends
            for other, j, late in sends
            if rank == other and i < j and early.action.peer == late.action.peer
        ]
        return self.one_of(pairs)


# -- what runs -----------------------------------------------------------------------------------


def dropped_compute(draft: Draft) -> str:
    rank, index, row = draft.place(*COMPUTE)
    del draft.programs[rank][index]
    return f"R2 {row.action}: missing"


def duplicated_compute(draft: Draft) -> str:
    rank, index, row = draft.place(*COMPUTE)
    draft.programs[rank].insert(index, row)
    return f"R2 {row.action}: runs 2 times, on r{rank}, r{rank}"


def unknown_action(draft: Draft) -> str:
    beyond = draft.problem.workload.blocks
    unknown = [
        Action(Kind.DENOISE, 0, draft.problem.model.steps),
        Action(Kind.DENOISE, beyond, 0),
        Action(Kind.COMMIT, beyond - 1),
        Action(Kind.DECODE, beyond),
    ]
    rank, action = draft.one_of(range(len(draft.programs))), draft.one_of(unknown)
    draft.programs[rank].append(TimedAction(action, 0, 1))
    return f"R2 r{rank} {action}: not an action of this clip"


def decode_moved(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.DECODE)
    to = draft.one_of([other for other in range(len(draft.programs)) if other != rank])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    if row.action.block == 0:
        return f"R7 r{rank} decode b1: decode b0 is on r{to}"
    return f"R7 r{to} {row.action}: decode b{row.action.block - 1} is on r{rank}"


def a_rank_too_many(draft: Draft) -> str:
    draft.programs.append(draft.programs[0])
    return f"R1 ranks: {len(draft.programs)} programs for {len(draft.programs) - 1} devices"


def a_rank_too_few(draft: Draft) -> str:
    draft.programs.pop()
    return f"R1 ranks: {len(draft.programs)} programs for {len(draft.programs) + 1} devices"


# -- in which order and when ---------------------------------------------------------------------


def swapped_with_their_times(draft: Draft) -> str:
    rank, first, _ = draft.place(*COMPUTE)
    rows = draft.programs[rank]
    second = draft.one_of([i for i, row in enumerate(rows) if i > first and row.action.is_compute])
    rows[first], rows[second] = rows[second], rows[first]
    return f"R3 r{rank} {rows[second].action}: starts at"


def swapped_with_what_it_reads(draft: Draft) -> str:
    computes = [place for place in draft.places() if place[2].action.is_compute]
    pairs = [
        (rank, i, j, payload)
        for rank, i, maker in computes
        for other, j, reader in computes
        if rank == other and i < j
        for made_by, payload in inputs(draft.problem, draft.plan.pattern, reader.action)
        if made_by == maker.action and payload is not None
    ]
    rank, i, j, payload = draft.one_of(pairs)
    rows = draft.programs[rank]
    reader = rows[j].action
    rows[i], rows[j] = rows[i]._replace(action=reader), rows[j]._replace(action=rows[i].action)
    return f"R5 r{rank} {reader}: reads {payload}, which the rank has neither made nor received before"


def decodes_swapped(draft: Draft) -> str:
    decodes = [place for place in draft.places() if place[2].action.kind is Kind.DECODE]
    (rank, i, early), (_, j, late) = draft.one_of(list(pairwise(decodes)))
    draft.programs[rank][i] = early._replace(action=late.action)
    draft.programs[rank][j] = late._replace(action=early.action)
    return f"R7 r{rank} {late.action}: comes before {early.action}"


def a_microsecond_early(draft: Draft) -> str:
    """The planner starts everything as early as it can, so each row has something that holds it."""
    rank, index, row = draft.place(*COMPUTE, Kind.FREE)
    draft.move(rank, index, row.start_us - 1)
    return f"r{rank} {row.action}: ... at {row.start_us - 1} us, "


def wrong_duration(draft: Draft) -> str:
    rank, index, row = draft.place(*Kind)
    draft.programs[rank][index] = row._replace(end_us=row.end_us + 1)
    lasting = row.end_us - row.start_us
    return f"R4 r{rank} {row.action}: lasts {lasting + 1} us, the cost model says {lasting} us"


# -- transfers -----------------------------------------------------------------------------------


def dropped_transfer(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    target, there = draft.other_end(rank, row.action)
    del draft.programs[rank][index], draft.programs[target][there]
    return f"R5 r{target} ... reads {row.action.payload}, which the rank has neither made nor received before"


def dropped_send(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    del draft.programs[rank][index]
    return f"R8 r{row.action.peer} recv {row.action.payload} from r{rank}: no matching send on r{rank}"


def dropped_send_is_waited_for(draft: Draft) -> str:
    """Of a link's last send, as a send dropped before is made up for by the next one."""
    rank, _, row = draft.place(Kind.SEND)
    link = [i for i, r in enumerate(draft.programs[rank]) if r.action[::4] == row.action[::4]]
    action = draft.programs[rank].pop(link[-1]).action
    return f"R10 r{action.peer} ... waits forever for ... {action.payload} to arrive"


def dropped_recv(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV)
    del draft.programs[rank][index]
    return f"R8 r{row.action.peer} send {row.action.payload} to r{rank}: no matching recv on r{rank}"


def duplicated_send(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    draft.programs[rank].insert(index, row)
    return f"R8 r{rank} {row.action}: no matching recv on r{row.action.peer}"


def duplicated_recv(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV)
    draft.programs[rank].insert(index, row)
    return f"R8 r{rank} {row.action}: the rank has received {row.action.payload} before"


def received_where_made(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    action = row.action._replace(kind=Kind.RECV)
    draft.programs[rank].insert(index, row._replace(action=action))
    return f"R8 r{rank} {action}: the rank has made {row.action.payload} before"


def transfer_a_microsecond_early(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    draft.move_transfer(rank, index, row.start_us - 1)
    return f"R8 ... {row.action.payload} ... starts at {row.start_us - 1} us, "


def ends_differ_in_time(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV)
    draft.move(rank, index, row.start_us + 1)
    peer, payload, times = row.action.peer, row.action.payload, f"{row.start_us}..{row.end_us} us"
    return f"R8 r{peer} send {payload} to r{rank}: is at {times}, its recv on r{rank} at"


def link_booked_twice(draft: Draft) -> str:
    rank, first, second = draft.sends_on_a_link()
    start = draft.programs[rank][first].start_us
    draft.move_transfer(rank, second, start)
    return f"R8 r{rank} {draft.programs[rank][second].action}: starts at {start} us, but the link is taken until"


def crossed_sends(draft: Draft) -> str:
    rank, first, second = draft.sends_on_a_link()
    rows = draft.programs[rank]
    early, late = rows[first].action, rows[second].action
    rows[first], rows[second] = rows[first]._replace(action=late), rows[second]._replace(action=early)
    return f"R8 r{rank} {late}: crossed, in its place r{early.peer} has 'recv {early.payload} from r{rank}'"


def wrong_peer(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV)
    peer = draft.one_of([other for other in range(len(draft.programs)) if other not in (rank, row.action.peer)])
    draft.set_peer(rank, index, peer)
    return f"R8 r{rank} recv {row.action.payload} from r{peer}: no matching send on r{peer}"


def peer_beyond(draft: Draft) -> str:
    rank, index, _ = draft.place(*TRANSFERS)
    ranks = len(draft.programs)
    return f"R1 r{rank} {draft.set_peer(rank, index, ranks)}: there is no rank {ranks} among {ranks}"


def peer_itself(draft: Draft) -> str:
    rank, index, _ = draft.place(*TRANSFERS)
    return f"R1 r{rank} {draft.set_peer(rank, index, rank)}: a rank cannot exchange with itself"


# -- frees ---------------------------------------------------------------------------------------


def dropped_free(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.FREE)
    del draft.programs[rank][index]
    return f"R9 r{rank} {row.action.payload}: never freed"


def duplicated_free(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.FREE)
    draft.programs[rank].insert(index, row)
    return f"R9 r{rank} {row.action}: freed before (double free)"


def free_of_nothing(draft: Draft) -> str:
    rank, index, row = draft.place(*COMPUTE)
    action = Action(Kind.FREE, 0, None, "latents")
    draft.programs[rank].insert(index + 1, TimedAction(action, row.end_us, row.end_us))
    return f"R9 r{rank} {action}: the rank neither made nor received it"


def freed_before_its_last_use(draft: Draft) -> str:
    frees = [place for place in draft.places() if place[2].action.kind is Kind.FREE]
    places = [
        (rank, use, index)
        for rank, index, row in frees
        for use, user in enumerate(draft.programs[rank][:index])
        if row.action.payload in draft.uses(user.action)
    ]
    rank, use, index = draft.one_of(places)
    user, free = draft.programs[rank][use], draft.programs[rank].pop(index)
    draft.programs[rank].insert(use, TimedAction(free.action, user.start_us, user.start_us))
    verb = "reads" if user.action.is_compute else "sends"
    return f"R5 r{rank} {user.action}: {verb} {free.action.payload}, which the rank has freed before"


def freed_while_it_travels(draft: Draft) -> str:
    rank, _, transfer = draft.place(*TRANSFERS)
    free = transfer.action._replace(kind=Kind.FREE, peer=None)
    index = draft.one_of([i for i, row in enumerate(draft.programs[rank]) if row.action == free])
    draft.move(rank, index, transfer.end_us - 1)
    return f"R9 r{rank} {free}: freed at {transfer.end_us - 1} us, before "


MUTANTS: tuple[Callable[[Draft], str], ...] = (
    dropped_compute,
    duplicated_compute,
    unknown_action,
    decode_moved,
    a_rank_too_many,
    a_rank_too_few,
    swapped_with_their_times,
    swapped_with_what_it_reads,
    decodes_swapped,
    a_microsecond_early,
    wrong_duration,
    dropped_transfer,
    dropped_send,
    dropped_send_is_waited_for,
    dropped_recv,
    duplicated_send,
    duplicated_recv,
    received_where_made,
    transfer_a_microsecond_early,
    ends_differ_in_time,
    link_booked_twice,
    crossed_sends,
    wrong_peer,
    peer_beyond,
    peer_itself,
    dropped_free,
    duplicated_free,
    free_of_nothing,
    freed_before_its_last_use,
    freed_while_it_travels,
)
