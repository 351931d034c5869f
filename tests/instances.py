"""Scheduling problems for tests: Hypothesis strategies of small odd ones, and the cascade grid in plain numbers.

What the strategies rely on, and `tests.planner.validity` checks: a gang's data is made and read on its first unit;
every pair of units has a wire if any has; every instance has a schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Literal

from hypothesis import strategies as st

from planner.instance import ANY, ORDER, Instance, Live, Wire

Lanes = Literal["pair", "ports", "bus"]
Decoder = Literal["one", "in order", "any"]
LANES: tuple[Lanes, ...] = ("pair", "ports", "bus")


def full_wires(
    units: int, lanes: Lanes = "pair", latency_us: int = 0, bytes_per_us: float = 1.0
) -> dict[tuple[int, int], Wire]:
    """Equal wires between all units: a lane for each direction of each pair, one out and one in for each unit, or
    one bus for all.
    """
    wires = {}
    for source, target in permutations(range(units), 2):
        held = {"pair": (source * units + target,), "ports": (source, units + target), "bus": (0,)}[lanes]
        wires[source, target] = Wire(latency_us, bytes_per_us, held)
    return wires


def cascade_grid(
    blocks: int,
    units: int,
    *,
    passes: int = 5,
    pass_us: int = 10,
    decode_us: int = 7,
    offset: int = 1,
    pass_list: Sequence[int] | None = None,
    growing: int = 0,
    window: int = 7,
    speeds: Sequence[float] | None = None,
    transfer: int | None = None,
    latent: int = 1,
    lanes: Lanes = "pair",
    decoder: Decoder = "one",
) -> Instance:
    """`blocks` blocks of `passes` passes and a decode each (none if `decode_us` is 0), numbered block after block.

    Pass (b, s) reads the latents of (b, s - 1) and the K/V of (b - 1, min(s + offset - 1, passes - 1)). `pass_list`
    gives each pass its own time; each further block, up to `window` - 1, adds `growing`. Unit u takes duration /
    speeds[u], rounded up. A K/V takes `transfer` between units (None: no wires), latents take `latent`. `decoder`: all
    on one unit in order, in order on any, or anywhere in any order.
    """
    lengths = list(pass_list) if pass_list is not None else [pass_us] * passes
    count, stride = len(lengths), len(lengths) + (decode_us > 0)
    durations, inputs, stays = [], [], []
    for block in range(blocks):
        first = block * stride
        for step, length in enumerate(lengths):
            before = first - stride + min(step + offset - 1, count - 1)
            latents = [(first + step - 1, 2 * (first + step - 1))] if step else []
            inputs.append((*latents, *([(before, 2 * before + 1)] if block else [])))
            durations.append(_on_units(length + growing * min(block, window - 1), units, speeds))
            stays.append(ANY)
        if decode_us:
            last = first + count - 1
            in_order = [(last + 1 - stride, ORDER)] if block and decoder != "any" else []
            inputs.append(((last, 2 * last), *in_order))
            durations.append(_on_units(decode_us, units, speeds))
            stays.append(last + 1 - stride if block and decoder == "one" else ANY)
    size = blocks * stride
    return Instance(
        units=units,
        durations=durations,
        inputs=inputs,
        payload_bytes=[latent, transfer or 1] * size,
        blocks=[task // stride for task in range(size)],
        stays=stays,
        wires=None if transfer is None else full_wires(units, lanes),
    )


def _on_units(length: int, units: int, speeds: Sequence[float] | None) -> tuple[int, ...]:
    return tuple(-int(-length // speed) for speed in speeds) if speeds else (length,) * units


@st.composite
def instances(
    draw: st.DrawFn,
    *,
    max_tasks: int = 8,
    min_tasks: int = 1,
    max_units: int = 3,
    max_us: int = 12,
    unequal: bool = True,
    barred: bool = True,
    wires: bool = True,
    stays: bool = True,
    gangs: bool = True,
    live: bool = True,
    releases: bool = True,
) -> Instance:
    """A small problem with any mix of features; a keyword set to False leaves its feature out.

    `unequal` durations differ between units; `barred` units may not run some tasks (duration 0).
    """
    size, units = draw(st.integers(min_tasks, max_tasks)), draw(st.integers(1, max_units))
    blocks = sorted(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    followed = draw(_stays(size)) if stays and draw(st.booleans()) else [ANY] * size
    allowed = draw(_allowed(followed, units)) if barred and draw(st.booleans()) else [(True,) * units] * size
    uneven = unequal and draw(st.booleans())
    durations = [draw(_durations(mask, max_us, uneven)) for mask in allowed]
    teams = draw(_gangs(followed, units)) if gangs and units > 1 and draw(st.booleans()) else {}
    for task, team in teams.items():
        length = draw(st.integers(1, max_us))
        durations[task] = tuple(length if unit == team[0] else 0 for unit in range(units))
    reads = [draw(_reads(task, max_payloads=2)) for task in range(size)]
    streams = draw(_live(reads, durations, max_us)) if live and draw(st.booleans()) else {}
    late = st.dictionaries(st.integers(0, size - 1), st.integers(1, 2 * max_us), max_size=3)
    return Instance(
        units=units,
        durations=durations,
        inputs=reads,
        payload_bytes=draw(st.lists(st.integers(0, max_us), min_size=2 * size, max_size=2 * size)),
        blocks=blocks,
        stays=followed,
        wires=draw(_wires(units)) if wires and draw(st.booleans()) else None,
        gangs=teams,
        live=streams,
        release_us=draw(late) if releases and draw(st.booleans()) else {},
        layers=draw(st.integers(1, 4)) if streams else 1,
    )


@st.composite
def _stays(draw: st.DrawFn, size: int) -> list[int]:
    """Chains, at most one follower a task."""
    followed = [ANY] * size
    for task in range(1, size):
        free = [other for other in range(task) if other not in followed]
        if free and draw(st.integers(0, 2)) == 0:
            followed[task] = draw(st.sampled_from(free))
    return followed


@st.composite
def _allowed(draw: st.DrawFn, followed: Sequence[int], units: int) -> list[tuple[bool, ...]]:
    """Units that each task may run on; those of a chain all the same."""
    masks: list[tuple[bool, ...]] = []
    for leader in followed:
        mask = st.tuples(*[st.booleans()] * units).filter(any)
        masks.append(draw(mask) if leader == ANY else masks[leader])
    return masks


@st.composite
def _durations(draw: st.DrawFn, allowed: Sequence[bool], max_us: int, uneven: bool) -> tuple[int, ...]:
    common = draw(st.integers(1, max_us))
    return tuple((draw(st.integers(1, max_us)) if uneven else common) if may else 0 for may in allowed)


@st.composite
def _gangs(draw: st.DrawFn, followed: Sequence[int], units: int) -> dict[int, tuple[int, ...]]:
    """Gangs of two units or more, of tasks in no chain."""
    alone = [task for task, leader in enumerate(followed) if leader == ANY and task not in followed]
    teams = st.lists(st.integers(0, units - 1), min_size=2, max_size=units, unique=True).map(tuple)
    return draw(st.dictionaries(st.sampled_from(alone), teams, max_size=3)) if alone else {}


@st.composite
def _reads(draw: st.DrawFn, task: int, max_payloads: int) -> tuple[tuple[int, int], ...]:
    """Up to three inputs; task t makes payloads 2 t and 2 t + 1."""
    if not task:
        return ()
    makers = draw(st.lists(st.integers(0, task - 1), max_size=3, unique=True))
    kinds = st.integers(-1, max_payloads - 1)
    return tuple((maker, ORDER if kind < 0 else 2 * maker + kind) for maker in makers for kind in [draw(kinds)])


@st.composite
def _live(
    draw: st.DrawFn, reads: list[tuple[tuple[int, int], ...]], durations: Sequence[tuple[int, ...]], max_us: int
) -> dict[int, tuple[Live, ...]]:
    """Turns some inputs into live ones, in `reads` too. A payload's first layer is made before its task ends."""
    streams: dict[int, tuple[Live, ...]] = {}
    first_us: dict[int, int] = {}
    for task, row in enumerate(reads):
        chosen = [read for read in row if read[1] != ORDER and draw(st.booleans())]
        for source, payload in chosen:
            shortest = min(filter(None, durations[source]))
            first_us.setdefault(payload, draw(st.integers(0, shortest - 1)))
            last_us = draw(st.integers(0, max_us // 2))
            streams[task] = (*streams.get(task, ()), Live(source, payload, first_us[payload], last_us))
        reads[task] = tuple(read for read in row if read not in chosen)
    return streams


@st.composite
def _wires(draw: st.DrawFn, units: int) -> dict[tuple[int, int], Wire]:
    """A wire for every pair, lanes of its own or shared; some wires differ."""
    equal = full_wires(units, draw(st.sampled_from(LANES)), draw(st.integers(0, 3)), draw(st.sampled_from([1.0, 4.0])))
    if draw(st.booleans()):
        return equal
    return {pair: wire._replace(latency_us=draw(st.integers(0, 6))) for pair, wire in equal.items()}
