"""Payloads that travel layer by layer while they are made."""

from __future__ import annotations

from planner.action import Kind
from tests.mutants.draft import Draft, Place


def _maker(draft: Draft, place: Place) -> Place:
    rank, _, row = place
    return next(p for p in draft.places() if p[0] == rank and _makes(draft, p, row.action.payload))


def _makes(draft: Draft, place: Place, payload: object) -> bool:
    return place[2].action.is_compute and payload in draft.flow.makes(place[2].action)


def stream_posted_late(draft: Draft) -> str:
    place = draft.place(Kind.STREAM)
    rank, index, row = place
    _, made, maker = _maker(draft, place)
    draft.programs[rank].insert(made, draft.programs[rank].pop(index))
    return f"R14 r{rank} {row.action}: posted after '{maker.action}'"


def stream_of_nothing(draft: Draft) -> str:
    """What makes it is on another rank."""
    place = draft.place(Kind.STREAM, such=lambda place: not draft.is_gang(_maker(draft, place)))
    rank, _, row = place
    _, made, maker = _maker(draft, place)
    to = draft.one_of([other for other in range(len(draft.programs)) if other != rank])
    del draft.programs[rank][made]
    draft.programs[to].append(maker)
    return f"R5 r{rank} {row.action}: streams {row.action.payload}, which the rank does not make after that"


def sent_to_a_tap(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.STREAM)
    action = draft.put(rank, index, kind=Kind.SEND)
    return f"R14 r{rank} {action}: its other end on r{row.action.peer} is a tap"


def streamed_to_a_recv(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.TAP)
    draft.put(rank, index, kind=Kind.RECV)
    stream = row.action._replace(kind=Kind.STREAM, peer=rank)
    return f"R14 r{row.action.peer} {stream}: its other end on r{rank} is a recv"


def streamed_though_not_live(draft: Draft) -> str:
    draft.require(not draft.plan.pattern.is_live)
    rank, index, row = draft.place(Kind.SEND)
    target, there = draft.other_end(rank, row.action)
    action = draft.put(rank, index, kind=Kind.STREAM)
    draft.put(target, there, kind=Kind.TAP)
    return f"R14 r{rank} {action}: pattern {draft.plan.pattern} reads no {row.action.payload} layer by layer"


def latents_streamed(draft: Draft) -> str:
    draft.require(draft.plan.pattern.is_live)
    rank, index, row = draft.place(Kind.SEND, such=lambda place: place[2].action.carries == "latents")
    target, there = draft.other_end(rank, row.action)
    action = draft.put(rank, index, kind=Kind.STREAM)
    draft.put(target, there, kind=Kind.TAP)
    return f"R14 r{rank} {action}: pattern {draft.plan.pattern} reads no {row.action.payload} layer by layer"


def stream_before_its_first_layer(draft: Draft) -> str:
    place = draft.place(Kind.STREAM)
    rank, index, row = place
    start = _maker(draft, place)[2].start_us
    draft.move_transfer(rank, index, start)
    return f"R14 r{rank} {row.action}: starts at {start} us, '"


def stream_too_short(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.STREAM)
    target, there = draft.other_end(rank, row.action)
    draft.programs[rank][index] = row._replace(end_us=row.end_us - 1)
    draft.programs[target][there] = draft.programs[target][there]._replace(end_us=row.end_us - 1)
    return f"R4 r{rank} {row.action}: ends at {row.end_us - 1} us, its last layer is there at {row.end_us} us"


def _reader(draft: Draft) -> tuple[Place, Place]:
    """A tap and the pass of the same tick that reads it while it comes in."""
    pairs = [
        (tap, place)
        for tap in draft.places(Kind.TAP)
        for place in draft.places(Kind.DENOISE, Kind.COMMIT)
        if tap[0] == place[0] and tap[2].action.payload in draft.flow.beside(place[2].action)
        if place[2].start_us < tap[2].end_us
    ]
    return draft.one_of(pairs)


def read_before_the_first_layer(draft: Draft) -> str:
    (_, _, tap), (rank, index, row) = _reader(draft)
    draft.move(rank, index, tap.start_us)
    return f"R6 r{rank} {row.action}: starts at {tap.start_us} us, reads {tap.action.payload}, whose first layer is"


def ended_before_the_last_layer(draft: Draft) -> str:
    (_, _, tap), (rank, index, row) = _reader(draft)
    draft.programs[rank][index] = row._replace(end_us=tap.end_us)
    return f"R4 r{rank} {row.action}: lasts {tap.end_us - row.start_us} us, "


def tapped_early_in_another_tick(draft: Draft) -> str:
    """Who reads it in a later tick starts while it still comes in."""
    pairs = [
        (tap, place)
        for tap in draft.places(Kind.TAP)
        for place in draft.places(Kind.DENOISE, Kind.COMMIT)
        if tap[0] == place[0] and tap[2].action.payload in draft.flow.needs(place[2].action)
        if tap[2].action.payload not in draft.flow.beside(place[2].action)
    ]
    (_, _, tap), (rank, index, row) = draft.one_of(pairs)
    draft.move(rank, index, tap.end_us - 1)
    payload, start = tap.action.payload, tap.end_us - 1
    return f"R6 r{rank} {row.action}: starts at {start} us, reads {payload}, which is here at {tap.end_us} us"


def freed_while_it_streams(draft: Draft) -> str:
    rank, _, row = draft.place(Kind.STREAM, Kind.TAP)
    free = row.action._replace(kind=Kind.FREE, peer=None)
    index = next(i for i, r in enumerate(draft.programs[rank]) if r.action == free)
    draft.move(rank, index, row.end_us - 1)
    return f"R9 r{rank} {free}: freed at {row.end_us - 1} us, before "


MUTANTS = (
    stream_posted_late,
    stream_of_nothing,
    sent_to_a_tap,
    streamed_to_a_recv,
    streamed_though_not_live,
    latents_streamed,
    stream_before_its_first_layer,
    stream_too_short,
    read_before_the_first_layer,
    ended_before_the_last_layer,
    tapped_early_in_another_tick,
    freed_while_it_streams,
)
