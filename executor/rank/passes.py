"""Runs the passes of an action: what they read and leave is in what the rank holds.

Shape suffixes: C latent channels, T latent frames, h, w latent positions; P ranks of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.rank.gang import Gangs
from executor.rank.held import Held
from models.forward import Forward, PassInput, Past
from models.group import Group
from models.layer import TextView
from models.sampler import after_step, block_noise
from models.wan import CausalWan
from planner.action import Action, Kind, Pass, Payload
from planner.patterns import newer_read, reads

Texts = Callable[[int], Sequence[TextView]]  # the views of a prompt by its number
Between = Callable[[int], None]  # called in each layer, before its attention


class Passes:
    """One rank's transformer at work. `fused`: passes of one action go through a layer's products as one batch."""

    def __init__(
        self, wan: CausalWan, held: Held, channel: Channel, texts: Texts, *, seed: int, fused: bool = False
    ) -> None:
        self._wan, self._held, self._flow, self._spec = wan, held, held.flow, wan.spec
        self._texts, self._seed, self._fused = texts, seed, fused
        self._gangs = Gangs(channel.rank, held, channel)
        self._group = _group(channel, held.part.group)

    def run(self, action: Action, between: Between) -> None:
        """Performs a pass, a batch, a tick's share or a slice; `between` is called in each of its layers."""
        if action.kind is Kind.TICK:
            gang = self._gangs.tick(action, self._wan.dtype)
            inputs = [self._input(item, gang.slots[item], gang.slots) for item in action.batch]
            forward = self._forward(inputs)
            self._leave(action.batch, inputs, forward.run(gang.exchange))
        elif action.kind is Kind.SLICE:
            self._slice(action, between)
        else:
            inputs = [self._input(item, self._own(item), {}) for item in action.passes]
            self._leave(action.passes, inputs, self._forward(inputs).run(between))

    def recache(self, block: int) -> None:
        """Makes the K/V of a block's context anew: a clean pass of each of its blocks, oldest first."""
        context = self._spec.context_blocks(block)
        text = self._texts(self._flow.prompt(block, 0))
        for earlier in context:
            own = self._held.take_context(block, earlier)
            slots = {e: self._held.context(block, e) for e in self._spec.context_blocks(earlier) if e in context}
            given = PassInput(
                self._held.get(self._source(earlier)),
                self._spec.context_timestep,
                self._spec.start_frame(earlier),
                own,
                self._pasts(earlier, {**slots, earlier: own}),
                text,
            )
            self._forward([given]).run()

    def _source(self, block: int) -> Payload:
        if self._flow.recomputes:
            return Payload("encoded", block)
        return Payload("latents", block, self._spec.block_steps(block) - 1)

    def _slice(self, action: Action, between: Between) -> None:
        """A ring's slice: from the hidden states of the one before it, to those that the next one takes up."""
        last = self._flow.layout.denoising - 1
        hidden = self._held.get(Payload("hidden", action.block, action.step - 1)) if action.step else None
        inputs = [
            self._input(item, self._own(item), {}, shape_only=action.step not in (0, last)) for item in action.batch
        ]
        forward = self._forward(inputs, hidden)
        flows = forward.run(between)
        if action.step == last:
            self._leave(action.batch, inputs, flows)
        else:
            self._held.put(Payload("hidden", action.block, action.step), forward.hidden)

    def _forward(self, inputs: Sequence[PassInput], hidden: Tensor | None = None) -> Forward:
        return Forward(
            self._wan,
            inputs,
            fused=self._fused,
            layers=self._held.part.layers,
            hidden=hidden,
            group=self._group,
        )

    def _leave(self, items: Sequence[Pass], inputs: Sequence[PassInput], flows: Sequence[Tensor]) -> None:
        """Makes of each denoise step's flow what the block's next pass begins with."""
        for (block, step), given, flow_CThw in zip(items, inputs, flows, strict=True):
            if step is not None:
                left = after_step(self._spec, given.latents_CThw, flow_CThw, self._seed, block, step)
                self._held.put(Payload("latents", block, step), left)

    def _input(self, item: Pass, own: Tensor, in_tick: Mapping[Pass, Tensor], *, shape_only: bool = False) -> PassInput:
        block, _ = item
        stage = self._flow.stage(item)
        if shape_only:
            shape, dtype = self._held.shape(Payload("latents", block, stage))
            latents_CThw = torch.empty(shape, dtype=dtype, device="meta")
        else:
            latents_CThw = self._noisy(block, stage)
        return PassInput(
            latents_CThw,
            self._spec.timestep(block, stage),
            self._spec.start_frame(block),
            own,
            self._pasts(block, {**self._others(item, in_tick), block: own}),
            self._texts(self._flow.prompt(block, stage)),
        )

    def _others(self, item: Pass, in_tick: Mapping[Pass, Tensor]) -> dict[int, Tensor]:
        """The K/V of each other block that a pass attends to."""
        flow, (block, step) = self._flow, item
        level, anew = flow.level(block, step), flow.made_anew(block)
        found = {}
        for earlier, read in reads(flow.pattern, self._spec, block, level):
            payload = flow.kv(earlier, read)
            if earlier < anew:
                found[earlier] = self._held.context(anew, earlier)
            elif (earlier, payload.step) in in_tick:
                found[earlier] = in_tick[earlier, payload.step]
            else:
                found[earlier] = self._held.kv(payload)
        for later, read in newer_read(flow.pattern, block, level, flow.blocks):
            found[later] = in_tick[flow.as_pass(later, self._spec.stage_at(later, read))]
        return found

    def _pasts(self, block: int, slots: Mapping[int, Tensor]) -> list[Past]:
        """All that a pass attends to, in the order of the keys."""
        shift = self._spec.sink_shift(block)
        newer = [other for other in slots if other > block]
        order = [other for other in self._spec.key_order(block, newer) if other in slots]
        return [Past(slots[other], shift if other < min(block, self._spec.sink_blocks) else 0) for other in order]

    def _own(self, item: Pass) -> Tensor:
        """Where a pass leaves its K/V: nowhere that lasts, if the pattern keeps none."""
        if self._flow.recomputes:
            return self._gangs.room(0, self._spec.tokens_of(item[0]), self._wan.dtype)
        return self._held.take(Payload("kv", *item))

    def _noisy(self, block: int, stage: int) -> Tensor:
        """The latents that a block's stage begins with."""
        if stage == 0:
            return block_noise(self._spec, self._seed, block, 0, self._held.device)
        return self._held.get(Payload("latents", block, stage - 1))


def _group(channel: Channel, ranks: Sequence[int]) -> Group | None:
    if len(ranks) == 1:
        return None
    here = ranks.index(channel.rank)

    def swap(parts: Tensor) -> Tensor:
        came = torch.empty_like(parts)
        came[here] = parts[here]
        others = [place for place in range(len(ranks)) if place != here]
        outs = {ranks[place]: [parts[place]] for place in others}
        channel.exchange(outs, {ranks[place]: [came[place]] for place in others}).wait()
        return came

    return Group(here, len(ranks), swap)
