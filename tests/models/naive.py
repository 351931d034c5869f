"""Clips computed as simply as they can be, with every K/V kept as a tensor of its own: what `generate` must equal.

Here nothing knows of noise levels. `by_the_clock` runs tick after tick and asks which K/V is there by then;
`one_after_the_other` is the sequential loop with what it makes anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor

from models.codec import Codec
from models.layer import TextView, absorb, attend, from_patches, project, to_patches, tokens_of
from models.rotary import rotate, rotation, time_shift
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan

Layers = list[tuple[Tensor, Tensor]]  # each layer's K and V of a block
Prompts = Sequence[Sequence[TextView]]


class Job(NamedTuple):
    """A pass; it reads K/V that is there, or that of the job at a place in the same lock-step, moved by frames."""

    latents_CThw: Tensor
    timestep: float
    start_frame: int
    text: Sequence[TextView]
    reads: Sequence[tuple[Layers | int, int]]


def lock_step(wan: CausalWan, jobs: Sequence[Job]) -> list[tuple[Tensor, Layers]]:
    """Flow and K/V of each job, all jobs going through a layer before any goes on to the next."""
    transformer, dim = wan.transformer, wan.spec.head_dim
    grid = wan.spec.latent_height // wan.spec.patch[1], wan.spec.latent_width // wan.spec.patch[2]
    turns = [rotation(dim, job.start_frame, job.latents_CThw.shape[1], *grid) for job in jobs]
    times = [wan.times(job.timestep) for job in jobs]
    tokens = [tokens_of(transformer, job.latents_CThw[None]) for job in jobs]
    made: list[Layers] = [[] for _ in jobs]
    for index, layer in enumerate(transformer.blocks):
        queries = []
        for place, turn in enumerate(turns):
            query, key, value = project(layer, tokens[place], _modulation(layer, times[place][1]), turn)
            queries.append(query)
            made[place].append((key, value))
        for place, job in enumerate(jobs):
            read = [((made[x] if isinstance(x, int) else x)[index], frames) for x, frames in job.reads]
            keys = torch.cat([rotate(k, time_shift(dim, frames)) if frames else k for (k, _), frames in read], dim=1)
            values = torch.cat([v for (_, v), _ in read], dim=1)
            mixed = attend(queries[place], keys, values, wan.attention)
            text = TextView(*(part[None] for part in job.text[index]))
            tokens[place] = absorb(
                layer, tokens[place], mixed, _modulation(layer, times[place][1]), text, wan.attention
            )
    flows = [
        from_patches(transformer, to_patches(transformer, x, time), job.latents_CThw[None].shape)[0]
        for x, (time, _), job in zip(tokens, times, jobs, strict=True)
    ]
    return list(zip(flows, made, strict=True))


def _modulation(layer: WanTransformerBlock, modulation_16D: Tensor) -> Tensor:
    shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = (layer.scale_shift_table + modulation_16D.float()).unbind(1)
    return torch.stack((shift, scale + 1, gate, shift_ffn, scale_ffn + 1, gate_ffn), dim=1)


def window(spec: ModelSpec, block: int) -> list[tuple[int, int]]:
    """What a block attends to, itself among it, in the order of the keys; and by how many frames its keys move."""
    size = spec.frames_per_block
    sink = [j for j in range(block) if j * size < spec.sink]
    room = (spec.window - spec.sink) // size - 1
    sliding = [j for j in range(block) if j * size >= spec.sink][-room:] if room else []
    begun = spec.relative_sink and block * size >= spec.sink
    moved = (sliding[0] if sliding else block) * size - spec.sink if begun else 0
    # Places in the window: the sink's own first, then the others by turns.
    turns = sorted(
        [*sink, *sliding, block],
        key=lambda j: (j * size >= spec.sink, j if j * size < spec.sink else (j - spec.sink // size) % (room + 1)),
    )
    return [(j, moved if j in sink else 0) for j in turns]


def first_frame(spec: ModelSpec, block: int) -> int:
    """Where a block begins."""
    first = spec.first_block_frames or spec.frames_per_block
    return sum([first, *[spec.frames_per_block] * block][:block])


def steps_of(spec: ModelSpec, block: int) -> int:
    """How many denoise steps a block takes."""
    return spec.first_block_steps or len(spec.timesteps) if block == 0 else len(spec.timesteps)


def by_the_clock(
    wan: CausalWan,
    prompts: Prompts,
    *,
    blocks: int,
    seed: int,
    offset: int,
    live: str | None = None,
    switch_ticks: Sequence[int] = (),
) -> list[Tensor]:
    """Tick after tick. K/V goes on by a block in each, or to all at once if live; the newest that is there counts."""
    spec = wan.spec
    begins = [block * offset + (steps_of(spec, 0) - spec.steps if block else 0) for block in range(blocks)]
    latents = [block_noise(spec, seed, block, 0) for block in range(blocks)]
    made: list[dict[int, Layers | int]] = [{} for _ in range(blocks)]  # by tick; of this tick by place among its jobs
    for tick in range(begins[-1] + steps_of(spec, blocks - 1)):
        text = prompts[bisect_right(switch_ticks, tick)]
        ends = [begins[b] + steps_of(spec, b) + spec.clean_pass for b in range(blocks)]
        running = [b for b in range(blocks) if begins[b] <= tick < ends[b]]
        for place, block in enumerate(running):
            made[block][tick] = place
        jobs = []
        for block in running:
            step, frames = tick - begins[block], first_frame(spec, block)
            reads = [(_by_then(made[j], tick - (0 if live else block - j)), by) for j, by in window(spec, block)]
            reads += [(made[j][tick], 0) for j in running if j > block and live == "joint"]
            clean = step == steps_of(spec, block)
            timestep = spec.context_timestep if clean else 1000 * spec.block_sigmas(block)[step]
            jobs.append(Job(latents[block], timestep, frames, text, reads))
        for block, (flow, layers) in zip(running, lock_step(wan, jobs), strict=True):
            made[block][tick], step = layers, tick - begins[block]
            if step < steps_of(spec, block):
                latents[block] = after_step(spec, latents[block], flow, seed, block, step)
    return latents


def _by_then(made: dict[int, Layers | int], tick: int) -> Layers | int:
    return made[max(when for when in made if when <= tick)]


def one_after_the_other(
    wan: CausalWan,
    prompts: Prompts,
    *,
    blocks: int,
    seed: int,
    codec: Codec | None = None,
    recached: Collection[int] = (),
    switch_ticks: Sequence[int] = (),
) -> list[Tensor]:
    """Block after block. What is made anew replaces all K/V there is; with a codec that is all a block ever reads."""
    spec, tick = wan.spec, 0
    ways = None if codec is None else (codec.decoder(), codec.encoder())
    clean: list[Tensor] = []
    seen: list[Tensor] = []  # as clean passes read them
    held: dict[int, Layers] = {}

    def run(block: int, latents: Tensor, timestep: float, text: Sequence[TextView]) -> tuple[Tensor, Layers]:
        reads = [(0 if j == block else held[j], by) for j, by in window(spec, block) if j == block or j in held]
        return lock_step(wan, [Job(latents, timestep, first_frame(spec, block), text, reads)])[0]

    for block in range(blocks):
        if codec is not None or block in recached:
            held = {}
            text = prompts[bisect_right(switch_ticks, tick)]
            for older in sorted(j for j, _ in window(spec, block) if j < block):
                held[older] = run(older, seen[older], spec.context_timestep, text)[1]
        context, latents = set(held), block_noise(spec, seed, block, 0)
        assert context >= {j for j, _ in window(spec, block) if j < block}
        for step in range(steps_of(spec, block)):
            text = prompts[bisect_right(switch_ticks, tick + step)]
            flow, layers = run(block, latents, 1000 * spec.block_sigmas(block)[step], text)
            latents = after_step(spec, latents, flow, seed, block, step)
        tick += steps_of(spec, block)
        clean.append(latents)
        seen.append(latents if ways is None else ways[1].encode(ways[0].decode(latents)))
        if spec.clean_pass and codec is None:
            text = prompts[bisect_right(switch_ticks, tick)]
            layers = run(block, latents, spec.context_timestep, text)[1]
        held[block] = layers
        tick += spec.clean_pass
    return clean
