"""Ticks, batches, slices and groups: what several ranks do as one."""

from __future__ import annotations

from planner.action import COMPUTE, OF_PASSES, Action, Kind, pass_text
from tests.mutants.draft import Draft, Place

TOGETHER = (Kind.TICK, Kind.BATCH)


def gang_starts_apart(draft: Draft) -> str:
    rank, index, row = draft.place(*COMPUTE, such=lambda place: draft.shares(place)[0][0] < place[0])
    draft.move(rank, index, row.start_us + 1)
    return f"R13 r{rank} {row.action}: starts at {row.start_us + 1} us, its share on r"


def rank_of_a_group_missing(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.DENOISE, Kind.COMMIT, Kind.RECACHE, such=draft.is_gang)
    del draft.programs[rank][index]
    return f"R13 r{rank} {row.action}: missing, though r"


def share_of_a_tick_missing(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.TICK)
    del draft.programs[rank][index]
    return f"R2 r{rank} tick {row.action.block}: missing, each rank that denoises has its share of it"


def tick_twice(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.TICK)
    draft.programs[rank].insert(index, row)
    return f"R2 r{rank} tick {row.action.block}: stands there 2 times"


def batch_in_two(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.BATCH, such=lambda place: len(place[2].action.batch) > 1)
    draft.put(rank, index, batch=row.action.batch[:1])
    rest = row.action._replace(batch=row.action.batch[1:])
    draft.programs[rank].insert(index + 1, row._replace(action=rest))
    return f"R2 r{rank} batch {row.action.block}.{row.action.step}: stands there 2 times"


def _unit_mates(draft: Draft, place: Place) -> list[Place]:
    """The shares of a tick or batch on the ranks of one unit."""
    unit = draft.flow.layout.units[draft.unit(place[0])]
    return [share for share in draft.shares(place) if share[0] in unit]


def pass_dropped(draft: Draft) -> str:
    place = draft.place(*TOGETHER, such=lambda place: bool(place[2].action.batch))
    batch = place[2].action.batch
    item = draft.one_of(batch)
    for rank, index, _ in _unit_mates(draft, place):
        draft.put(rank, index, batch=tuple(other for other in batch if other != item))
    if place[2].action.kind is Kind.BATCH and len(batch) == 1:
        return f"R2 r{place[0]} batch {place[2].action.block}.{place[2].action.step}: not an action of this clip"
    return f"R2 {pass_text(*item)} of tick {place[2].action.block}: missing, no rank runs it"


def pass_dropped_by_one_rank(draft: Draft) -> str:
    place = draft.place(*TOGETHER, such=lambda p: len(_unit_mates(draft, p)) > 1 and len(p[2].action.batch) > 1)
    rank, index, row = place
    item = draft.one_of(row.action.batch)
    draft.put(rank, index, batch=tuple(other for other in row.action.batch if other != item))
    return f"R13 r{rank} {pass_text(*item)} of tick {row.action.block}: missing, though r"


def _two_units(draft: Draft) -> tuple[list[Place], list[Place], tuple[int, int | None]]:
    """A unit's shares, another's of the same tick, and a pass that the first has, with steps before it."""
    place = draft.place(*TOGETHER, such=lambda place: any(step != 0 for _, step in place[2].action.batch))
    tick = place[2].action.block
    mates = _unit_mates(draft, place)
    others = [
        p
        for p in draft.places(place[2].action.kind)
        if p[2].action.block == tick and draft.unit(p[0]) != draft.unit(place[0])
    ]
    other = draft.one_of(others)
    item = draft.one_of([item for item in place[2].action.batch if item[1] != 0])
    return mates, _unit_mates(draft, other), item


def pass_twice(draft: Draft) -> str:
    mates, others, item = _two_units(draft)
    for rank, index, row in others:
        draft.put(rank, index, batch=tuple(sorted((*row.action.batch, item), key=lambda other: other[0])))
    return f"R2 {pass_text(*item)} of tick {mates[0][2].action.block}: runs 2 times, on r"


