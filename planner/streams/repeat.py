"""Finds the kernel in a clip's rows: what each rank does over and over, a few blocks later each time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from planner.action import COMING, Kind, Payload
from planner.lower import is_output
from planner.plan import Repeat
from planner.rows import finished_us
from planner.searching.finish import Finished
from planner.streams.steady import settled_blocks
from planner.streams.unroll import shifted

# Kernels of more blocks are not looked for: in a good schedule blocks alternate between a few places.
MOST_BLOCKS = 16
# How many moments are tried as a kernel's beginning.
TRIES = 12

Holding = tuple[int, int, Payload]  # on a rank (twice the same), or posted for the way from one to another


def find_repeat(found: Finished) -> Repeat | None:
    """The smallest kernel in a clip's rows that a second one just like it follows; None if there is none."""
    flow, rows = found.case.flow, found.rows
    ends = finished_us(rows, flow.spec.steps - 1)
    settled = settled_blocks(flow)
    starts = [[row.start_us if row.action.is_compute else -1 for row in program] for program in rows]
    for count in range(1, MOST_BLOCKS + 1):
        latest = len(ends) - 2 * count - flow.spec.passes
        for first in range(settled, latest, max(1, (latest - settled) // TRIES)):
            period = ends[first + count] - ends[first]
            if period > 0 and ends[first + 2 * count] - ends[first + count] == period:
                repeat = _repeat_at(found, _rising(starts), ends[first], period, count)
                if repeat is not None:
                    return repeat
    return None


def _repeat_at(found: Finished, starts: list[list[int]], at_us: int, period: int, count: int) -> Repeat | None:
    """The kernel from a moment on, if every rank's program of one period is that of the next."""
    places = []
    spec, offset = found.case.flow.spec, found.case.pattern.offset
    repeat = Repeat(
        first_block=spec.sink // spec.frames_per_block,
        kernel_blocks=count,
        kernel_us=period,
        copies=0,
        places=(),
    )
    for program, begins in zip(found.rows, starts, strict=True):
        begin, end, after = (bisect_left(begins, at_us + turn * period) for turn in range(3))
        if end - begin != after - end or list(program[end:after]) != shifted(program[begin:end], repeat, 1, offset):
            return None
        places.append((begin, end))
    cuts = [[place[turn] for place in places] for turn in range(2)]
    if not _is_whole(found, places, count) or _moved(_state(found, cuts[0]), repeat) != _state(found, cuts[1]):
        return None
    return repeat.model_copy(update={"places": tuple(places)})


def _is_whole(found: Finished, places: list[tuple[int, int]], count: int) -> bool:
    """Whether a kernel does all that its blocks need: what nobody waits for could have been put off."""
    flow = found.case.flow
    passes = decodes = 0
    for program, (begin, end) in zip(found.rows, places, strict=True):
        for action, _, _ in program[begin:end]:
            passes += len(action.passes)
            decodes += action.kind is Kind.DECODE
    # Each rank of a group runs each of its passes, and each of a ring every pass.
    ranks = flow.layout.denoising if flow.placement.passes == "ring" else flow.placement.degree
    whole = count * ranks * len(flow.stages(settled_blocks(flow)))
    return passes == whole and decodes == count * flow.parts * flow.decodes


def _state(found: Finished, cut: Sequence[int]) -> set[Holding]:
    """What is on each rank when the programs have come to a cut, and what is posted on one side only."""
    flow = found.case.flow
    held: set[Holding] = set()
    open_posts: set[Holding] = set()
    for rank, (program, end) in enumerate(zip(found.rows, cut, strict=True)):
        for action, _, _ in program[:end]:
            if action.is_compute:
                # The clip's output stays for good, wherever the kernel begins.
                made = (payload for payload in flow.makes(action) if not is_output(payload, flow))
                held.update((rank, rank, payload) for payload in made)
            elif action.kind is Kind.FREE:
                held.discard((rank, rank, action.payload))
            else:
                assert action.peer is not None
                coming = action.kind in COMING
                way = (action.peer, rank) if coming else (rank, action.peer)
                open_posts ^= {(*way, action.payload)}
                held |= {(rank, rank, action.payload)} if coming else set()
    return held | open_posts


def _moved(state: set[Holding], repeat: Repeat) -> set[Holding]:
    """A state one kernel later."""
    return {
        (source, target, _later(payload, repeat.kernel_blocks, repeat.first_block)) for source, target, payload in state
    }


def _later(payload: Payload, blocks: int, first_block: int) -> Payload:
    if payload.carries == "text" or (payload.block < first_block and payload.carries != "hidden"):
        return payload
    return payload._replace(block=payload.block + blocks)


def _rising(starts: list[list[int]]) -> list[list[int]]:
    """Each compute row's start; a transfer or a free goes with the compute row that follows it, or with the last."""
    return [list(_from_behind(row)) for row in starts]


def _from_behind(row: list[int]) -> Iterator[int]:
    following = max(row, default=-1)
    behind: list[int] = []
    for start in reversed(row):
        following = start if start >= 0 else following
        behind.append(following)
    return reversed(behind)
