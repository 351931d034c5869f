"""Sends and receives."""

from __future__ import annotations

from planner.action import LEAVING, TRANSFERS, Action, Kind
from planner.cost import costs
from tests.mutants.draft import OTHER_END, Draft, Place


def _is_read(draft: Draft, place: Place) -> bool:
    """Whether a compute action on the other end reads what a send brings."""
    action = place[2].action
    there = draft.programs[action.peer or 0]
    return any(action.payload in draft.uses(row.action) for row in there if row.action.is_compute)


def dropped_transfer(draft: Draft) -> str:
    rank, index, row = draft.place(*LEAVING, such=lambda place: _is_read(draft, place))
    target, there = draft.other_end(rank, row.action)
    del draft.programs[rank][index], draft.programs[target][there]
    return f"R5 r{target} ... reads {row.action.payload}, which the rank has neither made nor received before"


def dropped_send(draft: Draft) -> str:
    rank, index, row = draft.place(*LEAVING)
    del draft.programs[rank][index]
    kind, other = row.action.kind, OTHER_END[row.action.kind]
    return f"R8 r{row.action.peer} {other} {row.action.payload} from r{rank}: no matching {kind} on r{rank}"


def dropped_send_is_waited_for(draft: Draft) -> str:
    """Of a way's last send, as a send dropped before is made up for by the next one."""
    rank, _, row = draft.place(*LEAVING)
    way = [
        i for i, r in enumerate(draft.programs[rank]) if r.action.kind in LEAVING and r.action.peer == row.action.peer
    ]
    action = draft.programs[rank].pop(way[-1]).action
    return f"R10 r{action.peer} ... waits forever for ... {action.payload} to arrive"


def dropped_recv(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV, Kind.TAP)
    del draft.programs[rank][index]
    kind, other = OTHER_END[row.action.kind], row.action.kind
    return f"R8 r{row.action.peer} {kind} {row.action.payload} to r{rank}: no matching {other} on r{rank}"


def duplicated_send(draft: Draft) -> str:
    rank, index, row = draft.place(*LEAVING)
    draft.programs[rank].insert(index, row)
    return f"R8 r{rank} {row.action}: no matching {OTHER_END[row.action.kind]} on r{row.action.peer}"


def duplicated_recv(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV, Kind.TAP)
    draft.programs[rank].insert(index, row)
    return f"R8 r{rank} {row.action}: the rank has received {row.action.payload} before"


def received_where_made(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SEND)
    action = row.action._replace(kind=Kind.RECV)
    draft.programs[rank].insert(index, row._replace(action=action))
    return f"R8 r{rank} {action}: the rank has made {row.action.payload} before"


def received_before_it_is_made(draft: Draft) -> str:
    rank, index, row = draft.place(
        Kind.DENOISE, Kind.BATCH, Kind.SLICE, such=lambda p: bool(draft.flow.makes(p[2].action))
    )
    payload = draft.one_of(draft.flow.makes(row.action))
    peer = draft.one_of([other for other in range(len(draft.programs)) if other != rank])
    recv = Action(Kind.RECV, payload.block, payload.step, payload.carries, peer)
    draft.programs[rank].insert(index, row._replace(action=recv))
    return f"R8 r{rank} {row.action}: makes {payload}, which the rank received before"


def transfer_a_microsecond_early(draft: Draft) -> str:
    rank, index, row = draft.place(*LEAVING)
    draft.move_transfer(rank, index, row.start_us - 1)
    return f" ... {row.action.payload} ... starts at {row.start_us - 1} us, "


def ends_differ_in_time(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV, Kind.TAP)
    draft.move(rank, index, row.start_us + 1)
    kind, other, peer = OTHER_END[row.action.kind], row.action.kind, row.action.peer
    times = f"{row.start_us}..{row.end_us} us"
    return f"R8 r{peer} {kind} {row.action.payload} to r{rank}: is at {times}, its {other} on r{rank} at"


def way_booked_twice(draft: Draft) -> str:
    rank, first, second = draft.sends_on_a_way()
    start = draft.programs[rank][first].start_us
    draft.move_transfer(rank, second, start)
    return f"R8 r{rank} {draft.programs[rank][second].action}: starts at {start} us, but the link is taken until"


def lane_booked_twice(draft: Draft) -> str:
    """By two transfers that take different ways."""
    wire = costs(draft.problem, draft.flow).wire
    sends = draft.places(Kind.SEND)
    pairs = [
        (early, late)
        for early in sends
        for late in sends
        if early[2].end_us <= late[2].start_us and (early[0], early[2].action.peer) != (late[0], late[2].action.peer)
        if set(wire(early[0], early[2].action.peer or 0).lanes) & set(wire(late[0], late[2].action.peer or 0).lanes)
    ]
    early, (rank, index, _) = draft.one_of(pairs)
    draft.move_transfer(rank, index, early[2].start_us)
    return f"R8 ... starts at {early[2].start_us} us, but 'r ... has its lane until"


def crossed_sends(draft: Draft) -> str:
    rank, first, second = draft.sends_on_a_way()
    rows = draft.programs[rank]
    early, late = rows[first].action, rows[second].action
    rows[first], rows[second] = rows[first]._replace(action=late), rows[second]._replace(action=early)
    return f"R8 r{rank} {late}: crossed, in its place r{early.peer} has 'recv {early.payload} from r{rank}'"


def wrong_peer(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECV, Kind.TAP)
    peer = draft.one_of([other for other in range(len(draft.programs)) if other not in (rank, row.action.peer)])
    draft.put(rank, index, peer=peer)
    kind, other = OTHER_END[row.action.kind], row.action.kind
    return f"R8 r{rank} {other} {row.action.payload} from r{peer}: no matching {kind} on r{peer}"


def peer_beyond(draft: Draft) -> str:
    rank, index, _ = draft.place(*TRANSFERS)
    ranks = len(draft.programs)
    return f"R1 r{rank} {draft.put(rank, index, peer=ranks)}: there is no rank {ranks} among {ranks}"


def peer_itself(draft: Draft) -> str:
    rank, index, _ = draft.place(*TRANSFERS)
    return f"R1 r{rank} {draft.put(rank, index, peer=rank)}: a rank cannot exchange with itself"


MUTANTS = (
    dropped_transfer,
    dropped_send,
    dropped_send_is_waited_for,
    dropped_recv,
    duplicated_send,
    duplicated_recv,
    received_where_made,
    received_before_it_is_made,
    transfer_a_microsecond_early,
    ends_differ_in_time,
    way_booked_twice,
    lane_booked_twice,
    crossed_sends,
    wrong_peer,
    peer_beyond,
    peer_itself,
)
