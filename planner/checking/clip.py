"""What a plan's problem, pattern and placement ask for, told anew from their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal, NamedTuple

from planner.action import Action, Kind, Pass, Payload
from planner.cost import costs
from planner.errors import InputError
from planner.flow import Flow
from planner.placement import Placement, layout, require_fit
from planner.plan import Plan
from planner.problem import Problem

Way = Literal["passes", "ticks", "batches", "slices"]


class Read(NamedTuple):
    """What an action reads. `beside`: of a pass of the same tick, so it may come layer by layer while both run."""

    payload: Payload
    beside: bool = False


class Clip:
    """The clip's actions, what each reads and leaves, and the units that may run it.

    Raises InputError if pattern, placement, cluster and workload do not go together.
    """

    def __init__(self, plan: Plan, problem: Problem) -> None:
        self.spec, self.pattern, self.workload = problem.model, plan.pattern, problem.workload
        self.blocks = problem.workload.blocks
        self.devices, self.node_of = problem.cluster.devices, problem.cluster.node_of
        self.placement = Placement.parse(plan.placement)
        require_fit(self.placement, plan.pattern, problem.model)
        self.layout = layout(self.placement, problem.cluster)
        self.switch_ticks = plan.switch_ticks[: len(problem.workload.switches)]
        self.costs = costs(problem, Flow(problem, plan.pattern, self.placement, self.switch_ticks))
        self.parts = self.placement.parts if self.workload.decode else 1
        self.recomputes = plan.pattern.name == "sequential-recompute"
        if self.recomputes and not self.workload.decode:
            raise InputError(f"pattern: {plan.pattern} reads decoded pixels, and the clip is not decoded")
        self.more_steps = self.spec.block_steps(0) - self.spec.steps
        self._reads: dict[Action, list[Read]] = {}
        self.unit_of = {rank: unit for unit, ranks in enumerate(self.layout.units) for rank in ranks}

    @cached_property
    def way(self) -> Way:
        """How passes become actions."""
        if self.pattern.is_joint:
            return "ticks"
        named: dict[str, Way] = {"ring": "slices", "batched": "batches"}
        return named.get(self.placement.passes, "passes")

    # -- passes ----------------------------------------------------------------------------------

    def stages(self, block: int) -> int:
        """How many passes a block has: nothing reads the last block's clean pass, so it has none."""
        clean = self.spec.clean_pass and not self.recomputes and block < self.blocks - 1
        return self.spec.block_steps(block) + int(clean)

    def named(self, block: int, stage: int) -> Pass:
        """A stage as actions name it."""
        return block, stage if stage < self.spec.block_steps(block) else None

    def stage(self, item: Pass) -> int:
        """The inverse of `named`."""
        block, step = item
        return self.spec.block_steps(block) if step is None else step

    def tick(self, item: Pass) -> int:
        """When a pass would run if all took equally long; a first block of more steps begins that much earlier."""
        shift = max(0, -self.more_steps) if item[0] == 0 else max(0, self.more_steps)
        return item[0] * self.pattern.offset + self.stage(item) + shift

    def level(self, item: Pass) -> int:
        """The noise level of a pass: a block's last passes are the levels that all blocks share."""
        return max(0, self.stage(item) - (self.more_steps if item[0] == 0 else 0))

    def kv(self, block: int, level: int) -> Payload:
        """A block's K/V at a noise level."""
        return Payload("kv", *self.named(block, max(0, level + (self.more_steps if block == 0 else 0))))

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """All passes of the clip, oldest block first."""
        return tuple(self.named(block, stage) for block in range(self.blocks) for stage in range(self.stages(block)))

    @cached_property
    def by_tick(self) -> dict[int, tuple[Pass, ...]]:
        """The passes of each tick, from the clip's first to its last."""
        found: dict[int, list[Pass]] = {}
        for item in self.passes:
            found.setdefault(self.tick(item), []).append(item)
        return {tick: tuple(found.get(tick, ())) for tick in range(max(found) + 1)}

    @cached_property
    def by_wave(self) -> dict[int, tuple[Pass, ...]]:
        """The passes of each trip round a ring: a block enters a wave after its predecessor."""
        found: dict[int, list[Pass]] = {}
        for item in self.passes:
            found.setdefault(item[0] + self.stage(item) * self.layout.denoising, []).append(item)
        return {wave: tuple(items) for wave, items in found.items()}

    # -- prompts ---------------------------------------------------------------------------------

    def prompt(self, item: Pass) -> int:
        """The prompt that a pass reads."""
        return sum(tick <= self.tick(item) for tick in self.switch_ticks)

    def prompts(self, action: Action) -> set[int]:
        """The prompts that an action reads."""
        if action.kind is Kind.RECACHE:
            return {self.prompt((action.block, 0))}
        return {self.prompt(item) for item in action.passes}

    @cached_property
    def prompts_read(self) -> int:
        """How many prompts passes read: a switch after the last pass changes nothing."""
        # The last block may end a tick before the last but one, which has a clean pass.
        ends = (self.named(block, self.stages(block) - 1) for block in range(self.blocks)[-2:])
        return 1 + max(self.prompt(item) for item in ends)

    def release_us(self, action: Action) -> int:
        """Before when an action may not start, as its prompt is not there."""
        latest = max((action.block,) if action.kind is Kind.TEXT else self.prompts(action), default=0)
        return self.workload.switches[latest - 1].at_us if latest else 0

    @cached_property
    def remade(self) -> tuple[int, ...]:
        """The blocks before which a sequential clip makes its context anew, as a prompt is new."""
        if self.pattern.name != "sequential":
            return ()
        asked = zip(self.switch_ticks, self.workload.switches, strict=False)
        ticks = [tick for tick, switch in asked if switch.recache]
        firsts = (next((b for b in range(self.blocks) if self.tick((b, 0)) >= tick), 0) for tick in ticks)
        return tuple(sorted({first for first in firsts if first}))

    # -- the clip's actions ----------------------------------------------------------------------

    @cached_property
    def wanted(self) -> frozenset[Action]:
        """Every compute action of the clip; a tick without passes, and no batch, as their shares are the plan's."""
        found: list[Action] = []
        if self.way == "passes":
            found += [self._alone(item) for item in self.passes]
        elif self.way == "slices":
            ring = range(self.layout.denoising)
            found += [Action(Kind.SLICE, w, unit, batch=items) for w, items in self.by_wave.items() for unit in ring]
        elif self.way == "ticks":
            found += [Action(Kind.TICK, tick) for tick in self.by_tick]
        for block in range(self.blocks):
            found += self._around(block)
        if self.workload.encode_text:
            found += [Action(Kind.TEXT, prompt) for prompt in range(self.prompts_read)]
        return frozenset(found)

    def _alone(self, item: Pass) -> Action:
        return Action(Kind.COMMIT if item[1] is None else Kind.DENOISE, *item)

    def _around(self, block: int) -> Iterator[Action]:
        """What a block needs besides its passes."""
        if self.workload.decode:
            yield from (Action(Kind.DECODE, block, part if self.parts > 1 else None) for part in range(self.parts))
        if self.recomputes and self.workload.decode and block < self.blocks - 1:
            yield Action(Kind.ENCODE, block)
        if (self.recomputes and block) or block in self.remade:
            yield Action(Kind.RECACHE, block)

    def has(self, action: Action) -> bool:
        """Whether a compute action is one of the clip's."""
        if action.kind is Kind.BATCH and self.way == "batches":
            return bool(action.batch) and action.step in range(self.layout.denoising) and self._in_tick(action)
        return action.gang in self.wanted and (action.kind is not Kind.TICK or self._in_tick(action))

    def _in_tick(self, action: Action) -> bool:
        """Whether the passes are some of the tick's, oldest first."""
        there = iter(self.by_tick.get(action.block, ()))
        return all(item in there for item in action.batch)

    # -- what actions read and leave -------------------------------------------------------------

    def reads(self, action: Action) -> list[Read]:
        """What has to be on the rank when a compute action starts: latents first, then K/V, oldest block first."""
        if action not in self._reads:
            self._reads[action] = self._read_by(action)
        return self._reads[action]

    def _read_by(self, action: Action) -> list[Read]:
        kind, block = action.kind, action.block
        found = [Read(payload) for payload in self._side_reads(action)]
        if kind is Kind.SLICE and action.step:
            found.append(Read(Payload("hidden", block, action.step - 1)))
        for item in action.passes:
            if self.stage(item) and not (kind is Kind.SLICE and action.step):
                found.append(Read(Payload("latents", item[0], self.stage(item) - 1)))
            # Within a tick all blocks read one another, which is no matter of payloads.
            found += [read for read in self._context(item) if not (kind is Kind.TICK and read.beside)]
        if self.workload.encode_text:
            found += [Read(Payload("text", prompt)) for prompt in sorted(self.prompts(action))]
        return found

    def _side_reads(self, action: Action) -> list[Payload]:
        """What actions read that run no passes."""
        block, kind = action.block, action.kind
        if kind is Kind.DECODE:
            return [Payload("features", block, action.step - 1) if action.step else self._clean_latents(block)]
        if kind is Kind.ENCODE:
            return [Payload("pixels", block)]
        if kind is Kind.RECACHE:
            earlier = self.spec.context_blocks(block)
            return [Payload("encoded", b) if self.recomputes else self._clean_latents(b) for b in earlier]
        return []

    def _clean_latents(self, block: int) -> Payload:
        return Payload("latents", block, self.spec.block_steps(block) - 1)

    def _context(self, item: Pass) -> list[Read]:
        """K/V of earlier blocks: `after` one pass less behind per block than `live`, never beyond the last level."""
        block, live, last = item[0], self.pattern.exchange == "live", self.spec.passes - 1
        if self.recomputes:
            return [Read(Payload("context", block))] if block else []
        anew = max((first for first in self.remade if first <= block), default=0)
        found: list[Read] = []
        for earlier in self.spec.context_blocks(block):
            at = self.level(item) + (block - earlier) * (self.pattern.offset if live else self.pattern.offset - 1)
            if earlier >= anew:
                found.append(Read(self.kv(earlier, min(at, last)), beside=live and at <= last))
            elif not found:
                found.append(Read(Payload("context", anew)))
        return found

    def leaves(self, action: Action) -> list[Payload]:
        """What a compute action leaves on its rank."""
        kind, block = action.kind, action.block
        if kind is Kind.DECODE:
            if action.step is not None and action.step < self.parts - 1:
                return [Payload("features", block, action.step)]
            return [Payload("pixels", block)] if self.recomputes and block < self.blocks - 1 else []
        if kind is Kind.ENCODE:
            return [Payload("encoded", block)]
        if kind in (Kind.RECACHE, Kind.TEXT):
            return [Payload("text" if kind is Kind.TEXT else "context", block)]
        if kind is Kind.SLICE and action.step != self.layout.denoising - 1:
            return [*(Payload("kv", *item) for item in action.batch), Payload("hidden", block, action.step)]
        # A tick leaves on every rank the clean K/V that came of it, whoever's share it was.
        kept = self._finished(block) if kind is Kind.TICK else () if self.recomputes else action.passes
        made = [Payload("kv", *item) for item in kept]
        return made + [Payload("latents", *item) for item in action.passes if item[1] is not None]

    def _finished(self, tick: int) -> list[Pass]:
        """The passes of a tick that make a block's cleanest K/V, which the last block has no use for."""
        earlier = [item for item in self.by_tick[tick] if item[0] < self.blocks - 1]
        return [item for item in earlier if self.stage(item) == self.stages(item[0]) - 1]

    def is_output(self, payload: Payload) -> bool:
        """Whether latents are the clip itself, to be kept where they were made."""
        return not self.workload.decode and payload == self._clean_latents(payload.block)

    # -- sizes -----------------------------------------------------------------------------------

    def knows(self, payload: Payload) -> bool:
        """Whether the cost model can tell a payload's size."""
        return payload.carries != "features" or (payload.step or 0) < self.parts

    def size(self, payload: Payload) -> int:
        """Bytes of a payload; of one that cannot be, none."""
        return self.costs.payload_bytes(payload) if self.knows(payload) else 0

    # -- gangs -----------------------------------------------------------------------------------

    def is_shared(self, action: Action) -> bool:
        """Whether all ranks of a unit run the action, rather than its first alone."""
        return action.kind not in (Kind.DECODE, Kind.ENCODE, Kind.TEXT)

    def mates(self, rank: int) -> tuple[int, ...]:
        """The ranks of a rank's unit; a rank that no unit has stands alone."""
        return self.layout.units[self.unit_of[rank]] if rank in self.unit_of else (rank,)
