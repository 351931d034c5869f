"""Which pattern and placement a group of devices serves with: the least period of an endless stream, found quickly."""

from __future__ import annotations

from typing import NamedTuple

from planner.action import Kind
from planner.errors import InfeasibleError, InputError
from planner.objective import Limits
from planner.patterns import Pattern
from planner.placement import Placement, most_busy
from planner.problem import Problem
from planner.rows import finished_us
from planner.searching.case import Case, passes_of, price, schedule_case
from planner.searching.explore import Tried, by_promise, chosen_patterns, priced_cases
from planner.searching.finish import Finished, rows_of
from planner.streams.repeat import MOST_BLOCKS, find_repeat
from planner.streams.steady import settled_blocks
from planner.streams.stream import lookahead, of_length

# A first schedule's period is read off a few blocks, so one so much longer than the least may yet be the least.
SLACK = 1.03
# How many cases are lowered to find out.
LOWERED = 4
# Periods so near are as good; then a cleaner context counts, and then the first frame.
ALIKE = 1.01
SPARE = 8  # blocks beyond those that settle and those that end, for two turns of a short kernel


class Chosen(NamedTuple):
    """Rows of a short clip that fall into a rhythm: from block `settled` on, `kernel_blocks` take `kernel_us`."""

    found: Finished
    settled: int
    kernel_blocks: int
    kernel_us: int

    @property
    def period_us(self) -> float:
        return self.kernel_us / self.kernel_blocks

    @property
    def first_frame_us(self) -> int:
        return self.found.figures.first_frame_us


def choose(problem: Problem, pattern: Pattern | None = None, placement: Placement | None = None) -> Chosen:
    """The rows with the least period among those that set all devices to work, by list scheduling.

    Of periods within 1 % the pattern that reads the cleanest context wins, then the earlier first frame.
    `planner.search.plan(objective="period")` looks further. Raises InfeasibleError naming what binds if nothing fits
    in memory or falls into a rhythm, InputError if pattern and placement do not go together.
    """
    patterns = chosen_patterns(problem, pattern)
    tried = _tried(problem, patterns, placement)
    refused = [item.refused for item in tried if item.eligible and item.refused]
    made: list[Chosen] = []
    for case in _promising(tried):
        settled = _settled(case)
        if isinstance(settled, str):
            refused.append(settled)
        else:
            made.append(settled)
    if not made:
        raise InfeasibleError(refused[0] if refused else "no pattern that the checkpoint tolerates can be planned")
    enough = min(item.period_us for item in made) * ALIKE
    alike = [item for item in made if item.period_us <= enough]
    return min(alike, key=lambda item: (patterns.index(item.found.case.pattern), item.first_frame_us, item.period_us))


def least_us(problem: Problem, pattern: Pattern | None = None) -> float:
    """No rows that `choose` could find have a shorter period; infinite where it would find none."""
    patterns = chosen_patterns(problem, pattern)
    try:
        tried = _tried(problem, patterns, None)
    except InputError:
        return float("inf")
    return min((tried[place].at_best for place in by_promise(tried) if tried[place].eligible), default=float("inf"))


def _tried(problem: Problem, patterns: list[Pattern], placement: Placement | None) -> list[Tried]:
    short = of_length(problem, _short_blocks(problem, patterns))
    return priced_cases(
        short, patterns, placement, "period", Limits(), stream=True, only=lambda place: place.ranks is None
    )


def _short_blocks(problem: Problem, patterns: list[Pattern]) -> int:
    """Enough to fill the window and all ranks' places, and for a kernel of a few blocks to be seen twice."""
    spec = problem.model
    in_flight = max(most_busy(pattern, spec, "free") for pattern in patterns if pattern.name != "layers")
    return spec.window_blocks + in_flight + spec.passes + SPARE


def _promising(tried: list[Tried]) -> list[Case]:
    """The first schedules with the shortest periods, of which none is bound to a period that another one beats."""
    cases: list[tuple[float, Case]] = []
    least = float("inf")
    for place in by_promise(tried):
        item = tried[place]
        if item.eligible and item.costs is not None and item.at_best <= least * SLACK:
            short = item.costs.problem
            case = schedule_case(short, item.costs, "makespan", lookahead(short, item.pattern))
            cases.append((_rough_period(case), case))
            least = min(least, cases[-1][0])
    cases.sort(key=lambda pair: (pair[0], pair[1].figures.makespan_us))
    return [case for period, case in cases[:LOWERED] if period <= least * SLACK]


def _rough_period(case: Case) -> float:
    """Mean time between finished blocks of a schedule, from where the context is full to where the clip's end shows."""
    spec, blocks = case.costs.spec, case.flow.blocks
    ends: dict[int, int] = {}
    for action, end in zip(case.tasks.actions, case.schedule.ends_us, strict=True):
        done = [action.block] if action.kind is Kind.DECODE else []
        if not case.flow.decodes:
            last = spec.steps - 1
            done = [block for block, stage in passes_of(action, case.flow) if stage == last]
        for block in done:
            ends[block] = max(end, ends.get(block, 0))
    first, last_block = spec.window_blocks, blocks - spec.passes
    return (ends[last_block] - ends[first]) / (last_block - first)


def _settled(case: Case) -> Chosen | str:
    """A case's rows with their rhythm, on a longer clip where a short one does not show it."""
    found = rows_of(case)
    if isinstance(found, str):
        return found
    rhythm = _beat(found)
    if rhythm is not None:
        return rhythm
    flow = case.flow
    long = of_length(case.costs.problem, settled_blocks(flow) + flow.spec.passes + 3 * MOST_BLOCKS)
    priced = price(long, case.pattern, case.placement)
    found = rows_of(schedule_case(long, priced, "makespan", lookahead(long, case.pattern)))
    if isinstance(found, str):
        return found
    repeat = find_repeat(found)
    if repeat is None:
        return f"{case.pattern} on {case.placement} falls into no rhythm; name another placement"
    return _since(found, repeat.kernel_blocks, repeat.kernel_us)


def _beat(found: Finished) -> Chosen | None:
    """The rhythm in which blocks are finished once context and places are full: the same turn at least twice."""
    spec = found.case.costs.spec
    ends = finished_us(found.rows, spec.steps - 1)
    settled = ends[spec.window_blocks + spec.passes : len(ends) - spec.passes]
    for count in range(1, (len(settled) - 1) // 2 + 1):
        turns = {after - before for before, after in zip(settled, settled[count:], strict=False)}
        if len(turns) == 1:
            return _since(found, count, turns.pop())
    return None


def _since(found: Finished, count: int, period: int) -> Chosen:
    """The rows with the first block from which on they keep a rhythm."""
    ends = finished_us(found.rows, found.case.costs.spec.steps - 1)
    begins = (
        block
        for block in range(len(ends) - 2 * count)
        if ends[block + count] - ends[block] == ends[block + 2 * count] - ends[block + count] == period
    )
    return Chosen(found, next(begins), count, period)
