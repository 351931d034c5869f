"""Cyclic schedules of an endless stream, each with its exact period."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from planner.errors import InputError
from planner.schedulers.endless import Program, Run, run_endless
from planner.streams.cycles import Edge, earliest_starts, max_cycle_ratio
from planner.streams.kernel import Kernel, Order, Slot, find_kernel
from planner.streams.loop import Loop, Period, Resource, steady_period


class Cadence(NamedTuple):
    """The exact period of an order per block, in microseconds, and the critical cycle's tasks by name."""

    value: Fraction
    certificate: tuple[str, ...]


def order_period(loop: Loop, order: Order, blocks: int) -> Cadence:
    """The least period per block of a stream that runs `order`, which does `blocks` blocks a round, on its units.

    Each task appears once for each block of a round; one that takes several units appears on each. Transfers take
    `transfer_us` and never queue. Raises InputError if a task is missing, or if the order waits for itself.
    """
    names = [name if blocks == 1 else f"b{block}.{name}" for block in range(blocks) for name in loop.nodes]
    cycle = max_cycle_ratio(names, _order_edges(loop, order, blocks))
    if cycle is None:
        raise InputError("order: no unit runs anything, so nothing sets its period")
    return Cadence(cycle.ratio / blocks, tuple(names[node] for node in cycle.nodes))


def kernel_of(loop: Loop, order: Order, blocks: int) -> Kernel:
    """The schedule that runs an order as fast as it goes, each task as early as that allows; from block 0 on.

    It covers several rounds if only together they take whole microseconds. Raises InputError as `order_period` does.
    """
    edges = _order_edges(loop, order, blocks)
    period = order_period(loop, order, blocks).value * blocks
    starts = earliest_starts(len(loop.nodes) * blocks, edges, period)
    units = _units_of(order, blocks)
    slots = []
    for block in range(blocks * period.denominator):
        base, since = block % blocks * len(loop.nodes), block // blocks * period
        for task in range(len(loop.tasks)):
            # Rounding everything down keeps every lag, as lags are whole.
            start = int(starts[base + task] + since)
            node, lag = loop.end(task)
            end = int(starts[base + node] + since) + lag
            slots += [Slot(task, block, unit, start, end) for unit in units[task, block % blocks]]
    return Kernel(blocks * period.denominator, period.numerator, 0, None, tuple(slots))


class Rotation(NamedTuple):
    """A cyclic order with its exact period, next to what no order can beat.

    `name`: `block` (each block whole on the next unit), `step` (each task on its own unit), `decoder apart` (blocks
    rotate, decodes on units of their own), `decoder shared` or `free` (any unit takes any pass).
    """

    name: str
    order: Order
    blocks: int
    cadence: Cadence
    bound: Period

    @property
    def gap(self) -> Fraction:
        """By how much the period is longer than the bound, relative to it."""
        return self.cadence.value / self.bound.value - 1


def rotate(loop: Loop, units: int) -> Rotation:
    """The best order found for all tasks of a stream on that many identical units; of equals the simplest.

    Without a decoder that stays on one unit, rotating whole blocks is optimal in a cascade whose transfers are free.
    With one, rounds of up to max(2 * `units`, 12) blocks are tried, and what greedy runs settle in. The loop's own
    resources do not count. Raises InputError if a block waits for itself.
    """
    work = tuple(enumerate(loop.durations_us))
    bound = steady_period(loop._replace(resources=(Resource("devices", "devices", work, units),)))
    cycle = max_cycle_ratio(loop.nodes, loop.lags())
    stream = _Stream(loop, units, bound.value, cycle.ratio if cycle else None)
    best: Rotation | None = None
    for plan in _plans(stream):
        if best is not None and best.cadence.value <= plan.promise:
            continue
        for order in plan.orders:
            try:
                cadence = order_period(loop, order, plan.blocks)
            except InputError:
                continue  # cutting a round out of a run can make two tasks wait for each other
            if best is None or cadence.value < best.cadence.value:
                best = Rotation(plan.name, order, plan.blocks, cadence, bound)
            if best.cadence.value <= plan.promise:
                break
        if best is not None and best.cadence.value == bound.value:
            break
    assert best is not None, "tasks in the order of their numbers never wait for each other"
    return best


class _Stream(NamedTuple):
    """What orders are wanted for; no period is shorter than `bound`, nor, with any units, than `stride`."""

    loop: Loop
    units: int
    bound: Fraction
    stride: Fraction | None

    @property
    def passes(self) -> list[int]:
        return [task for task in range(len(self.loop.tasks)) if task not in self.loop.decodes]


