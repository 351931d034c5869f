"""How busy each rank is, what each link carries, and the memory a plan's programs need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.action import COMING, LEAVING, Payload
from planner.cost import Costs, costs
from planner.flow import Flow
from planner.measuring.blocks import Often
from planner.memory import peak_bytes
from planner.placement import Placement
from planner.plan import Plan
from planner.problem import Problem

Way = tuple[int, int]  # from rank, to rank


class RankLoad(NamedTuple):
    """Time in compute actions, and from the first of them to the end of the last."""

    busy_us: int
    span_us: int


class LinkLoad(NamedTuple):
    """What one way between two ranks carries, and for how long anything is under way on it."""

    bytes: int
    busy_us: int


def priced(problem: Problem, plan: Plan) -> Costs:
    """The costs of the plan's own flow."""
    return costs(problem, Flow(problem, plan.pattern, Placement.parse(plan.placement), plan.switch_ticks))


def rank_load(program: Sequence[Often], later_us: int) -> RankLoad:
    """Of one rank's rows; `later_us`: how much later a row runs each further time."""
    rows = [often for often in program if often.row.action.is_compute]
    busy = sum((row.end_us - row.start_us) * times for row, times in rows)
    first = min((row.start_us for row, _ in rows), default=0)
    last = max((row.end_us + (times - 1) * later_us for row, times in rows), default=0)
    return RankLoad(busy, last - first)


def link_loads(programs: Sequence[Sequence[Often]], timing: Costs) -> dict[Way, LinkLoad]:
    """By way. A transfer is under way from the later of its two posts until the first of its ends knew it was over."""
    sizes: dict[Way, int] = defaultdict(int)
    spans: dict[Way, list[tuple[int, int, int]]] = defaultdict(list)
    received = _received(programs)
    for rank, program in enumerate(programs):
        for (action, start, end), times in program:
            if action.kind in LEAVING and action.peer is not None:
                way = rank, action.peer
                sizes[way] += timing.sent_bytes(action.payload) * times
                begun, over = received.get((way, action.payload), (start, end))
                spans[way].append((max(start, begun), min(end, over), times))
    return {way: LinkLoad(sizes[way], sum(_under_way(spans[way]))) for way in sorted(sizes)}


def peaks(plan: Plan, timing: Costs) -> tuple[int, ...]:
    """Bytes that each rank's program needs at most; a kernel leaves as much as it finds, so one run of it tells."""
    return tuple(peak_bytes([row.action for row in program], timing) for program in plan.ranks)


def _received(programs: Sequence[Sequence[Often]]) -> dict[tuple[Way, Payload], tuple[int, int]]:
    return {
        ((action.peer, rank), action.payload): (start, end)
        for rank, program in enumerate(programs)
        for (action, start, end), times in program
        if times == 1 and action.kind in COMING and action.peer is not None
    }


def _under_way(spans: list[tuple[int, int, int]]) -> Iterator[int]:
    """The parts that the spans cover; those that run several times lie apart, as plans have one at a time on a way."""
    reached = 0
    for start, end, times in sorted(spans):
        if times > 1:
            yield (end - start) * times
        elif end > reached:
            yield end - max(start, reached)
            reached = end
