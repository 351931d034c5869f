"""What runs, in which order, where and when."""

from __future__ import annotations

from itertools import pairwise

from planner.action import COMPUTE, OF_PASSES, Action, Kind, TimedAction
from tests.mutants.draft import Draft, NoPlace

ALONE = tuple(COMPUTE - OF_PASSES)


def dropped_compute(draft: Draft) -> str:
    rank, index, row = draft.place(*COMPUTE, such=lambda place: not draft.is_gang(place))
    del draft.programs[rank][index]
    if row.action.kind is Kind.BATCH:
        return f"R2 ... of tick {row.action.block}: missing, no rank runs it"
    lone = row.action.kind is Kind.TICK
    return f"R2 {f'r{rank} ' if lone else ''}{row.action.gang}: missing"


def duplicated_compute(draft: Draft) -> str:
    rank, index, row = draft.place(*ALONE, Kind.SLICE, such=lambda place: not draft.is_gang(place))
    draft.programs[rank].insert(index, row)
    return f"R2 {row.action}: runs 2 times, on r{rank}, r{rank}"


def unknown_action(draft: Draft) -> str:
    draft.require(draft.plan.repeat is None)  # whose length the rows tell
    beyond, steps = draft.problem.workload.blocks, draft.problem.model.block_steps(0)
    unknown = [
        Action(Kind.DENOISE, 0, steps),
        Action(Kind.DENOISE, beyond, 0),
        Action(Kind.COMMIT, beyond - 1),
        Action(Kind.DECODE, beyond),
        Action(Kind.DECODE, 0, draft.flow.parts + 1),
        Action(Kind.ENCODE, beyond - 1),
        Action(Kind.RECACHE, 0),
        Action(Kind.TEXT, 7),
        Action(Kind.TICK, 10**6),
        Action(Kind.BATCH, 0, 0, batch=((beyond, 0),)),
        Action(Kind.SLICE, 0, 10**6, batch=((0, 0),)),
    ]
    rank, action = draft.one_of(range(len(draft.programs))), draft.one_of(unknown)
    draft.programs[rank].append(TimedAction(action, 0, 1))
    return f"R2 r{rank} {action}: not an action of this clip"


def decode_moved(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.DECODE)
    to = draft.one_of([other for other in range(len(draft.programs)) if other != rank])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    _, block, part = row.action[:3]
    if block == 0:
        return f"R7 r{rank} {Action(Kind.DECODE, 1, part)}: {row.action} is on r{to}"
    return f"R7 r{to} {row.action}: {Action(Kind.DECODE, block - 1, part)} is on r{rank}"


def encode_moved(draft: Draft) -> str:
    rank, index, row = draft.place(Kind.ENCODE)
    to = draft.one_of([other for other in range(len(draft.programs)) if other != rank])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    return f"R7 r{to} {row.action}: decode b{row.action.block} ... is on r{rank}"


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
    computes = draft.places(*COMPUTE)
    pairs = [
        (rank, i, j, payload)
        for rank, i, maker in computes
        for other, j, reader in computes
        if rank == other and i < j
        for payload in draft.flow.makes(maker.action)
        if payload in draft.uses(reader.action)
    ]
    rank, i, j, payload = draft.one_of(pairs)
    rows = draft.programs[rank]
    reader = rows[j].action
    rows[i], rows[j] = rows[i]._replace(action=reader), rows[j]._replace(action=rows[i].action)
    return f"R5 r{rank} {reader}: reads {payload}, which the rank has neither made nor received before"


def decodes_swapped(draft: Draft) -> str:
    decodes = draft.places(Kind.DECODE)
    part = draft.one_of(decodes)[2].action.step
    alike = [place for place in decodes if place[2].action.step == part]
    (rank, i, early), (_, j, late) = draft.one_of(list(pairwise(alike)))
    draft.programs[rank][i] = early._replace(action=late.action)
    draft.programs[rank][j] = late._replace(action=early.action)
    return f"R7 r{rank} {late.action}: comes before {early.action}"


