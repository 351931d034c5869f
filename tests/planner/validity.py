"""Every fault of a schedule, rule by rule as `planner.instance` states them; knows nothing of how schedules are made.

Readings the data structure leaves open: a gang's data is made and read on its first unit. A payload that a live reader
needs on another unit goes there as a stream, which books no lane and may be left out of `Schedule.transfers` (if it is
there, with the times that `Instance.stream` gives); or whole, once its task has ended, like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from planner.instance import ANY, ORDER, Instance, Live, Schedule, Transfer


def faults(instance: Instance, schedule: Schedule) -> list[str]:
    """A line for each broken rule, none if the schedule is valid."""
    counts = {len(schedule.units), len(schedule.starts_us), len(schedule.ends_us)}
    if counts != {instance.size}:
        return [f"the schedule has {sorted(counts)} tasks, the instance {instance.size}"]
    rules = (_places, _times, _units_overlap, _inputs, _live, _transfers, _sent_once, _lanes_overlap)
    return [line for rule in rules for line in rule(instance, schedule)]


def _places(instance: Instance, schedule: Schedule) -> Iterator[str]:
    for task, unit in enumerate(schedule.units):
        if not 0 <= unit < instance.units or not instance.durations[task][unit]:
            yield f"task {task} may not run on unit {unit}"
        if task in instance.gangs and unit != instance.gangs[task][0]:
            yield f"gang {task} runs on unit {unit}, its first is {instance.gangs[task][0]}"
        leader = instance.stays[task]
        if leader != ANY and unit != schedule.units[leader]:
            yield f"task {task} is on unit {unit}, away from task {leader} on unit {schedule.units[leader]}"


def _times(instance: Instance, schedule: Schedule) -> Iterator[str]:
    for task, unit in enumerate(schedule.units):
        start, end = schedule.starts_us[task], schedule.ends_us[task]
        if start < max(0, instance.release_us.get(task, 0)):
            yield f"task {task} starts at {start}, before its release"
        least = instance.durations[task][unit] if 0 <= unit < instance.units else 0
        if least and (end - start < least or (end - start > least and not instance.live.get(task))):
            yield f"task {task} lasts {end - start} on unit {unit}, not {least}"


def _units_overlap(instance: Instance, schedule: Schedule) -> Iterator[str]:
    held = [instance.gangs.get(task, (unit,)) for task, unit in enumerate(schedule.units)]
    for one, other in combinations(range(instance.size), 2):
        both = set(held[one]) & set(held[other])
        if both and _meet(schedule, one, other):
            yield f"tasks {one} and {other} overlap on unit {min(both)}"


def _meet(schedule: Schedule, one: int, other: int) -> bool:
    return schedule.starts_us[one] < schedule.ends_us[other] and schedule.starts_us[other] < schedule.ends_us[one]


def _inputs(instance: Instance, schedule: Schedule) -> Iterator[str]:
    for task, reads in enumerate(instance.inputs):
        for maker, payload in reads:
            local = payload == ORDER or instance.wires is None or schedule.units[maker] == schedule.units[task]
            at = schedule.ends_us[maker] if local else _arrival(instance, schedule, payload, schedule.units[task])
            if at is None:
                yield f"task {task} reads payload {payload}, which never comes to unit {schedule.units[task]}"
            elif schedule.starts_us[task] < at:
                yield f"task {task} starts at {schedule.starts_us[task]}, before input {payload} of {maker} at {at}"


def _live(instance: Instance, schedule: Schedule) -> Iterator[str]:
    for task, lives in instance.live.items():
        for live in lives:
            starts, ends = _live_limits(instance, schedule, task, live)
            if schedule.starts_us[task] < starts:
                yield f"task {task} starts at {schedule.starts_us[task]}, live input {live.payload} lets it at {starts}"
            if schedule.ends_us[task] < ends:
                yield f"task {task} ends at {schedule.ends_us[task]}, live input {live.payload} lets it at {ends}"


def _live_limits(instance: Instance, schedule: Schedule, task: int, live: Live) -> tuple[int, int]:
    """The earliest start and end of a task that a live input allows."""
    start, end = schedule.starts_us[live.source], schedule.ends_us[live.source]
    source, target = schedule.units[live.source], schedule.units[task]
    if source == target:
        return end, end
    if instance.wires is None:
        return start + live.first_us, end + live.last_us
    whole = _whole(schedule, live.payload, live.source, target)
    if whole:
        return whole[0].end_us, end + live.last_us
    _, first, last = instance.stream(instance.wires[source, target], live.payload, start, end, live.first_us)
    return first, last + live.last_us


def _transfers(instance: Instance, schedule: Schedule) -> Iterator[str]:
    if instance.wires is None:
        if schedule.transfers:
            yield "there are transfers, but no wires"
        return
    makers = _makers(instance)
    for transfer in schedule.transfers:
        name = f"transfer of payload {transfer.payload} to unit {transfer.target}"
        maker, wire = makers.get(transfer.payload), instance.wires.get((transfer.source, transfer.target))
        if maker is None or wire is None:
            yield f"{name}: no task makes it, or there is no wire from unit {transfer.source}"
        elif transfer.source != schedule.units[maker]:
            yield f"{name}: it leaves from unit {transfer.source}, its maker ran on {schedule.units[maker]}"
        elif not _is_stream(instance, schedule, transfer):
            if transfer.start_us < schedule.ends_us[maker]:
                yield f"{name}: it leaves at {transfer.start_us}, before its maker ended"
            needed = wire.transfer_us(instance.payload_bytes[transfer.payload])
            if transfer.end_us - transfer.start_us != needed:
                yield f"{name}: it takes {transfer.end_us - transfer.start_us}, not {needed}"


def _sent_once(_instance: Instance, schedule: Schedule) -> Iterator[str]:
    seen = set()
    for transfer in schedule.transfers:
        if (transfer.payload, transfer.target) in seen:
            yield f"payload {transfer.payload} goes to unit {transfer.target} more than once"
        seen.add((transfer.payload, transfer.target))


def _lanes_overlap(instance: Instance, schedule: Schedule) -> Iterator[str]:
    wires = instance.wires or {}
    booked = [
        (transfer, set(wires[transfer.source, transfer.target].lanes))
        for transfer in schedule.transfers
        if (transfer.source, transfer.target) in wires and not _is_stream(instance, schedule, transfer)
    ]
    for (one, lanes), (other, others) in combinations(booked, 2):
        if lanes & others and one.start_us < other.end_us and other.start_us < one.end_us:
            yield f"transfers of payloads {one.payload} and {other.payload} overlap on lane {min(lanes & others)}"


def _makers(instance: Instance) -> dict[int, int]:
    made = {payload: maker for reads in instance.inputs for maker, payload in reads}
    return made | {live.payload: live.source for lives in instance.live.values() for live in lives}


def _whole(schedule: Schedule, payload: int, maker: int, target: int) -> list[Transfer]:
    """The transfer of a payload to a unit after its task has ended, if there is one."""
    found = [t for t in schedule.transfers if (t.payload, t.target) == (payload, target)]
    return [t for t in found if t.start_us >= schedule.ends_us[maker]]


def _streams(instance: Instance, schedule: Schedule, payload: int, target: int) -> list[tuple[int, int]]:
    """When the payload's streams to live readers on a unit leave and are there: one, or none."""
    ways = set()
    for task, lives in instance.live.items():
        for live in lives:
            source = schedule.units[live.source]
            if live.payload != payload or schedule.units[task] != target or source == target or not instance.wires:
                continue
            start, end = schedule.starts_us[live.source], schedule.ends_us[live.source]
            leaves, _, last = instance.stream(instance.wires[source, target], payload, start, end, live.first_us)
            if not _whole(schedule, payload, live.source, target):
                ways.add((leaves, last))
    return sorted(ways)


def _is_stream(instance: Instance, schedule: Schedule, transfer: Transfer) -> bool:
    ways = _streams(instance, schedule, transfer.payload, transfer.target)
    return (transfer.start_us, transfer.end_us) in ways


def _arrival(instance: Instance, schedule: Schedule, payload: int, target: int) -> int | None:
    """When all of a payload is on a unit that did not make it."""
    at = [t.end_us for t in schedule.transfers if (t.payload, t.target) == (payload, target)]
    at += [last for _, last in _streams(instance, schedule, payload, target)]
    return min(at, default=None)
