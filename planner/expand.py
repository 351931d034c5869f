"""A flow as an `Instance`: which tasks there are, where each may run, and what one hands to another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from planner.action import Action, Kind, Pass, Payload
from planner.cost import Costs
from planner.instance import ANY, ORDER, Instance, Live, Wire


class Tasks(NamedTuple):
    """An instance and what its numbers stand for.

    A gang's action is the one its shares have in common. `payloads` by payload number.
    """

    instance: Instance
    actions: list[Action]
    payloads: list[Payload]


def expand(costs: Costs, lookahead: int | None = None) -> Tasks:
    """The tasks of a flow, each after all it reads.

    With `lookahead`, a block begins only once all is done for the block so many before: without it, the passes of a
    stream run ever further ahead of a decoder that is slower than they are, and what nobody waits for is put off.
    """
    builder = _Builder(costs, lookahead)
    ways = {"ring": builder.ring, "batched": builder.batches}
    build = builder.ticks if costs.flow.pattern.is_joint else ways.get(costs.flow.placement.passes, builder.passes)
    builder.texts()
    build()
    return builder.tasks()


class _Builder:
    def __init__(self, costs: Costs, lookahead: int | None) -> None:
        self.costs, self.flow = costs, costs.flow
        self._lookahead = lookahead
        self._last: dict[int, list[int]] = defaultdict(list)  # what ends each block: its last pass, its decode
        self.units = costs.flow.layout.units
        self.denoising = range(costs.flow.layout.denoising)
        self.actions: list[Action] = []
        self.payloads: list[Payload] = []
        self._durations: list[tuple[int, ...]] = []
        self._inputs: list[tuple[tuple[int, int], ...]] = []
        self._blocks: list[int] = []
        self._stays: list[int] = []
        self._maker: dict[Payload, int] = {}
        self._number: dict[Payload, int] = {}
        self._gangs: dict[int, tuple[int, ...]] = {}
        self._live: dict[int, tuple[Live, ...]] = {}
        self._release: dict[int, int] = {}
        self._decoded: dict[int, int] = {}  # the last block's task for each part of the decoder
        self._encoded: int | None = None  # the last block's
        self._rows: dict[object, tuple[int, ...]] = {}

    def tasks(self) -> Tasks:
        size = len(self.units)
        leaders = [ranks[0] for ranks in self.units]
        wires: dict[tuple[int, int], Wire] = {
            (u, v): self.costs.wire(leaders[u], leaders[v]) for u in range(size) for v in range(size) if u != v
        }
        instance = Instance(
            units=size,
            durations=self._durations,
            inputs=self._inputs,
            payload_bytes=[self.costs.sent_bytes(payload) for payload in self.payloads],
            blocks=self._blocks,
            stays=self._stays,
            wires=wires or None,
            gangs=self._gangs,
            live=self._live,
            release_us=self._release,
            layers=self.flow.spec.layers,
        )
        return Tasks(instance, self.actions, self.payloads)

    # -- ways to run passes ----------------------------------------------------------------------

    def texts(self) -> None:
        """Encoding each prompt that some pass reads, where that is part of the clip."""
        if self.flow.encodes_text:
            for prompt in self.flow.prompts:
                self._add(Action(Kind.TEXT, prompt), self.denoising)

    def passes(self) -> None:
        """One task a pass, block by block."""
        flow = self.flow
        for block in range(flow.blocks):
            if (flow.recomputes and block) or block in flow.recached:
                self._add(Action(Kind.RECACHE, block), self.denoising)
            for stage in flow.stages(block):
                step = flow.as_pass(block, stage)[1]
                kind = Kind.COMMIT if step is None else Kind.DENOISE
                self._add(Action(kind, block, step), self._where(block, stage))
            self._finish(block)

    def ticks(self) -> None:
        """One gang a tick."""
        before = ORDER
        for tick in range(self.flow.tick_count):
            before = self._gang(tick, before)
            self._finish_tick(tick)

    def batches(self) -> None:
        """One task a tick and unit."""
        for tick in range(self.flow.tick_count):
            for unit, share in enumerate(self.flow.shares(tick)):
                if share:
                    self._add(Action(Kind.BATCH, tick, unit, batch=share), (unit,))
            self._finish_tick(tick)

    def ring(self) -> None:
        """One task a wave and slice of the layers. K/V stays where its layers are, so only order ties the waves."""
        last: dict[int, int] = {}
        for wave in range(self.flow.waves):
            batch = self.flow.wave(wave)
            if not batch:
                continue
            for unit in self.denoising:
                last[unit] = self._add(Action(Kind.SLICE, wave, unit, batch=batch), (unit,), after=last.get(unit))
            for block, step in batch:
                if step == self.flow.spec.block_steps(block) - 1:
                    self._finish(block)

    # -- pieces ----------------------------------------------------------------------------------

    def _where(self, block: int, stage: int) -> Sequence[int]:
        count = len(self.denoising)
        if self.flow.placement.passes == "free":
            return self.denoising
        chosen = (block if self.flow.placement.passes == "block" else stage) % count
        return (chosen,)

    def _finish_tick(self, tick: int) -> None:
        for block, stage in self.flow.passes_at(tick):
            if stage == self.flow.spec.block_steps(block) - 1:
                self._finish(block)

    def _finish(self, block: int) -> None:
        """Decoding a block whose passes are all there, and encoding it again where the pattern reads pixels."""
        flow = self.flow
        if not flow.decodes:
            return
        for part in range(flow.parts):
            step = part if flow.parts > 1 else None
            apart = flow.placement.decoder == "apart"
            where = (flow.layout.denoising + part,) if apart else self.denoising
            before = self._decoded.get(part)
            self._decoded[part] = self._add(Action(Kind.DECODE, block, step), where, after=before, stays=before)
        self._last[block].append(self._decoded[flow.parts - 1])
        if flow.recomputes and block < flow.blocks - 1:
            where = flow.layout.decoding if flow.placement.decoder == "apart" else self.denoising
            decoded = self._decoded[flow.parts - 1]
            self._encoded = self._add(Action(Kind.ENCODE, block), where, after=self._encoded, stays=decoded)

    def _add(self, action: Action, where: Sequence[int], after: int | None = None, stays: int | None = None) -> int:
        task = len(self.actions)
        self.actions.append(action)
        self._durations.append(self._row(action, where))
        self._blocks.append(min((block for block, _ in action.passes), default=action.block))
        self._stays.append(ANY if stays is None else stays)
        inputs = [(self._maker[payload], self._number[payload]) for payload in self._payloads_read(action)]
        inputs += [(maker, ORDER) for maker in (after, *self._held_back(action.passes)) if maker is not None]
        self._inputs.append(tuple(inputs))
        self._read_live(task, action)
        release = self.flow.release_us(action)
        if release:
            self._release[task] = release
        for payload in self.flow.makes(action):
            self._leave(payload, task)
        self._note_ends(action, task)
        return task

    def _note_ends(self, action: Action, task: int) -> None:
        for block, step in action.passes if self._lookahead is not None else ():
            if self.flow.stage((block, step)) == self.flow.stages(block)[-1]:
                self._last[block].append(task)

    def _held_back(self, passes: Sequence[Pass]) -> list[int]:
        """What the first passes of blocks wait for so that they do not run too far ahead."""
        if self._lookahead is None:
            return []
        begun = (block - self._lookahead for block, step in passes if step == 0)
        return [task for block in begun if block >= 0 for task in self._last[block]]

    def _payloads_read(self, action: Action) -> Iterator[Payload]:
        beside = self.flow.beside(action)
        for payload in self.flow.needs(action):
            if payload not in beside and not (action.kind is Kind.SLICE and payload.carries == "kv"):
                yield payload

    def _leave(self, payload: Payload, task: int) -> None:
        self._maker[payload] = task
        self._number[payload] = len(self.payloads)
        self.payloads.append(payload)

    def _gang(self, tick: int, before: int) -> int:
        """A tick on all denoising units. The time that latents take to another unit between ticks is left to `retime`:
        a unit may decode meanwhile.
        """
        action = Action(Kind.TICK, tick)
        shares = self.flow.shares(tick)
        task = len(self.actions)
        self.actions.append(action)
        duration = self.costs.compute_us(action, self.units[0][0])
        self._durations.append(tuple(duration if unit in self.denoising else 0 for unit in range(len(self.units))))
        self._blocks.append(min((block for share in shares for block, _ in share), default=0))
        self._stays.append(ANY)
        texts = {p for share in shares for p in self.flow.needs(action._replace(batch=share)) if p.carries == "text"}
        inputs = [(self._maker[payload], ORDER) for payload in sorted(texts)]
        inputs += [(maker, ORDER) for share in shares for maker in self._held_back(share)]
        self._inputs.append(tuple(inputs) if before == ORDER else (*inputs, (before, ORDER)))
        self._gangs[task] = tuple(self.denoising)
        release = max(self.flow.release_us(action._replace(batch=share)) for share in shares)
        if release:
            self._release[task] = release
        for share in shares:
            self._note_ends(action._replace(batch=share), task)
            for payload in self.flow.makes(action._replace(batch=share)):
                if payload not in self._maker or payload.carries != "kv":
                    self._leave(payload, task)
        return task

    def _read_live(self, task: int, action: Action) -> None:
        beside = self.flow.beside(action)
        if not beside:
            return
        last = min(self._layer_us(action, unit) for unit, us in enumerate(self._durations[task]) if us)
        found = []
        for payload in self.flow.needs(action):
            if payload in beside:
                maker = self._maker[payload]
                units = [unit for unit, us in enumerate(self._durations[maker]) if us]
                first = min(self._layer_us(self.actions[maker], unit) for unit in units)
                found.append(Live(maker, self._number[payload], first, last))
        self._live[task] = tuple(found)

    def _layer_us(self, action: Action, unit: int) -> int:
        return self.costs.layer_us(action, self.units[unit][0])

    def _row(self, action: Action, where: Sequence[int]) -> tuple[int, ...]:
        """The action's duration on each unit, 0 where it may not run."""
        key = (self.costs.passes.key(action, 0), tuple(where))
        if key not in self._rows:
            leaders = [self.units[unit][0] for unit in range(len(self.units))]
            self._rows[key] = tuple(
                self.costs.compute_us(action, rank) if unit in where else 0 for unit, rank in enumerate(leaders)
            )
        return self._rows[key]
