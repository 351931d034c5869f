"""What a clip's actions read and leave under a pattern and a placement: the facts that everything else is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from models.spec import ModelSpec
from planner.action import Action, Kind, Pass, Payload
from planner.patterns import Pattern, newer_read, reads, runs_beside
from planner.placement import Placement, layout
from planner.problem import Problem


class Flow:
    """The work of one clip. `switch_ticks`: from which tick on each further prompt is read, one a switch."""

    def __init__(
        self, problem: Problem, pattern: Pattern, placement: Placement, switch_ticks: Sequence[int] = ()
    ) -> None:
        self.spec: ModelSpec = problem.model
        self.pattern = pattern
        self.placement = placement
        self.blocks = problem.workload.blocks
        self.decodes = problem.workload.decode
        self.parts = placement.parts if self.decodes else 1
        self.layout = layout(placement, problem.cluster)
        self.encodes_text = problem.workload.encode_text
        self.switch_ticks = tuple(switch_ticks)
        self._passes_at: dict[int, tuple[tuple[int, int], ...]] = {}
        self._units: dict[int, list[int]] = {}
        self._read: dict[tuple[int, int], int] = {}
        self._shares: dict[int, tuple[tuple[Pass, ...], ...]] = {}
        self.recomputes = pattern.name == "sequential-recompute"
        sequential = pattern.name == "sequential"
        self._switched_us = (0, *(switch.at_us for switch in problem.workload.switches))
        self._recaching = [
            tick
            for tick, switch in zip(switch_ticks, problem.workload.switches, strict=False)
            if switch.recache and sequential
        ]

    # -- passes and ticks ------------------------------------------------------------------------

    def stages(self, block: int) -> range:
        """The stages a block goes through: no clean pass where nothing would read it."""
        clean = self.spec.clean_pass and not self.recomputes and block < self.blocks - 1
        return range(self.spec.block_steps(block) + clean)

    def tick(self, block: int, stage: int) -> int:
        """When a pass runs if blocks run back to back, counted in passes from the clip's first."""
        # A first block of more steps begins so much earlier.
        return self.pattern.tick(block, stage) + (self.spec.block_steps(0) - self.spec.steps if block else 0)

    @property
    def tick_count(self) -> int:
        """How many ticks the clip takes if blocks run back to back."""
        ends = (self.tick(block, self.stages(block)[-1]) for block in range(max(0, self.blocks - 2), self.blocks))
        return 1 + max(ends)

    def passes_at(self, tick: int) -> tuple[tuple[int, int], ...]:
        """The (block, stage) pairs of a tick, oldest block first."""
        known = self._passes_at.get(tick)
        if known is None:
            offset, most = self.pattern.offset, self.spec.passes + self.spec.block_steps(0)
            near = range(max(1, (tick - most) // offset), min(self.blocks - 1, tick // offset) + 1)
            found = ((block, tick - self.tick(block, 0)) for block in (0, *near))
            known = tuple(item for item in found if item[1] in self.stages(item[0]))
            self._passes_at[tick] = known
        return known

    def as_pass(self, block: int, stage: int) -> Pass:
        """How actions name a stage: by its step, or None for the clean pass."""
        return block, stage if stage < self.spec.block_steps(block) else None

    def stage(self, item: Pass) -> int:
        """The inverse of `as_pass`."""
        block, step = item
        return self.spec.block_steps(block) if step is None else step

    def prompt(self, block: int, stage: int) -> int:
        """Which prompt a pass reads."""
        tick = self.tick(block, stage)
        return sum(tick >= switched for switched in self.switch_ticks)

    @property
    def prompts(self) -> range:
        """The prompts that passes read; a switch after the last of them comes too late."""
        last = self.tick_count - 1
        return range(1 + sum(last >= switched for switched in self.switch_ticks))

    def release_us(self, action: Action) -> int:
        """The time before which an action cannot begin, as its prompt is not there yet."""
        if len(self._switched_us) == 1:
            return 0
        if action.kind is Kind.TEXT:
            return self._switched_us[action.block]
        passes = ((block, self.stage((block, step))) for block, step in action.passes)
        prompts = [self.prompt(block, stage) for block, stage in passes]
        if action.kind is Kind.RECACHE:
            prompts.append(self.prompt(action.block, 0))
        return self._switched_us[max(prompts, default=0)]

    @cached_property
    def recached(self) -> tuple[int, ...]:
        """The blocks before which a sequential clip makes its context anew with a new prompt."""
        firsts = [next((b for b in range(self.blocks) if self.tick(b, 0) >= tick), 0) for tick in self._recaching]
        return tuple(sorted({block for block in firsts if block}))

    # -- batches ---------------------------------------------------------------------------------

    def shares(self, tick: int) -> tuple[tuple[Pass, ...], ...]:
        """The passes that each denoising unit runs of a tick, in batches balanced by what they read."""
        if tick not in self._shares:
            units: list[list[Pass]] = [[] for _ in range(self.layout.denoising)]
            for item, unit in zip(self.passes_at(tick), self._units_of(tick), strict=True):
                units[unit].append(self.as_pass(*item))
            self._shares[tick] = tuple(map(tuple, units))
        return self._shares[tick]

    def unit_of(self, block: int, stage: int) -> int:
        """The unit that runs a pass of a tick."""
        tick = self.tick(block, stage)
        return self._units_of(tick)[self.passes_at(tick).index((block, stage))]

    def _units_of(self, tick: int) -> list[int]:
        if tick not in self._units:
            self._units[tick] = self._assigned(tick)
        return self._units[tick]

    def _assigned(self, tick: int) -> list[int]:
        count, passes = self.layout.denoising, self.passes_at(tick)
        if self.placement.passes == "block":
            return [block % count for block, _ in passes]
        if self.placement.passes == "step":
            return [stage % count for _, stage in passes]
        # Longest first, to the unit with the least so far; among equals the block stays near where it was.
        load, chosen = [0] * count, [0] * len(passes)
        order = sorted(range(len(passes)), key=lambda at: (-self.blocks_read(*passes[at]), passes[at]))
        for at in order:
            unit = min(range(count), key=lambda u: (load[u], (u - passes[at][0]) % count))
            load[unit] += self.blocks_read(*passes[at]) + 1
            chosen[at] = unit
        return chosen

    def wave(self, number: int) -> tuple[Pass, ...]:
        """The passes of one trip round the ring: stage k of the block that entered k rounds before."""
        ring = self.layout.denoising
        found = ((number - stage * ring, stage) for stage in range(self.spec.passes))
        inside = [(b, s) for b, s in found if 0 <= b < self.blocks and s in self.stages(b)]
        return tuple(self.as_pass(*item) for item in sorted(inside))

    @property
    def waves(self) -> int:
        """Trips round the ring in a clip."""
        ring = self.layout.denoising
        return 1 + max(block + self.stages(block)[-1] * ring for block in range(max(0, self.blocks - 2), self.blocks))

    def blocks_read(self, block: int, stage: int) -> int:
        """How many other blocks' K/V a pass attends to."""
        known = self._read.get((block, stage))
        if known is None:
            level = self.level(*self.as_pass(block, stage))
            newer = sum(1 for _ in newer_read(self.pattern, block, level, self.blocks))
            known = self._read[block, stage] = len(self.spec.context_blocks(block)) + newer
        return known

    # -- what actions read and leave -------------------------------------------------------------

    def needs(self, action: Action) -> Iterator[Payload]:
        """What must be on the rank for a compute action to run: latents first, then K/V, oldest first."""
        if action.kind is Kind.DECODE:
            yield self._decoder_input(action)
        elif action.kind is Kind.ENCODE:
            yield Payload("pixels", action.block)
        elif action.kind is Kind.RECACHE:
            yield from self._recache_inputs(action.block)
        elif action.kind is Kind.SLICE and action.step:
            yield Payload("hidden", action.block, action.step - 1)
        for item in action.passes:
            # The last slice of a ring turns the flow into the next step's input, so it wants this one's.
            ends = action.kind is not Kind.SLICE or action.step in (0, self.layout.denoising - 1)
            yield from self._pass_inputs(item, with_latents=ends)
        if self.encodes_text:
            prompts = {self.prompt(block, self.stage((block, step))) for block, step in action.passes}
            if action.kind is Kind.RECACHE:
                prompts = {self.prompt(action.block, 0)}
            yield from (Payload("text", prompt) for prompt in sorted(prompts))

    def beside(self, action: Action) -> frozenset[Payload]:
        """Those of a pass's needs that are made in the same tick and read layer by layer."""
        if not self.pattern.is_live:
            return frozenset()
        return frozenset(
            self.kv(earlier, level)
            for block, step in action.passes
            for earlier, level in reads(self.pattern, self.spec, block, self.level(block, step))
            if self._beside(block, step, earlier)
        )

    def read_in_tick(self, item: Pass) -> Iterator[Pass]:
        """The passes of its own tick that a pass of a joint pattern attends to, besides itself."""
        block, step = item
        level = self.level(block, step)
        older = reads(self.pattern, self.spec, block, level)
        found = [(e, read) for e, read in older if runs_beside(self.pattern, self.spec, level, block - e)]
        for other, read in (*found, *newer_read(self.pattern, block, level, self.blocks)):
            yield self.as_pass(other, self.spec.stage_at(other, read))

    def makes(self, action: Action) -> tuple[Payload, ...]:
        """What a compute action leaves on its rank."""
        block, kind = action.block, action.kind
        if kind is Kind.DECODE:
            if action.step is not None and action.step < self.parts - 1:
                return (Payload("features", block, action.step),)
            return (Payload("pixels", block),) if self.recomputes and block < self.blocks - 1 else ()
        if kind in (Kind.ENCODE, Kind.RECACHE, Kind.TEXT):
            carries = {Kind.ENCODE: "encoded", Kind.RECACHE: "context", Kind.TEXT: "text"}[kind]
            return (Payload(carries, block),)  # type: ignore[arg-type]
        last = kind is not Kind.SLICE or action.step == self.layout.denoising - 1
        latents = [Payload("latents", b, s) for b, s in action.passes if s is not None and last]
        hidden = [] if last else [Payload("hidden", block, action.step)]
        if kind is Kind.TICK:
            # K/V of blocks in flight goes round inside the tick; clean K/V stays with all.
            return (*self.committed(block), *latents)
        keeps = not self.recomputes
        return (*(Payload("kv", b, s) for b, s in action.passes if keeps), *latents, *hidden)

    def level(self, block: int, step: int | None) -> int:
        """The noise level of a pass, counted as for blocks of the usual steps."""
        return max(0, self.stage((block, step)) + self.spec.steps - self.spec.block_steps(block))

    def made_anew(self, block: int) -> int:
        """The block whose `context` holds what a pass of `block` reads of blocks before it; 0 if none was made."""
        return block if self.recomputes else max((anew for anew in self.recached if anew <= block), default=0)

    def kv(self, block: int, level: int) -> Payload:
        """The K/V of a block at a noise level, named by the pass that makes it."""
        return Payload("kv", *self.as_pass(block, self.spec.stage_at(block, level)))

    def _decoder_input(self, action: Action) -> Payload:
        if action.step:
            return Payload("features", action.block, action.step - 1)
        return Payload("latents", action.block, self.spec.block_steps(action.block) - 1)

    def _recache_inputs(self, block: int) -> Iterator[Payload]:
        for earlier in self.spec.context_blocks(block):
            if self.recomputes:
                yield Payload("encoded", earlier)
            else:
                yield Payload("latents", earlier, self.spec.block_steps(earlier) - 1)

    def _pass_inputs(self, item: Pass, *, with_latents: bool) -> Iterator[Payload]:
        block, step = item
        stage = self.stage(item)
        if stage and with_latents:
            yield Payload("latents", block, stage - 1)
        if self.recomputes:
            if block:
                yield Payload("context", block)
            return
        anew, rest = self.made_anew(block), []
        for earlier, level in reads(self.pattern, self.spec, block, self.level(block, step)):
            if earlier < anew:
                rest = [Payload("context", anew)]
            elif not (self.pattern.is_joint and self._beside(block, step, earlier)):
                rest.append(self.kv(earlier, level))
        yield from rest

    def _beside(self, block: int, step: int | None, earlier: int) -> bool:
        return runs_beside(self.pattern, self.spec, self.level(block, step), block - earlier)

    def committed(self, tick: int) -> list[Payload]:
        """The K/V that outlives a gang's tick: of blocks that are clean by then, on all its ranks."""
        clean = self.spec.clean_pass
        done = [b for b, s in self.passes_at(tick) if s == self.spec.block_steps(b) - (not clean)]
        return [self.kv(block, self.spec.passes - 1) for block in done if block < self.blocks - 1]
