"""What repeats in a stream."""

from __future__ import annotations

from planner.plan import Repeat
from tests.mutants.draft import Draft, NoPlace

COPIES = "copies of the kernel)"


def _kernel(draft: Draft) -> Repeat:
    if draft.plan.repeat is None:
        raise NoPlace
    return draft.plan.repeat


def _change(draft: Draft, **changes: object) -> None:
    draft.changes["repeat"] = _kernel(draft).model_copy(update=changes)


def wrong_copies(draft: Draft) -> str:
    repeat = _kernel(draft)
    _change(draft, copies=repeat.copies + 1)
    blocks = draft.problem.workload.blocks
    return (
        f"R16 kernel: ... copies of {repeat.kernel_blocks} make {blocks + repeat.kernel_blocks}, the clip has {blocks}"
    )


def wrong_blocks(draft: Draft) -> str:
    repeat = _kernel(draft)
    _change(draft, kernel_blocks=repeat.kernel_blocks + 1)
    return f"R16 kernel: ... copies of {repeat.kernel_blocks + 1} make "


def place_shifted(draft: Draft) -> str:
    """A kernel without its first row on one rank."""
    repeat = _kernel(draft)
    rank = draft.one_of([rank for rank, (begin, end) in enumerate(repeat.places) if begin < end])
    places = [(begin + (at == rank), end) for at, (begin, end) in enumerate(repeat.places)]
    _change(draft, places=tuple(places))
    return f"(with 1 {COPIES}"


def place_beyond(draft: Draft) -> str:
    repeat = _kernel(draft)
    rank = draft.one_of(range(len(draft.programs)))
    beyond = len(draft.programs[rank]) + 1
    places = [place if at != rank else (place[0], beyond) for at, place in enumerate(repeat.places)]
    _change(draft, places=tuple(places))
    return f"R16 r{rank} kernel: is at rows {repeat.places[rank][0]} to {beyond} of {beyond - 1}"


def places_of_too_few_ranks(draft: Draft) -> str:
    repeat = _kernel(draft)
    _change(draft, places=repeat.places[1:])
    return f"R16 kernel: has places on {len(repeat.places) - 1} ranks of {len(repeat.places)}"


def kernel_too_short(draft: Draft) -> str:
    repeat = _kernel(draft)
    _change(draft, kernel_us=repeat.kernel_us - 1)
    return COPIES


def kernel_in_no_time(draft: Draft) -> str:
    _change(draft, kernel_us=1)
    return f"(with 1 {COPIES}"


def blocks_stay(draft: Draft) -> str:
    """As if all the kernel's blocks were of a sink."""
    _kernel(draft)
    _change(draft, first_block=10**6)
    return f"(with 1 {COPIES}"


def late_row_of_a_copy(draft: Draft) -> str:
    """A row of the kernel is spoilt where it stands, which is said of the rows as they are."""
    repeat = _kernel(draft)
    rank = draft.one_of([rank for rank, (begin, end) in enumerate(repeat.places) if begin < end])
    index = draft.one_of(range(*repeat.places[rank]))
    row = draft.programs[rank][index]
    draft.programs[rank][index] = row._replace(end_us=row.end_us + 1)
    return f" r{rank} {row.action}: ... (with 0 {COPIES}"


MUTANTS = (
    wrong_copies,
    wrong_blocks,
    place_shifted,
    place_beyond,
    places_of_too_few_ranks,
    kernel_too_short,
    kernel_in_no_time,
    blocks_stay,
    late_row_of_a_copy,
)
