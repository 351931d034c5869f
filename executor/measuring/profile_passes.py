"""A transformer's passes to be timed: alone by context, as one batch, and in lock-step as a joint pattern runs them.

They read K/V of random numbers (zeros would draw less power, and so run faster, than real ones) from slots laid out as
a run's are. Shape suffixes: C latent channels, T latent frames, h, w latent positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from executor.measuring.rounds import Point
from models.forward import Forward, PassInput, Past
from models.kv_cache import KVSlots, Version
from models.layer import TextView
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan

Call = Callable[[], object]


class _Pass(NamedTuple):
    """A pass: its block and stage, the version of its own K/V, and those of all it attends to, in the keys' order."""

    block: int
    stage: int
    own: Version
    reads: Sequence[Version]


class PassBench:
    """Passes of one model on one device. `fused`: those of one action go through a layer's products as one batch."""

    def __init__(self, wan: CausalWan, text: Sequence[TextView], *, fused: bool) -> None:
        self._wan, self._text, self._fused = wan, text, fused
        self._slots: KVSlots | None = None
        self._capacity = 0

    def points(self, *, together: bool = True) -> Iterator[Point]:
        """By rising need of memory: `denoise C` and `clean C` of a pass that reads C blocks, `recache`, and if
        `together` `batch N` and `tick N` of N passes.

        A pass of a joint pattern reads newer blocks too, so contexts go beyond the window.
        """
        spec = self._wan.spec
        most, full = spec.passes if together else 1, spec.window_blocks - 1
        for context in range(full + 1):
            yield self._point(f"denoise {context}", [alone(spec, context)])
            if spec.clean_pass:
                yield self._point(f"clean {context}", [alone(spec, context, clean=True)])
        if full:
            yield Point("recache", self._recache, self.drop)
        for newer in range(1, most):
            yield self._point(f"denoise {full + newer}", [alone(spec, full + newer)])
        for size in range(2, most + 1):
            yield self._point(f"batch {size}", batch(spec, size))
            yield self._point(f"tick {size}", tick(spec, size))

    def drop(self) -> None:
        """Gives the slots' memory back."""
        self._slots = None

    def _point(self, name: str, passes: Sequence[_Pass]) -> Point:
        return Point(name, lambda: self._prepare(passes), self.drop)

    def _prepare(self, passes: Sequence[_Pass]) -> Call:
        versions = sorted({version for item in passes for version in item.reads})
        slots = self._room(len(versions))
        for version in versions:
            slots.take(*version)
        inputs = [self._input(item, slots) for item in passes]
        return lambda: self._run(passes, inputs)

    def _run(self, passes: Sequence[_Pass], inputs: Sequence[PassInput]) -> None:
        spec = self._wan.spec
        flows = Forward(self._wan, inputs, fused=self._fused).run()
        for item, given, flow_CThw in zip(passes, inputs, flows, strict=True):
            if item.stage < spec.block_steps(item.block):
                after_step(spec, given.latents_CThw, flow_CThw, 0, item.block, item.stage)

    def _recache(self) -> Call:
        """A full context made anew: a clean pass of each of its blocks."""
        spec = self._wan.spec
        calls = [self._prepare([alone(spec, context, clean=True)]) for context in range(spec.window_blocks - 1)]
        return lambda: [call() for call in calls]

    def _room(self, count: int) -> KVSlots:
        """At least so many slots, none of them taken."""
        if self._slots is None or self._capacity < count:
            self._slots = None  # before there is more: both might not fit
            self._slots, self._capacity = self._random_slots(count), count
        for version in self._slots.alive:
            self._slots.give_back(*version)
        return self._slots

    def _random_slots(self, count: int) -> KVSlots:
        wan, generator = self._wan, torch.Generator(self._wan.device).manual_seed(0)
        slots = KVSlots(wan.spec, count, wan.dtype, wan.device)
        for block in range(count):
            # Layer by layer, as random numbers are drawn into a copy where memory is not in one piece.
            for layer_2NHE in slots.take(block, 0):
                layer_2NHE.normal_(generator=generator)
        return slots

    def _input(self, item: _Pass, slots: KVSlots) -> PassInput:
        spec = self._wan.spec
        shift = spec.sink_shift(item.block)
        reads = [
            Past(slots.get(*version), shift if version[0] < min(item.block, spec.sink_blocks) else 0)
            for version in item.reads
        ]
        return PassInput(
            self._latents(item.block),
            spec.timestep(item.block, item.stage),
            spec.start_frame(item.block),
            slots.get(*item.own),
            reads,
            self._text,
        )

    def _latents(self, block: int) -> Tensor:
        return block_noise(self._wan.spec, 0, block, 0, self._wan.device)


def sliding(spec: ModelSpec) -> int:
    """A block whose window has slid: it reads a full context."""
    return spec.window_blocks + 1


def alone(spec: ModelSpec, context: int, *, clean: bool = False) -> _Pass:
    """A pass that reads so many blocks: earlier ones, and beyond a full context newer ones."""
    full = spec.window_blocks - 1
    block = context if context < full else sliding(spec)
    newer = range(block + 1, block + 1 + max(0, context - full))
    stage = spec.block_steps(block) if clean else 0
    return _Pass(block, stage, (block, 0), [(other, 0) for other in spec.key_order(block, newer)])


def batch(spec: ModelSpec, size: int) -> list[_Pass]:
    """Passes at full context that do not read one another."""
    block = sliding(spec)
    return [
        _Pass(
            block, stage % spec.steps, (block, stage), [(o, stage if o == block else 0) for o in spec.key_order(block)]
        )
        for stage in range(size)
    ]


def tick(spec: ModelSpec, size: int) -> list[_Pass]:
    """Passes at full context that all read one another, as those of a joint pattern's tick do."""
    first = sliding(spec)
    blocks = range(first, first + size)
    return [
        _Pass(
            block, (size - 1 - at) % spec.steps, (block, 0), [(o, 0) for o in spec.key_order(block, blocks[at + 1 :])]
        )
        for at, block in enumerate(blocks)
    ]