class _Plan(NamedTuple):
    """Orders of `blocks` blocks, made one by one on demand; none is expected to beat the period `promise`."""

    name: str
    promise: Fraction
    blocks: int
    orders: Iterator[Order]


def _plans(stream: _Stream) -> Iterator[_Plan]:
    loop, units, bound, _ = stream
    if units == 1 or not loop.stays:
        # Decoding last, wherever it is numbered, lets the next block start earlier; but a pass may need it first.
        rows = ([*stream.passes, *sorted(loop.decodes)], range(len(loop.tasks)))
        whole = (tuple(tuple((task, unit) for task in row) for unit in range(units)) for row in rows)
        yield _Plan("block", bound, units, whole)
    yield _Plan("step", bound, 1, iter([_by_step(stream)]))
    for apart in range(1, min(len(loop.stays), units - 1) + 1):
        yield _Plan("decoder apart", bound, units - apart, iter([_apart(stream, apart)]))
    if units > 1 and loop.stays:
        for owners in range(1, min(len(loop.stays), units) + 1):
            yield from _shared(stream, _split(loop, loop.stays, owners))
    elif units > 1:
        yield from _greedy("free", stream, {})


def _split(loop: Loop, groups: Sequence[tuple[int, ...]], parts: int) -> list[list[int]]:
    """The groups in order, cut into at most that many pieces so that the longest is as short as can be."""
    lengths = [sum(loop.durations_us[task] for task in group) for group in groups]

    def cut(limit: int) -> list[list[int]]:
        pieces: list[list[int]] = []
        room = 0
        for group, length in zip(groups, lengths, strict=True):
            if not pieces or length > room:
                pieces.append([])
                room = limit
            pieces[-1] += group
            room -= length
        return pieces

    limits = range(max(lengths), sum(lengths) + 1)
    return cut(limits[bisect_left(limits, True, key=lambda limit: len(cut(limit)) <= parts)])


def _by_step(stream: _Stream) -> Order:
    groups = [*((task,) for task in stream.passes), *stream.loop.stays]
    rows = [tuple((task, 0) for task in sorted(piece)) for piece in _split(stream.loop, groups, stream.units)]
    return (*rows, *((),) * (stream.units - len(rows)))


def _apart(stream: _Stream, apart: int) -> Order:
    blocks = stream.units - apart
    whole = [tuple((task, block) for task in stream.passes) for block in range(blocks)]
    pieces = _split(stream.loop, stream.loop.stays, apart)
    decodes = [tuple((task, block) for block in range(blocks) for task in sorted(piece)) for piece in pieces]
    return (*whole, *decodes, *((),) * (apart - len(pieces)))


def _shared(stream: _Stream, owned: list[list[int]]) -> Iterator[_Plan]:
    """Plans in which units that decode run fewer passes than the others, by the period that their work allows."""
    plans = []
    for blocks in range(1, max(2 * stream.units, 12) + 1):
        longest, passes = _balance(stream, owned, blocks)
        plans.append((max(longest / blocks, stream.bound), blocks, passes))
    for period, blocks, passes in sorted(plans):
        yield _Plan("decoder shared", period, blocks, _by_program(stream, owned, passes, blocks, period))
    yield from _greedy("decoder shared", stream, _pins(owned))


def _pins(owned: list[list[int]]) -> dict[int, int]:
    return {task: unit for unit, piece in enumerate(owned) for task in piece}


def _by_program(
    stream: _Stream, owned: list[list[int]], passes: list[int], blocks: int, period: Fraction
) -> Iterator[Order]:
    """Orders that come of keeping the units that decode to a fixed round of decodes and passes."""
    for stride, even, every, downwards in product(_strides(stream), (False, True), (None, period), (False, True)):
        programs = {u: _program(blocks * len(piece), passes[u], even) for u, piece in enumerate(owned)}
        count = max(6 * blocks, 30)
        run = run_endless(stream.loop, stream.units, _pins(owned), count, programs, every, stride, downwards=downwards)
        yield from _folded(stream, run, blocks, period)


def _strides(stream: _Stream) -> tuple[Fraction | None, ...]:
    return (None,) if stream.stride is None else (None, stream.stride)


def _balance(stream: _Stream, owned: list[list[int]], blocks: int) -> tuple[Fraction, list[int]]:
    """The work of the busiest unit in a round, and the passes of each, if they are given to the least busy in turn."""
    durations = stream.loop.durations_us
    load = [Fraction(0)] * stream.units
    for unit, piece in enumerate(owned):
        load[unit] = Fraction(blocks * sum(durations[task] for task in piece))
    passes = stream.passes
    mean = Fraction(sum(durations[task] for task in passes), len(passes) or 1)
    counts = [0] * stream.units
    for _ in range(blocks * len(passes)):
        unit = min(range(stream.units), key=lambda u: load[u])
        counts[unit] += 1
        load[unit] += mean
    return max(load), counts


