"""The endless stream behind a clip: what one block of it takes, and how often a block can be finished at best."""

from __future__ import annotations

from collections import defaultdict

from planner.action import Action, Kind
from planner.expand import Tasks
from planner.flow import Flow
from planner.instance import ANY, Instance, Schedule
from planner.schedulers.periodic import kernel_of, rotate
from planner.streams.fold import fold
from planner.streams.kernel import Slot
from planner.streams.loop import Loop

Key = tuple[Kind, int | None]


def settled_blocks(flow: Flow) -> int:
    """From this block on all blocks of an endless stream are alike, and so is all that they read."""
    return _reach(flow) + flow.spec.window // flow.spec.frames_per_block + 1


def loop_of(tasks: Tasks, flow: Flow) -> Loop:
    """One block of the stream that a clip would become. The clip has to be three blocks longer than `settled_blocks`.

    Durations are those on the fastest unit, so a bound of the loop's period holds for every schedule.
    """
    places = [_place(action, flow) for action in tasks.actions]
    block = settled_blocks(flow)
    names = [_name(action, flow) for action, (owner, _) in zip(tasks.actions, places, strict=True) if owner == block]
    return fold(_alike(tasks.instance, places, _reach(flow), block), block, names)


def cyclic(tasks: Tasks, flow: Flow, loop: Loop) -> tuple[Schedule, str]:
    """The schedule that follows the best cyclic order of a loop from the clip's beginning, and that order's name.

    All units have to be alike. Transfers are left out: lowering adds them.
    """
    places = [_place(action, flow) for action in tasks.actions]
    number = {key: at for at, key in enumerate(key for block, key in places if block == settled_blocks(flow))}
    found = rotate(loop, len(flow.layout.units))
    kernel = kernel_of(loop, found.order, found.blocks)
    slots = {(slot.task, slot.block): slot for slot in kernel.slots}
    units, starts, ends = [], [], []
    for task, (block, key) in enumerate(places):
        # What no settled block has, such as a prompt's encoding, comes first.
        slot = slots.get((number.get(key, ANY), block % kernel.blocks), Slot(ANY, 0, 0, 0, 0))
        start = slot.start_us + block // kernel.blocks * kernel.period_us
        units.append(slot.unit)
        starts.append(start)
        ends.append(start + tasks.instance.durations[task][slot.unit])
    return Schedule(units, starts, ends, []), f"cyclic order, {found.name}"


def _reach(flow: Flow) -> int:
    """How many blocks back a settled block can still feel the clip's beginning."""
    rounds = flow.layout.denoising if flow.placement.passes == "ring" else 1
    return flow.spec.window // flow.spec.frames_per_block + rounds * flow.spec.passes


def _place(action: Action, flow: Flow) -> tuple[int, Key]:
    """(block, which of its tasks): a tick belongs to the block that begins in it, a wave to the one that enters."""
    if action.kind in (Kind.TICK, Kind.BATCH):
        block, within = divmod(action.block, flow.pattern.offset)
        return block, (action.kind, within * (len(flow.layout.units) + 1) + (action.step or 0))
    return action.block, (action.kind, action.step)


def _alike(instance: Instance, places: list[tuple[int, Key]], reach: int, middle: int) -> Instance:
    """The instance with what tells settled blocks apart taken away, all of which only makes it easier.

    A block that is tied to a unit by its number could be on any block's unit; what a block reads of the clip's very
    beginning, its window's sink or the prompt, has long been there.
    """
    homes: dict[Key, dict[int, int]] = defaultdict(dict)
    for task, (_, key) in enumerate(places):
        homes[key].update({unit: us for unit, us in enumerate(instance.durations[task]) if us})
    settled = [key for block, key in places if block == middle]
    rows = {key: tuple(homes[key].get(unit, 0) for unit in range(instance.units)) for key in settled}
    durations = [
        rows[key] if key in rows and task not in instance.gangs and _is_tied(instance, task) else own
        for task, ((_, key), own) in enumerate(zip(places, instance.durations, strict=True))
    ]
    inputs = [
        tuple(item for item in read if places[task][0] - places[item[0]][0] <= reach)
        for task, read in enumerate(instance.inputs)
    ]
    return instance._replace(durations=durations, inputs=inputs, blocks=[block for block, _ in places])


def _is_tied(instance: Instance, task: int) -> bool:
    return sum(us > 0 for us in instance.durations[task]) == 1


def _name(action: Action, flow: Flow) -> str:
    """The task's name in every block: `s2`, `c`, `decode`, `tick+1`."""
    if action.kind in (Kind.TICK, Kind.BATCH):
        share = "" if action.step is None else f".{action.step}"
        return f"{action.kind}+{action.block % flow.pattern.offset}{share}"
    if action.kind is Kind.DENOISE:
        return f"s{action.step}"
    if action.kind is Kind.COMMIT:
        return "c"
    return str(action.kind) + ("" if action.step is None else f".{action.step}")