def pass_on_another_unit(draft: Draft) -> str:
    mates, others, item = _two_units(draft)
    for rank, index, row in mates:
        draft.put(rank, index, batch=tuple(other for other in row.action.batch if other != item))
    for rank, index, row in others:
        draft.put(rank, index, batch=tuple(sorted((*row.action.batch, item), key=lambda other: other[0])))
    if draft.flow.placement.passes != "batched":
        return f"R13 r ... placement {draft.plan.placement} has all passes"
    rank = others[0][0]
    return f"R5 r{rank} ... reads latents b{item[0]}.s{draft.flow.stage(item) - 1}, which the rank has neither"


def pass_of_another_tick(draft: Draft) -> str:
    rank, index, row = draft.place(*TOGETHER, such=lambda place: bool(place[2].action.batch))
    (block, step), *rest = row.action.batch
    other = 0 if step is None else step + 1
    action = draft.put(rank, index, batch=((block, other), *rest))
    return f"R2 r{rank} {action}: not an action of this clip"


def newest_first(draft: Draft) -> str:
    rank, index, row = draft.place(*OF_PASSES, such=lambda place: len(place[2].action.batch) > 1)
    action = draft.put(rank, index, batch=row.action.batch[::-1])
    return f"R2 r{rank} {action}: not an action of this clip"


def slice_of_too_few(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SLICE, such=lambda place: len(place[2].action.batch) > 1)
    action = draft.put(rank, index, batch=row.action.batch[1:])
    return f"R2 r{rank} {action}: not an action of this clip"


def on_the_wrong_unit(draft: Draft) -> str:
    """A slice where other layers are, or a unit's batch on another."""
    rank, index, row = draft.place(Kind.SLICE, Kind.BATCH)
    units = draft.flow.layout.units[: draft.flow.layout.denoising]
    to = draft.one_of([unit[0] for unit in units if rank not in unit])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    home = units[row.action.step or 0][0]
    return f"R13 r{to} {row.action}: placement {draft.plan.placement} has it on r{home}"


def decoded_by_another_of_the_group(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.DECODE, Kind.TEXT, Kind.ENCODE)
    unit = draft.flow.layout.units[draft.unit(rank)]
    to = draft.one_of(unit[1:])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    return f"R13 r{to} {row.action}: r{rank}, the first of its unit, does such work"


def another_share_of_the_kv(draft: Draft) -> str:
    """The ranks of a group send their K/V crosswise to another."""
    kv = [place for place in draft.places(Kind.SEND) if place[2].action.carries == "kv"]
    pairs = [
        (one, two)
        for one in kv
        for two in kv
        if one[0] < two[0] and one[2].action.payload == two[2].action.payload
        if draft.unit(one[0]) == draft.unit(two[0]) and one[2].action.peer != two[2].action.peer
        if draft.unit(one[2].action.peer or 0) == draft.unit(two[2].action.peer or 0)
    ]
    one, two = draft.one_of(pairs)
    ends = [draft.other_end(rank, row.action) for rank, _, row in (one, two)]
    a = draft.put(one[0], one[1], peer=two[2].action.peer)
    draft.put(two[0], two[1], peer=one[2].action.peer)
    draft.put(*ends[0], peer=two[0])
    draft.put(*ends[1], peer=one[0])
    return f"R8 r{one[0]} {a}: is another share of it than r{a.peer} works on"


def kv_sent_in_a_ring(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.SLICE)
    to = draft.one_of([unit[0] for unit in draft.flow.layout.units if rank not in unit])
    block, step = row.action.batch[0]
    send = Action(Kind.SEND, block, step, "kv", to)
    draft.programs[rank].insert(index + 1, row._replace(action=send))
    return f"R8 r{rank} {send}: is another share of it than r{to} works on"


MUTANTS = (
    gang_starts_apart,
    rank_of_a_group_missing,
    share_of_a_tick_missing,
    tick_twice,
    batch_in_two,
    pass_dropped,
    pass_dropped_by_one_rank,
    pass_twice,
    pass_on_another_unit,
    pass_of_another_tick,
    newest_first,
    slice_of_too_few,
    on_the_wrong_unit,
    decoded_by_another_of_the_group,
    another_share_of_the_kv,
    kv_sent_in_a_ring,
)