def parts_swapped(draft: Draft) -> str:
    """Two parts of a block's decoder take each other's places."""
    rank, i, row = draft.place(Kind.DECODE, such=lambda place: place[2].action.step == 0)
    other, j, after = draft.place(Kind.DECODE, such=lambda place: place[2].action == row.action._replace(step=1))
    draft.programs[rank][i] = row._replace(action=after.action)
    draft.programs[other][j] = after._replace(action=row.action)
    return f"R5 r{rank} {after.action}: reads features b{row.action.block}.d0"


def a_microsecond_early(draft: Draft) -> str:
    """Everything starts as early as it can, so each row that starts alone has something that holds it."""
    rank, index, row = draft.place(*COMPUTE, Kind.FREE, such=lambda place: not draft.is_gang(place))
    draft.move(rank, index, row.start_us - 1)
    return f"r{rank} {row.action}: ... at {row.start_us - 1} us, "


def wrong_duration(draft: Draft) -> str:
    rank, index, row = draft.place(*(set(Kind) - {Kind.STREAM, Kind.TAP}))
    draft.programs[rank][index] = row._replace(end_us=row.end_us + 1)
    lasting = row.end_us - row.start_us
    return f"R4 r{rank} {row.action}: lasts {lasting + 1} us, ... {lasting} us"


# -- where ---------------------------------------------------------------------------------------


def on_a_rank_left_out(draft: Draft) -> str:
    used = {rank for unit in draft.flow.layout.units for rank in unit}
    to = draft.one_of([rank for rank in range(len(draft.programs)) if rank not in used])
    rank, index, row = draft.place(*COMPUTE)
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    return f"R13 r{to} {row.action}: placement {draft.plan.placement} leaves this rank out"


def on_a_decoding_rank(draft: Draft) -> str:
    to = draft.one_of([draft.flow.layout.units[unit][0] for unit in draft.flow.layout.decoding])
    rank, index, row = draft.place(Kind.DENOISE, Kind.COMMIT, Kind.RECACHE)
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    return f"R13 r{to} {row.action}: placement {draft.plan.placement} has this rank decode only"


def decoded_where_the_decoder_is_not(draft: Draft) -> str:
    """All of a part, so that it does stay on one rank."""
    if not draft.flow.layout.decoding:
        raise NoPlace
    rank, _, row = draft.place(Kind.DECODE)
    part = row.action.step
    decodes = [r for r in draft.programs[rank] if r.action.kind is Kind.DECODE and r.action.step == part]
    draft.programs[rank] = [r for r in draft.programs[rank] if r not in decodes]
    draft.programs[0] += decodes
    return f"R13 r0 {row.action}: placement {draft.plan.placement} has it on r{rank}"


def away_from_its_kin(draft: Draft) -> str:
    """One pass of a block, or of a step, on another unit than the others."""
    by_block = draft.flow.placement.passes == "block"
    draft.require(by_block or draft.flow.placement.passes == "step")
    units, denoising = draft.flow.layout.units, draft.flow.layout.denoising

    def kin(action: Action) -> object:
        return action.block if by_block else draft.flow.stage((action.block, action.step))

    first = {kin(row.action): (rank, index) for rank, index, row in reversed(draft.places(Kind.DENOISE, Kind.COMMIT))}
    rank, index, row = draft.place(
        Kind.DENOISE, Kind.COMMIT, such=lambda p: first[kin(p[2].action)][0] < p[0] or first[kin(p[2].action)][1] < p[1]
    )
    draft.require(not draft.is_gang((rank, index, row)))
    to = draft.one_of([units[unit][0] for unit in range(denoising) if unit != draft.unit(rank)])
    del draft.programs[rank][index]
    draft.programs[to].append(row)
    return f"R13 r ... placement {draft.plan.placement} has all passes"


MUTANTS = (
    dropped_compute,
    duplicated_compute,
    unknown_action,
    decode_moved,
    encode_moved,
    a_rank_too_many,
    a_rank_too_few,
    swapped_with_their_times,
    swapped_with_what_it_reads,
    decodes_swapped,
    parts_swapped,
    a_microsecond_early,
    wrong_duration,
    on_a_rank_left_out,
    on_a_decoding_rank,
    decoded_where_the_decoder_is_not,
    away_from_its_kin,
)
