"""Cascades without end, in plain numbers, for the tests of what repeats."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hypothesis import strategies as st

from planner.streams.kernel import Kernel, Slot
from planner.streams.loop import Loop, Precedence, Resource


def cascade(
    passes: Sequence[int],
    offset: int = 1,
    units: int = 1,
    *,
    decodes: Sequence[int] = (),
    transfer_us: int = 0,
    pinned: bool = True,
) -> Loop:
    """Pass s waits for pass s - 1 and for pass s + `offset` - 1 of the block before, `transfer_us` more from elsewhere.

    `decodes` follow the last pass one after the other, each after its own of the block before; `pinned` to their units.
    """
    last = len(passes) - 1
    edges = [Precedence(s - 1, s, passes[s - 1], 0) for s in range(1, last + 1)]
    for step in range(last + 1):
        source = min(step + offset - 1, last)
        edges.append(Precedence(source, step, passes[source], 1, transfer_us))
    durations = (*passes, *decodes)
    for task in range(last + 1, len(durations)):
        edges += [Precedence(task - 1, task, durations[task - 1], 0), Precedence(task, task, durations[task], 1)]
    return Loop(
        tasks=(*(f"s{step}" for step in range(last + 1)), *(f"d{part}" for part in range(len(decodes)))),
        durations_us=durations,
        edges=tuple(edges),
        resources=(Resource("devices", "devices", tuple(enumerate(durations)), units),),
        stays=tuple((task,) for task in range(last + 1, len(durations))) if pinned else (),
    )


def closed_form(passes: Sequence[int], offset: int, units: int, decodes: Sequence[int] = ()) -> Fraction:
    """The period of a cascade on identical devices whose transfers are free."""
    window = max(sum(passes[i : i + offset]) for i in range(max(1, len(passes) - offset + 1)))
    return max(Fraction(window), Fraction(sum(passes) + sum(decodes), units), Fraction(max(decodes, default=0)))


@st.composite
def cascades(draw: st.DrawFn, *, max_decodes: int = 2, max_transfer_us: int = 0, max_units: int = 5) -> Loop:
    passes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    return cascade(
        passes,
        draw(st.integers(1, len(passes))),
        draw(st.integers(1, max_units)),
        decodes=draw(st.lists(st.integers(1, 30), max_size=max_decodes)),
        transfer_us=draw(st.integers(0, max_transfer_us)),
        pinned=draw(st.booleans()),
    )


def broken_rules(loop: Loop, kernel: Kernel, rounds: int) -> list[str]:
    """What is wrong with a kernel when it runs that many times: overlaps on a unit, and waits cut short."""
    slots = [
        Slot(s.task, s.block + turn * kernel.blocks, s.unit, *(at + turn * kernel.period_us for at in s[3:]))
        for turn in range(rounds)
        for s in kernel.slots
    ]
    broken = []
    for unit in {slot.unit for slot in slots}:
        row = sorted((slot.start_us, slot.end_us, slot) for slot in slots if slot.unit == unit)
        broken += [f"{a} runs into {b}" for (_, end, a), (start, _, b) in pairwise(row) if end > start]
    of = {(slot.task, slot.block): slot for slot in slots}
    for edge in loop.edges:
        for (task, block), slot in of.items():
            later = of.get((edge.target, block + edge.distance))
            if task == edge.source and later is not None:
                lag = edge.lag_us + (edge.transfer_us if later.unit != slot.unit else 0)
                broken += [f"{later} does not wait for {slot}"] if later.start_us < slot.start_us + lag else []
    return broken
