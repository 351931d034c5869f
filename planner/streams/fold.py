"""From a clip to the endless stream that it is a piece of."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

from planner.errors import InputError
from planner.instance import ANY, ORDER, Instance, Wire
from planner.streams.loop import Limit, Loop, Precedence, Resource

MOST_POOLS = 64  # sets of units whose work is bounded; leaving some out only weakens a bound


class _Block(NamedTuple):
    """A block's tasks, and the place of each task of the clip within its own block."""

    tasks: list[int]
    place: list[int]


def fold(instance: Instance, block: int, names: Sequence[str] | None = None) -> Loop:
    """The stream in which every block is like `block`; tasks in the order of the instance, called `names` or t0, t1...

    A task takes as long as on its fastest unit. Transfers that no placement avoids are in the lags, and if both ends
    are tied to one unit each, on their lanes too. Raises InputError if the next block is not alike: there the stream
    is not steady yet.
    """
    here, after = _block(instance, block), _block(instance, block + 1)
    edges = _edges(instance, here)
    alike = _runs(instance, here) == _runs(instance, after) and edges == _edges(instance, after)
    if not here.tasks or not alike:
        raise InputError(f"block: {block} and {block + 1} differ, the stream is not steady there; take a later block")
    labels = tuple(names or (f"t{i}" for i in range(len(here.tasks))))
    if len(labels) != len(here.tasks):
        raise InputError(f"names: {len(labels)} for the {len(here.tasks)} tasks of a block")
    stays = _stays(instance, here)
    decodes = frozenset(task for group in stays for task in group)
    return Loop(
        tasks=labels,
        durations_us=tuple(_least_us(instance, task) for task in here.tasks),
        edges=tuple(edges),
        resources=(*_pools(instance, here, decodes), *_lanes(instance, here)),
        stays=stays,
        late=_late(instance, here),
    )


def _block(instance: Instance, block: int) -> _Block:
    place: list[int] = []
    counts: dict[int, int] = {}
    for owner in instance.blocks:
        place.append(counts.get(owner, 0))
        counts[owner] = place[-1] + 1
    return _Block([task for task, owner in enumerate(instance.blocks) if owner == block], place)


def _runs(instance: Instance, block: _Block) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """How long each task takes on each unit, and the units it takes at once."""
    return [(instance.durations[task], instance.gangs.get(task, ())) for task in block.tasks]


def _units(instance: Instance, task: int) -> frozenset[int]:
    """Units that a task's data may be on: of a gang the first."""
    if task in instance.gangs:
        return frozenset(instance.gangs[task][:1])
    return frozenset(unit for unit, us in enumerate(instance.durations[task]) if us)


def _least_us(instance: Instance, task: int) -> int:
    if task in instance.gangs:
        return instance.durations[task][instance.gangs[task][0]]
    return min(us for us in instance.durations[task] if us)


def _late(instance: Instance, block: _Block) -> tuple[int, ...]:
    return tuple(block.place[task] for task in block.tasks if instance.live.get(task))


def _edges(instance: Instance, block: _Block) -> list[Precedence]:
    """What a block's tasks wait for, one edge for each (source, target, distance): the strictest."""
    size, late = len(block.tasks), _late(instance, block)
    end = {place: size + i for i, place in enumerate(late)}
    strictest: dict[tuple[int, int, int], Precedence] = {}

    def add(task: int, other: int, source: int, target: int, lag_us: int, extra_us: int) -> None:
        distance = instance.blocks[task] - instance.blocks[other]
        key = source, target, distance
        old = strictest.get(key, Precedence(source, target, lag_us, distance, extra_us))
        least, most = max(old.lag_us, lag_us), max(old.lag_us + old.transfer_us, lag_us + extra_us)
        strictest[key] = Precedence(source, target, least, distance, most - least)

    for task in block.tasks:
        target = block.place[task]
        for other, payload in instance.inputs[task]:
            place = block.place[other]
            least, most = _transfer_us(instance, other, task, payload)
            if place in end:
                add(task, other, end[place], target, least, most - least)
            else:
                add(task, other, place, target, _least_us(instance, other) + least, most - least)
        for live in instance.live.get(task, ()):
            place = block.place[live.source]
            add(task, live.source, place, target, live.first_us, 0)
            wait = live.last_us + (0 if place in end else _least_us(instance, live.source))
            add(task, live.source, end.get(place, place), end[target], wait, 0)
    return sorted(strictest.values())


