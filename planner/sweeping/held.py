"""How much memory a schedule takes on each unit: what is made or comes is held until its last reader there is done.

A program may hold a little more, as it posts its receives early: up to a seventh, measured.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from planner.action import Kind
from planner.draft import draft
from planner.lower import lower
from planner.searching.finish import over_memory as over_memory_of
from planner.sweeping.stream_clip import Laid

Span = tuple[int, int]  # from, until
CLOSE = 0.2  # how far, as a share, the quick figure may be from that of a program


class Load(NamedTuple):
    """What the fullest rank of a unit needs: weights and working memory, the most that payloads take at once, and, of
    the former, a decoder's state of one stream. Bytes.
    """

    resident: int
    payloads: int
    state: int

    @property
    def total(self) -> int:
        return self.resident + self.payloads

    @property
    def session(self) -> int:
        """What one more stream would take."""
        return self.payloads + self.state


Held = tuple[Load, ...]


def held_bytes(laid: Laid) -> Held:
    """What each unit needs; nothing of an idle one."""
    found = []
    spans = _spans(laid)
    sizes = [laid.priced.payload_bytes(payload) for payload in laid.tasks.payloads]
    for unit, held in enumerate(spans):
        decodes = any(
            action.kind in (Kind.DECODE, Kind.ENCODE)
            for action, where in zip(laid.tasks.actions, laid.schedule.units, strict=True)
            if where == unit
        )
        spared = 0 if decodes else _of_decoder(laid, unit)
        resident = laid.shape.resident[unit] - spared if held else 0
        found.append(Load(resident, _peak(held, sizes), laid.shape.states[unit] if held and decodes else 0))
    return tuple(found)


def _of_decoder(laid: Laid, unit: int) -> int:
    """What a unit that may decode and never does need not hold."""
    if not laid.shape.states[unit]:
        return 0
    return laid.priced.passes.decoder.resident_bytes + laid.shape.states[unit]


def over_memory(laid: Laid, held: Held) -> str:
    """Which device lacks memory, with the numbers; empty if none does. Where it is close, programs are written."""
    cluster, units = laid.priced.problem.cluster, laid.priced.flow.layout.units
    shares = [load.total / cluster.devices[ranks[0]].memory_bytes for load, ranks in zip(held, units, strict=True)]
    if abs(max(shares) - 1) < CLOSE:
        programs = lower(draft(laid.schedule, laid.tasks, laid.priced), laid.priced.flow)
        return over_memory_of(programs, laid.priced)
    for load, ranks in zip(held, units, strict=True):
        device = cluster.devices[ranks[0]]
        if load.total > device.memory_bytes:
            return (
                f"weights and working memory {load.resident / 1e9:.1f} GB + K/V {load.payloads / 1e9:.1f} GB > "
                f"{device.memory_bytes / 1e9:.1f} GB of {device.kind}"
            )
    return ""


def sessions_in_memory(laid: Laid, held: Held) -> int:
    """How many streams the fullest device could hold at once, their weights shared."""
    cluster, units = laid.priced.problem.cluster, laid.priced.flow.layout.units
    rooms = [
        (cluster.devices[ranks[0]].memory_bytes - load.resident + load.state) // load.session
        for load, ranks in zip(held, units, strict=True)
        if load.session
    ]
    return max(0, min(rooms, default=0))


def _spans(laid: Laid) -> list[dict[int, Span]]:
    """For each unit, from when until when each payload is there."""
    schedule = laid.schedule
    spans: list[dict[int, Span]] = [{} for _ in laid.priced.flow.layout.units]
    for task, held in enumerate(laid.shape.holds):
        start, end = schedule.starts_us[task], schedule.ends_us[task]
        gang = task in laid.tasks.instance.gangs
        for unit, payloads in held:
            if gang or unit == schedule.units[task]:
                there = spans[unit]
                for payload in payloads:
                    known = there.get(payload)
                    there[payload] = (start, end) if known is None else (min(known[0], start), max(known[1], end))
    for payload, source, target, start, end in schedule.transfers:
        for unit in (source, target):
            known = spans[unit].get(payload, (start, end))
            spans[unit][payload] = min(known[0], start), max(known[1], end)
    return spans


def _peak(spans: dict[int, Span], sizes: list[int]) -> int:
    changes: dict[int, int] = defaultdict(int)
    for payload, (start, end) in spans.items():
        changes[start] += sizes[payload]
        changes[end] -= sizes[payload]
    held = most = 0
    for at in sorted(changes):
        held += changes[at]
        most = max(most, held)
    return most