def _program(decodes: int, passes: int, even: bool) -> Program:
    """A round of a unit that decodes: all decodes first, or passes spread among them."""
    if not even:
        return (True,) * decodes + (False,) * passes
    count = decodes + passes
    return tuple((i + 1) * passes // count == i * passes // count for i in range(count))


def _greedy(name: str, stream: _Stream, pins: dict[int, int]) -> Iterator[_Plan]:
    """What greedy runs settle in, or nearly so."""
    count, size = 20 * stream.units, len(stream.loop.tasks)
    for stride, downwards in product(_strides(stream), (False, True)):
        run = run_endless(stream.loop, stream.units, pins, count, stride_us=stride, downwards=downwards)
        ends = [start + stream.loop.durations_us[i % size] for i, start in enumerate(run.starts_us)]
        kernel = find_kernel(run.starts_us, ends, run.units, [i // size for i in range(count * size)])
        if kernel is not None:
            order = (*kernel.order, *((),) * (stream.units - len(kernel.order)))
            yield _Plan(name, stream.bound, kernel.blocks, iter([order]))
        for blocks in range(1, 2 * stream.units + 1):
            yield _Plan(name, stream.bound, blocks, _folded(stream, run, blocks, None))


def _folded(stream: _Stream, run: Run, blocks: int, period: Fraction | None) -> Iterator[Order]:
    """A round cut out of the middle of a run: each task where it falls if all repeats after as long as there."""
    size = len(stream.loop.tasks)
    first = len(run.starts_us) // size // 2
    cut = range(first * size, (first + blocks) * size)
    starts = run.starts_us[cut.start : cut.stop + size]
    if min(starts) < 0:
        return
    rounds = {starts[blocks * size] - starts[0]} | ({int(period * blocks)} if period else set())
    for round_us in sorted(us for us in rounds if us > 0):
        rows: list[list[tuple[int, int, int]]] = [[] for _ in range(stream.units)]
        for index in cut:
            turn, since = divmod(run.starts_us[index] - min(starts), round_us)
            rows[run.units[index]].append((since, index % size, index // size - turn * blocks))
        yield tuple(tuple((task, block) for _, task, block in sorted(row)) for row in rows)


def _units_of(order: Order, blocks: int) -> dict[tuple[int, int], list[int]]:
    """The units that run each task of each block of a round."""
    units: dict[tuple[int, int], list[int]] = {}
    for unit, row in enumerate(order):
        for task, block in row:
            units.setdefault((task, block % blocks), []).append(unit)
    return units


def _order_edges(loop: Loop, order: Order, blocks: int) -> list[Edge]:
    """All that a task waits for, with tasks of block b in round b // `blocks` as nodes of block b % `blocks`."""
    size = len(loop.nodes)
    units = _units_of(order, blocks)
    wanted = {(task, block) for task in range(len(loop.tasks)) for block in range(blocks)}
    wrong = (units.keys() ^ wanted) | {key for key, where in units.items() if len(set(where)) < len(where)}
    if wrong:
        task, block = min(wrong)
        raise InputError(f"order: task {task} of block {block} is missing or too much; a round has {blocks} blocks")
    more_us = [0] * len(loop.late) + [edge.transfer_us for edge in loop.edges]
    edges = []
    for edge, more in zip(loop.lags(), more_us, strict=True):
        for block in range(blocks):
            rounds, other = divmod(block + edge.distance, blocks)
            apart = more and units[loop.task(edge.source), block] != units[loop.task(edge.target), other]
            lag = edge.lag_us + (more if apart else 0)
            edges.append(Edge(block * size + edge.source, other * size + edge.target, lag, rounds))
    return edges + [edge for row in order for edge in _row_edges(loop, row, blocks)]


def _row_edges(loop: Loop, row: tuple[tuple[int, int], ...], blocks: int) -> list[Edge]:
    """Each task of a unit waits for the one before it, the first for the last of the round before."""
    size = len(loop.nodes)
    edges = []
    for i, (task, block) in enumerate(row):
        other, before = row[i - 1]
        source, lag = loop.end(other)
        rounds = block // blocks - before // blocks + (i == 0)
        edges.append(Edge(before % blocks * size + source, block % blocks * size + task, lag, rounds))
    return edges