def _transfer_us(instance: Instance, source: int, target: int, payload: int) -> tuple[int, int]:
    """Least and most time that a payload is under way; the least is 0 if both tasks may run on the same unit."""
    if payload == ORDER or instance.wires is None:
        return 0, 0
    size = instance.payload_bytes[payload]
    makers, readers = _units(instance, source), _units(instance, target)
    times = [
        wire.transfer_us(size) for (a, b), wire in instance.wires.items() if a in makers and b in readers and a != b
    ]
    if not times:
        return 0, 0
    return 0 if makers & readers else min(times), max(times)


def _stays(instance: Instance, block: _Block) -> tuple[tuple[int, ...], ...]:
    """Groups of tasks that one unit has to run in every block."""
    group = {block.place[task]: block.place[task] for task in block.tasks}
    tied: set[int] = set()
    for task in block.tasks:
        other = instance.stays[task]
        if other == ANY:
            continue
        one, two = group[block.place[task]], group[block.place[other]]
        group = {place: min(one, two) if owner in (one, two) else owner for place, owner in group.items()}
        if instance.blocks[other] != instance.blocks[task]:
            tied.add(block.place[task])
    roots = sorted({group[place] for place in tied})
    return tuple(tuple(place for place in sorted(group) if group[place] == root) for root in roots)


def _pools(instance: Instance, block: _Block, decodes: frozenset[int]) -> list[Resource]:
    """For each set of units, the work that can run nowhere else."""
    units = {task: frozenset(instance.gangs.get(task, ())) or _units(instance, task) for task in block.tasks}
    sets = sorted(set(units.values()), key=lambda pool: (len(pool), sorted(pool)))
    for one, two in combinations(sets, 2):
        if one & two and one | two not in sets and len(sets) < MOST_POOLS:
            sets.append(one | two)
    pools = []
    for pool in sets:
        tasks = [task for task in block.tasks if units[task] <= pool]
        places = [block.place[task] for task in tasks]
        limit: Limit = "decoder" if decodes.issuperset(places) else "devices"
        taken = [_least_us(instance, task) * len(instance.gangs.get(task, (0,))) for task in tasks]
        work = tuple(zip(places, taken, strict=True))
        pools.append(Resource(_name(pool, instance.units), limit, work, _capacity(instance, tasks, pool)))
    return pools


def _name(pool: frozenset[int], units: int) -> str:
    if len(pool) == units and units > 1:
        return f"all {units} devices"
    return f"device{'s' if len(pool) > 1 else ''} {', '.join(map(str, sorted(pool)))}"


def _capacity(instance: Instance, tasks: list[int], pool: frozenset[int]) -> int | Fraction:
    """How many fastest units a set is worth at most: a slower one counts by the task that it is least slow at."""
    total = Fraction(0)
    for unit in pool:
        rates = [
            Fraction(1 if task in instance.gangs else _least_us(instance, task), us)
            for task in tasks
            if (us := 1 if task in instance.gangs else instance.durations[task][unit])
        ]
        total += max(rates, default=Fraction(0))
    return int(total) if total == int(total) else total


def _lanes(instance: Instance, block: _Block) -> list[Resource]:
    """Lanes, with the transfers that have to take them as both ends can run on one unit only."""
    own = set(block.tasks)
    sent: dict[tuple[int, int], tuple[int, Wire]] = {}  # a payload goes to a unit once, however many read it there
    for task, inputs in enumerate(instance.inputs):
        for other, payload in inputs:
            if other in own and payload != ORDER and instance.wires:
                makers, readers = _units(instance, other), _units(instance, task)
                way = min(makers), min(readers)
                if len(makers) == len(readers) == 1 and makers != readers and way in instance.wires:
                    sent[payload, way[1]] = block.place[other], instance.wires[way]
    lanes: dict[int, list[tuple[int, int]]] = {}
    for (payload, _), (place, wire) in sorted(sent.items()):
        for lane in wire.lanes:
            lanes.setdefault(lane, []).append((place, wire.transfer_us(instance.payload_bytes[payload])))
    return [Resource(f"lane {lane}", "link", tuple(work), 1) for lane, work in sorted(lanes.items())]
