"""What a rank holds, and for how long."""

from __future__ import annotations

from planner.action import COMPUTE, TRANSFERS, Action, Kind, TimedAction
from tests.mutants.draft import Draft


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


def output_freed(draft: Draft) -> str:
    draft.require(not draft.problem.workload.decode)
    clean = [
        (rank, row.end_us, item)
        for rank, _, row in draft.places(*COMPUTE)
        for item in row.action.passes
        if item[1] == draft.problem.model.block_steps(item[0]) - 1
    ]
    rank, end, (block, step) = draft.one_of(clean)
    action = Action(Kind.FREE, block, step, "latents")
    last = draft.programs[rank][-1].end_us
    draft.programs[rank].append(TimedAction(action, max(last, end), max(last, end)))
    return f"R9 r{rank} {action}: frees the clip's output"


def freed_before_its_last_use(draft: Draft) -> str:
    places = [
        (rank, use, index)
        for rank, index, row in draft.places(Kind.FREE)
        for use, user in enumerate(draft.programs[rank][:index])
        if row.action.payload in draft.uses(user.action) and user.action.kind is not Kind.STREAM
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


MUTANTS = (
    dropped_free,
    duplicated_free,
    free_of_nothing,
    output_freed,
    freed_before_its_last_use,
    freed_while_it_travels,
)
