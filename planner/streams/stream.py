"""Endless and very long streams: a short clip whose kernel repeats, with its exact period and what limits it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from planner.cost import Costs
from planner.errors import InputError
from planner.expand import expand
from planner.metrics import Metrics, metrics
from planner.patterns import Pattern
from planner.placement import most_busy
from planner.plan import Objective, Repeat, Steady
from planner.problem import Problem
from planner.searching.case import Case, by_rules, schedule_case
from planner.searching.finish import Finished, rows_of
from planner.searching.quick import least_period
from planner.streams.loop import most_useful_units, steady_period
from planner.streams.repeat import MOST_BLOCKS, find_repeat
from planner.streams.steady import cyclic, loop_of

# A clip of more blocks is planned as a stream.
LONGEST = 500
# Passes of a short clip at most: so many take a minute for each placement.
MOST_PASSES = 100_000
# Blocks that may wait for the decoder: fewer are tried where a schedule does not settle.
SPARE = (3, 1, 5)


def of_length(problem: Problem, blocks: int) -> Problem:
    """The same problem with a clip of another length."""
    return problem.model_copy(update={"workload": problem.workload.model_copy(update={"blocks": blocks})})


def short_blocks(problem: Problem, patterns: Sequence[Pattern]) -> int:
    """Enough blocks for the ramp, for kernels that follow one another, and for the end.

    Raises InputError if that is too long to be planned.
    """
    spec = problem.model
    in_flight = max(lookahead(problem, pattern) for pattern in patterns)
    context = 2 * spec.window // spec.frames_per_block
    # A kernel is looked for from where the ramp's last pass is felt no more until where the end's first is.
    seen = context + 1 + 2 * spec.passes + 2 * MOST_BLOCKS + 1
    enough = max(seen, context + 3 * in_flight + 3 * MOST_BLOCKS)
    if enough * spec.passes > MOST_PASSES:
        raise InputError(
            f"stream: {spec.passes} passes a block are too many for a rhythm to be found; plan a clip of {LONGEST} "
            "blocks or fewer, by another objective than the period, or a model of fewer steps"
        )
    return min(problem.workload.blocks, enough)


def lookahead(problem: Problem, pattern: Pattern, spare: int = SPARE[0]) -> int:
    """How many blocks a stream's passes may run ahead of what is done: all in flight, and some for the decoder."""
    if pattern.name == "layers":
        return problem.model.passes * min(problem.cluster.size, problem.model.layers) + spare
    return most_busy(pattern, problem.model, "free") + spare


def whole_figures(found: Finished, period: Fraction, problem: Problem) -> Metrics:
    """The figures of the problem's whole clip, of which `found` is a short one."""
    spec, blocks = problem.model, problem.workload.blocks
    figures = metrics(spec, problem.cluster, found.rows)
    makespan = figures.makespan_us + math.ceil(period * (blocks - found.case.flow.blocks))
    frames = spec.pixel_frames(0) + (blocks - 1) * spec.pixel_frames(1)
    money = figures.money * makespan / figures.makespan_us
    told = {
        "makespan_us": makespan,
        "period_us": float(period),
        "fps": frames * 1e6 / makespan,
        "steady_fps": spec.pixel_frames(1) * 1e6 / float(period),
        "money": money,
        "money_per_minute": money / (frames / spec.frame_rate / 60),
    }
    return figures.model_copy(update=told)


def settled_case(problem: Problem, priced: Costs, objective: Objective) -> tuple[Finished, Repeat] | str:
    """A case of a short clip with its kernel, or why it has none.

    Where any unit may take any pass, and list scheduling falls into no rhythm or not the best, the units are those of
    the best cyclic order.
    """
    made: tuple[Finished, Repeat] | str = ""
    for spare in SPARE:
        case = schedule_case(problem, priced, objective, lookahead(problem, priced.flow.pattern, spare))
        made = settle(case)
        if not isinstance(made, str):
            break
    if priced.flow.placement.passes != "free" or len(set(problem.cluster.devices)) > 1:
        return made
    loop = loop_of(expand(priced), priced.flow)
    if not isinstance(made, str) and made[1].period_us <= steady_period(loop).value:
        return made
    rotated = settle_rows([rows_of(case.with_schedule(*cyclic(case.tasks, priced.flow, loop)))])
    if isinstance(rotated, str) or (not isinstance(made, str) and made[1].period_us <= rotated[1].period_us):
        return made
    return rotated


def settle(case: Case) -> tuple[Finished, Repeat] | str:
    """The rows of a case whose kernel has the least period of all list rules, and it; or why there are none."""
    return settle_rows(rows_of(option) for option in by_rules(case.costs, case.tasks))


def settle_rows(options: Iterable[Finished | str]) -> tuple[Finished, Repeat] | str:
    """Those of some rows whose kernel has the least period, and that kernel."""
    best: tuple[Finished, Repeat] | None = None
    refused = ""
    for found in options:
        if isinstance(found, str):
            refused = found
            continue
        repeat = find_repeat(found)
        if repeat is None:
            refused = f"does not settle into a rhythm within {found.case.flow.blocks} blocks"
        elif best is None or repeat.period_us < best[1].period_us:
            best = found, repeat
    return best or refused


def steady(case: Case, period: Fraction) -> Steady:
    """A stream's period next to what it could be."""
    if case.placement.passes == "batched" and not case.pattern.is_joint:
        # Which unit a batch runs on changes from block to block, so there is no one block that repeats.
        least = Fraction(int(least_period(case.costs)))
        return Steady(
            period=str(period), bound=str(min(least, period)), limit="dependencies", certificate=("chain of batches",)
        )
    loop = loop_of(expand(case.costs), case.flow)
    best = steady_period(loop)
    assert best.value <= period, f"a period of {period} us is below the bound of {best.value} us"
    return Steady(
        period=str(period),
        bound=str(best.value),
        limit=best.limit,
        certificate=best.certificate,
        most_useful=most_useful_units(loop),
    )
