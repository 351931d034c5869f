"""`generate()`: the plain single-process loop. The reference that every plan's execution must equal bit for bit.

It derives which noise levels are read from the patterns' definition by itself, and knows nothing of plans. The live
exchanges (causal and joint) are to join here: a tick would then run all its passes layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from models.errors import ModelError, SpecError
from models.forward import PassInput, Past
from models.forward import run_pass as run_forward
from models.kv_cache import KVSlots, Version
from models.layer import TextView
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan

Pass = tuple[int, int]  # (block, stage); the stage after the last denoise step is the clean pass


def generate(
    model: CausalWan,
    text: Sequence[TextView],
    *,
    blocks: int,
    seed: int,
    offset: int | None = None,
    on_block: Callable[[int, Tensor], None] | None = None,
) -> list[Tensor]:
    """Clean latents of each block, [C, T, h, w] float32, blocks trailing one another by `offset` passes.

    No offset is the sequential pipeline. `on_block(block, latents)` is called as blocks finish, in order. Raises
    ModelError for an offset outside 1..passes or fewer than one block, SpecError for a model whose first block has
    steps or frames of its own.
    """
    spec = model.spec
    if spec.block_steps(0) != spec.steps or spec.block_frames(0) != spec.frames_per_block:
        raise SpecError(
            f"{spec.name}: a first block of its own can be planned and simulated, not executed yet; drop "
            "first_block_steps and first_block_frames to run it"
        )
    offset = spec.passes if offset is None else offset
    if not 1 <= offset <= spec.passes:
        raise ModelError(f"offset must be 1..{spec.passes} for {spec.name}, not {offset}")
    if blocks < 1:
        raise ModelError(f"blocks must be at least 1, not {blocks}")
    order = list(_ticks(spec, blocks, offset))
    last_reader = _last_readers(spec, order, offset)
    slots = KVSlots(spec, _most_alive(order, last_reader), model.dtype, model.device)
    latents = {block: block_noise(spec, seed, block, 0, model.device) for block in range(blocks)}
    for tick, (block, stage) in enumerate(order):
        flow = run_pass(model, text, latents[block], block, stage, _levels(spec, block, stage, offset), slots)
        if stage < spec.steps:
            latents[block] = after_step(spec, latents[block], flow, seed, block, stage)
        if stage == spec.steps - 1 and on_block is not None:
            on_block(block, latents[block])
        for version in [v for v in slots.alive if last_reader.get(v, -1) <= tick]:
            slots.give_back(*version)
    return [latents[block] for block in range(blocks)]


def run_pass(
    model: CausalWan,
    text: Sequence[TextView],
    latents_CThw: Tensor,
    block: int,
    stage: int,
    versions: Sequence[Version],
    slots: KVSlots,
) -> Tensor:
    """One forward of one block: the flow; its K/V goes into a slot of its own at level `stage`."""
    spec, shift = model.spec, model.spec.sink_shift(block)
    own = slots.take(block, stage)
    held = {
        earlier: Past(slots.get(earlier, level), shift if earlier < spec.sink_blocks else 0)
        for earlier, level in versions
    }
    held[block] = Past(own)
    reads = [held[other] for other in spec.key_order(block)]
    return run_forward(
        model, PassInput(latents_CThw, spec.timestep(block, stage), spec.start_frame(block), own, reads, text)
    )


def _ticks(spec: ModelSpec, blocks: int, offset: int) -> Iterator[Pass]:
    """Every pass in an order that runs each after what it reads: block i's stage k in tick i x offset + k."""
    for tick in range((blocks - 1) * offset + spec.passes):
        for block in range(blocks):
            stage = tick - block * offset
            # Nothing would read the last block's clean pass.
            if 0 <= stage < (spec.passes if block < blocks - 1 else spec.steps):
                yield block, stage


def _levels(spec: ModelSpec, block: int, stage: int, offset: int) -> list[Version]:
    """The versions a pass reads: level min(k + (i - j)(offset - 1), cleanest) of each block j before block i."""
    cleanest = spec.passes - 1
    return [(j, min(stage + (block - j) * (offset - 1), cleanest)) for j in spec.context_blocks(block)]


def _last_readers(spec: ModelSpec, order: Sequence[Pass], offset: int) -> dict[Version, int]:
    """For each version that is read, the index in `order` of the last pass that reads it."""
    return {
        version: index for index, (block, stage) in enumerate(order) for version in _levels(spec, block, stage, offset)
    }


def _most_alive(order: Sequence[Pass], last_reader: dict[Version, int]) -> int:
    """How many versions live at once at most."""
    alive: set[Version] = set()
    most = 0
    for index, made in enumerate(order):
        alive.add(made)
        most = max(most, len(alive))
        alive = {version for version in alive if last_reader.get(version, -1) > index}
    return most


def as_stream(blocks: Sequence[Tensor]) -> Tensor:
    """Blocks' latents joined along time, [1, C, T, h, w], as diffusers' autoencoders take them."""
    return torch.cat(list(blocks), dim=1)[None]
