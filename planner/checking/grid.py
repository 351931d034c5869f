"""What a clip asks for as arrays: its passes, its payloads by number, and which payloads each pass reads."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from planner.checking.clip import Clip
from planner.checking.columns import CARRIES, NONE, Bools, Ints, sure

KV, LATENTS, CONTEXT, PIXELS, ENCODED, FEATURES, HIDDEN, TEXT = range(len(CARRIES))
STEPLESS = np.array([carries in (CONTEXT, PIXELS, ENCODED, TEXT) for carries in range(len(CARRIES))])


class Grid:
    """A pass has the number block x `width` + stage. So has its K/V; the other payloads follow, kind after kind."""

    def __init__(self, clip: Clip) -> None:
        spec, self.clip, self.blocks = clip.spec, clip, clip.blocks
        self.first_steps, self.steps = spec.block_steps(0), spec.steps
        self.width = max(self.first_steps, self.steps) + int(spec.clean_pass)
        self.units = clip.layout.denoising
        block, stage = np.arange(self.blocks)[:, None], np.arange(self.width)[None, :]
        # A last block has no clean pass, nor has any block whose context is made anew from pixels.
        clean = (spec.clean_pass and not clip.recomputes) * (block < self.blocks - 1)
        self.exists: Bools = stage < self.steps_of(block) + clean
        later = np.where(block == 0, max(0, -clip.more_steps), max(0, clip.more_steps))
        self.tick: Ints = block * clip.pattern.offset + stage + later
        self.wave: Ints = block + stage * self.units
        self.level: Ints = np.maximum(0, stage - np.where(block == 0, clip.more_steps, 0))
        self.prompt: Ints = np.searchsorted(np.array(clip.switch_ticks, np.int64), self.tick, side="right")
        self._lay_out()

    def steps_of(self, block: Ints) -> Ints:
        """Denoise steps of each block."""
        return np.where(block == 0, self.first_steps, self.steps)

    def _lay_out(self) -> None:
        clip = self.clip
        waves = int(self.wave.max()) + 1 if clip.way == "slices" else 0
        prompts = len(clip.workload.switches) + 1
        blocks = self.blocks
        self.limit = np.array([blocks, blocks, blocks, blocks, blocks, blocks, waves, prompts])
        self.stride = np.array([self.width, self.width, 1, 1, 1, clip.parts, self.units, 1])
        counts = self.limit * self.stride
        self.base: Ints = np.cumsum(counts) - counts
        self.payloads = int(counts.sum())

    def number(self, carries: Ints, block: Ints, step: Ints) -> Ints:
        """Payload numbers. Raises Doubt if the clip has no such payload."""
        sure(bool((carries >= 0).all() and (block < self.limit[carries]).all()))
        clean = (carries == KV) & (step == NONE)
        sure(bool(((step == NONE) == (STEPLESS[carries] | clean)).all()))
        steps = self.steps_of(block)
        beyond = np.array([0, 0, 1, 1, 1, self.clip.parts, self.units, 1])[carries]
        sure(bool((step < np.where(beyond == 0, steps, beyond)).all()))
        within = np.where(clean, steps, np.maximum(step, 0))
        sure(bool(((within < self.width) | ~clean).all()))
        return np.asarray(self.base[carries] + block * self.stride[carries] + within)

    def passes(self, block: Ints, step: Ints) -> Ints:
        """Pass numbers. Raises Doubt if the clip has no such pass."""
        sure(bool((block < self.blocks).all()))
        steps = self.steps_of(block)
        sure(bool((step < steps).all()))
        stage = np.where(step == NONE, steps, step)
        sure(bool((stage < self.width).all() and self.exists[block, stage].all()))
        return block * self.width + stage

    @cached_property
    def clean_latents(self) -> Ints:
        """[block]: the latents that a block's last step leaves."""
        block = np.arange(self.blocks)
        return np.asarray(self.base[LATENTS] + block * self.width + self.steps_of(block) - 1)

    # -- what passes read ------------------------------------------------------------------------

    @cached_property
    def context(self) -> Ints:
        """[block, slot]: earlier blocks that a block's passes attend to; NONE in slots that are not taken."""
        spec, block = self.clip.spec, np.arange(self.blocks)[:, None]
        sink = spec.sink // spec.frames_per_block
        sliding = spec.window // spec.frames_per_block - sink - 1
        first = np.broadcast_to(np.arange(sink)[None, :], (self.blocks, sink))
        recent = block - sliding + np.arange(sliding)[None, :]
        kept = np.where(first < block, first, NONE)
        return np.concatenate([kept, np.where(recent >= sink, recent, NONE)], axis=1)

    @cached_property
    def reads(self) -> tuple[Ints, Bools]:
        """[pass, slot] payloads, and whether each is made in the same tick. Slot 0 is latents, the last is text."""
        clip, shape = self.clip, (self.blocks, self.width, 1)
        block, stage = np.arange(self.blocks)[:, None], np.arange(self.width)[None, :]
        latents = np.where(stage > 0, self.base[LATENTS] + block * self.width + stage - 1, NONE)
        kv, beside, anew = self._context_read()
        text = np.full((self.blocks, self.width), NONE)
        if clip.workload.encode_text:
            text = self.base[TEXT] + self.prompt
        wide = np.broadcast_to(anew[:, None, None], shape)
        found = np.concatenate([latents[:, :, None], kv, wide, text[:, :, None]], axis=2)
        sides = np.zeros(found.shape, bool)
        sides[:, :, 1 : 1 + kv.shape[2]] = beside
        slots = found.shape[2]
        return found.reshape(-1, slots), sides.reshape(-1, slots)

    def _context_read(self) -> tuple[Ints, Bools, Ints]:
        """K/V by pass and slot, which of it is of the same tick, and by block the context made anew."""
        clip, block = self.clip, np.arange(self.blocks)
        if clip.recomputes:
            none = np.full((self.blocks, self.width, 0), NONE)
            return none, none.astype(bool), np.where(block > 0, self.base[CONTEXT] + block, NONE)
        context, there = self.context, self.context != NONE
        anew = np.full(self.blocks, NONE)
        if clip.remade:
            firsts = np.array([0, *clip.remade])
            latest = firsts[np.searchsorted(firsts, block, side="right") - 1]
            gone = there & (context < latest[:, None])
            anew = np.where(gone.any(axis=1), self.base[CONTEXT] + latest, NONE)
            there = there & ~gone
        last, live = clip.spec.passes - 1, clip.pattern.exchange == "live"
        lag = clip.pattern.offset if live else clip.pattern.offset - 1
        at = self.level[:, :, None] + ((block[:, None] - context) * lag)[:, None, :]
        more = np.where(context == 0, clip.more_steps, 0)[:, None, :]
        stage = np.maximum(0, np.minimum(at, last) + more)
        kv = np.where(there[:, None, :], context[:, None, :] * self.width + stage, NONE)
        return kv, there[:, None, :] & (at <= last) & live, anew
