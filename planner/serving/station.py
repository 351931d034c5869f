"""`Station`: what one group of devices gives to the sessions it serves, read off the rows of a plan of that group."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import Field, PositiveInt

from planner.action import Action, Kind, TimedAction
from planner.cluster import Cluster
from planner.cost import Costs
from planner.errors import InfeasibleError
from planner.memory import peak_bytes
from planner.patterns import Pattern
from planner.placement import Placement
from planner.problem import Problem
from planner.rows import begun_us, finished_us
from planner.search import plan
from planner.serving.choose import Chosen, choose
from planner.value import Value


class Memory(Value):
    """Of the rank with the least room: what all sessions share, what each needs for itself, and what there is."""

    weights_bytes: int = Field(ge=0, description="weights and the working memory of one action")
    session_bytes: PositiveInt = Field(description="K/V, latents and decoder state of one session at their peak")
    device_bytes: PositiveInt
    device: str

    @property
    def sessions(self) -> int:
        return max(0, (self.device_bytes - self.weights_bytes) // self.session_bytes)

    def sum_of(self, sessions: int) -> str:
        """The sum for so many sessions, in a line."""
        times = "" if sessions == 1 else f"{sessions} x "
        need = self.weights_bytes + sessions * self.session_bytes
        sign = ">" if need > self.device_bytes else "<="
        return (
            f"weights {self.weights_bytes / 1e9:.1f} GB + K/V {times}{self.session_bytes / 1e9:.1f} GB {sign} "
            f"{self.device_bytes / 1e9:g} GB of {self.device}"
        )


class Station(Value):
    """A group of devices that makes blocks one after another, of one session or of several in turn.

    Block b of a session takes `slots_us[b]` of the group's time, from the last entry on `period_us`, and is finished
    `tail_us` after its slot. So one session that is never held back finishes its blocks exactly when the plan does.
    Its first pass begins `lead_us` before its slot, so a prompt must be there by then. `recache_us` is added to the
    slot after a prompt switch, if the demand re-caches and the pattern is sequential; cascades never do.
    `joint`: all blocks in flight of a session share a tick, so sessions in turn take whole ticks in turn, and `tail_us`
    and `lead_us` count once for each of them.
    """

    devices: PositiveInt
    pattern: str
    placement: str
    period_us: PositiveInt
    slots_us: tuple[int, ...] = Field(min_length=1)
    tail_us: int = Field(ge=0)
    lead_us: int = Field(ge=0, default=0)
    recache_us: int = Field(ge=0, default=0)
    joint: bool = False
    memory: Memory
    busy: tuple[float, ...] = Field(description="share of each device's time in compute while all slots are taken")
    price_per_hour: float = Field(ge=0, default=0.0)

    @property
    def first_frame_us(self) -> int:
        """Time to first frame of a session alone."""
        return self.slots_us[0] + self.tail_us

    def slot_us(self, block: int) -> int:
        return self.slots_us[block] if block < len(self.slots_us) else self.period_us

    @classmethod
    def of(cls, problem: Problem, chosen: Chosen) -> Self:
        """The station of rows that have a rhythm."""
        found, rows = chosen.found, chosen.found.rows
        costs, spec = found.case.costs, problem.model
        period = -(-chosen.kernel_us // chosen.kernel_blocks)
        ends = finished_us(rows, spec.steps - 1)
        ends = ends[: chosen.settled + chosen.kernel_blocks]
        first = min(ends[0], period)
        slots = (first, *(after - before for before, after in pairwise(ends)))
        tail = ends[0] - first
        begun = begun_us(rows)
        latency = max(end - begin for begin, end in zip(begun[chosen.settled :], ends[chosen.settled :], strict=False))
        cluster = problem.cluster
        return cls(
            devices=cluster.size,
            pattern=str(found.case.pattern),
            placement=str(found.case.placement),
            period_us=period,
            slots_us=slots,
            tail_us=tail,
            lead_us=max(0, latency - period - tail),
            recache_us=_recache_us(costs, found.case.pattern),
            joint=found.case.pattern.is_joint,
            memory=_memory(costs, rows),
            busy=tuple(_busy(program, ends[chosen.settled], chosen.kernel_us) for program in rows),
            price_per_hour=sum(device.price_per_hour for device in cluster.devices),
        )


def station(
    problem: Problem, pattern: Pattern | None = None, placement: Placement | None = None, *, exact: bool = False
) -> Station:
    """The station that the problem's whole cluster makes as one group, of the least period found quickly.

    `exact`: `planner.search.plan` chooses pattern and placement, which takes seconds. Raises InfeasibleError naming
    what binds, with the numbers, if the group cannot hold one session.
    """
    if exact:
        best = plan(problem, pattern=pattern, placement=placement, objective="period")
        pattern, placement = best.pattern, Placement.parse(best.placement)
    made = Station.of(problem, choose(problem, pattern, placement))
    if not made.memory.sessions:
        raise InfeasibleError(f"memory: {made.memory.sum_of(1)}")
    return made


def idling(station: Station, cluster: Cluster) -> Station:
    """The station as part of a larger group, whose other devices are paid for and do nothing."""
    idle = cluster.size - station.devices
    return station.model_copy(
        update={
            "devices": cluster.size,
            "placement": f"{station.placement}@{station.devices}",
            "busy": (*station.busy, *(0.0,) * idle),
            "price_per_hour": sum(device.price_per_hour for device in cluster.devices),
        }
    )


def _recache_us(costs: Costs, pattern: Pattern) -> int:
    """How long a settled block's context takes to be made anew; 0 where no pass would read it."""
    if pattern.name != "sequential":
        return 0
    block = costs.spec.window_blocks
    return costs.compute_us(Action(Kind.RECACHE, block), costs.flow.layout.units[0][0])


def _memory(costs: Costs, rows: tuple[tuple[TimedAction, ...], ...]) -> Memory:
    """The memory of the rank on which the fewest sessions fit."""
    found = []
    state = costs.passes.decoder.state_bytes
    for program, device in zip(rows, costs.problem.cluster.devices, strict=True):
        actions = [row.action for row in program]
        if not actions:
            continue
        resident = costs.resident_bytes(actions)
        # A decoder's state is a session's own, though it is reckoned among what the rank needs anyway.
        own = state * len({action.kind for action in actions} & {Kind.DECODE, Kind.ENCODE})
        need = peak_bytes(actions, costs) - resident + own
        found.append(
            Memory(
                weights_bytes=resident - own,
                session_bytes=max(1, need),
                device_bytes=device.memory_bytes,
                device=device.kind,
            )
        )
    return min(found, key=lambda memory: (memory.sessions, memory.device_bytes - memory.weights_bytes))


def _busy(program: tuple[TimedAction, ...], begin_us: int, kernel_us: int) -> float:
    """Share of one kernel that a rank spends in compute."""
    end = begin_us + kernel_us
    spent = sum(max(0, min(row.end_us, end) - max(row.start_us, begin_us)) for row in program if row.action.is_compute)
    return spent / kernel_us
