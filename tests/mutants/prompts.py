"""Prompts, and contexts made anew."""

from __future__ import annotations

from planner.action import COMPUTE, Kind
from tests.mutants.draft import Draft


def before_its_prompt(draft: Draft) -> str:
    places = [place for place in draft.places(*COMPUTE) if draft.flow.release_us(place[2].action)]
    rank, index, row = draft.one_of(places)
    release = draft.flow.release_us(row.action)
    draft.move(rank, index, release - 1)
    return f"R15 r{rank} {row.action}: starts at {release - 1} us, its prompt is there at {release} us"


def text_missing(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.TEXT)
    del draft.programs[rank][index]
    return f"R2 {row.action}: missing, no rank runs it"


def text_unread(draft: Draft) -> str:
    """Its payload is gone before a pass that reads it."""
    rank, index, row = draft.place(Kind.FREE, such=lambda place: place[2].action.carries == "text")
    users = [i for i, r in enumerate(draft.programs[rank][:index]) if row.action.payload in draft.uses(r.action)]
    use = draft.one_of(users)
    user = draft.programs[rank][use]
    draft.programs[rank].insert(use, draft.programs[rank].pop(index))
    verb = "reads" if user.action.is_compute else "sends"
    return f"R5 r{rank} {user.action}: {verb} {row.action.payload}, which the rank has freed before"


def recache_missing(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.RECACHE, such=lambda place: not draft.is_gang(place))
    del draft.programs[rank][index]
    return f"R5 ... reads context b{row.action.block}, which the rank has neither made nor received before"


def switch_without_a_tick(draft: Draft) -> str:
    ticks = draft.plan.switch_ticks
    draft.require(bool(ticks))
    draft.changes["switch_ticks"] = ticks[:-1]
    return f"R15 switch ticks: {len(ticks) - 1} for {len(ticks)} prompt switches"


def tick_without_a_switch(draft: Draft) -> str:
    ticks = draft.plan.switch_ticks
    draft.changes["switch_ticks"] = (*ticks, 10**6)
    return f"R15 switch ticks: {len(ticks) + 1} for {len(ticks)} prompt switches"


def switches_back(draft: Draft) -> str:
    ticks = draft.plan.switch_ticks
    draft.require(len(ticks) > 1)
    draft.changes["switch_ticks"] = ticks[::-1]
    return f"R15 switch ticks: prompt 2 is read from tick {ticks[0]} on, prompt 1 from {ticks[1]}"


MUTANTS = (
    before_its_prompt,
    text_missing,
    text_unread,
    recache_missing,
    switch_without_a_tick,
    tick_without_a_switch,
    switches_back,
)
