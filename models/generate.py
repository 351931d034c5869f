"""`generate()`: the plain single-process loop. The reference that every plan's execution must equal bit for bit.

It derives which K/V is read from the patterns' definition by itself (`models.order`), and knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from torch import Tensor

from models.codec import Codec
from models.errors import ModelError
from models.forward import Forward, PassInput, Past
from models.kv_cache import KVSlots
from models.layer import TextView
from models.order import Live, Order, Turn, last_readers, most_alive
from models.sampler import after_step, block_noise
from models.spec import ModelSpec
from models.wan import CausalWan

Prompt = Sequence[TextView]  # one view a layer


def generate(
    model: CausalWan,
    text: Prompt | Sequence[Prompt],
    *,
    blocks: int,
    seed: int,
    offset: int | None = None,
    live: Live | None = None,
    codec: Codec | None = None,
    switch_ticks: Sequence[int] = (),
    recached: Sequence[int] = (),
    on_block: Callable[[int, Tensor], None] | None = None,
) -> list[Tensor]:
    """Clean latents of each block, [C, T, h, w] float32, blocks trailing one another by `offset` passes.

    A block's passes are its denoise steps and, if the model has one and a block follows, the clean pass over its clean
    latents. Pass s of block i runs in tick i x offset + s; if i > 0, later by what a first block takes in further
    steps. The level k of a pass counts all blocks' passes alike from the end: level n is the clean pass, or the last
    step of a model without one, and a first block of more steps begins below 0. A pass attends to its own block and to
    those of its window, each in the version of one level, in the order `ModelSpec.key_order`, with the sink moved by
    `ModelSpec.sink_shift`:

    - by default block j < i at level min(k + (i - j)(offset - 1), n). `offset` n + 1, as when none is given, is the
      sequential pipeline; offset 1 is same-level, and a ring of layers computes the same.
    - `live` "causal": block j < i at level min(k + (i - j) offset, n). Oldest block first in a tick.
    - `live` "joint": those, and every block j > i at level k - (j - i) offset if that is at least 0. All passes of a
      tick go in lock-step: each layer's K/V of all, then attention. K/V below level n ends with its tick.
    - `codec`: sequential-recompute. No clean passes: every block's clean latents are decoded to pixels and encoded
      again, each as one stream. Before block r > 0 the K/V of its context is made anew, oldest block first, by clean
      passes over the encoded latents, each where and with the sink moved as for its own block, reading itself and of
      its window what has been made anew before r; it reads the prompt of block r's first pass.
    - `recached`: before these blocks of a sequential clip the context is made anew likewise, of the clean latents. From
      there on blocks before the last such r are read as made anew.

    `text` is one prompt's views, or one prompt's after the other, the next being read by all passes from its tick of
    `switch_ticks` on. `on_block(block, latents)` is called as blocks finish, in order.

    Raises ModelError for an argument out of range, or for two that do not go together.
    """
    spec = model.spec
    order = Order.checked(spec, blocks, offset, live, recached, codec=codec is not None)
    prompts = _prompts(spec, text, switch_ticks)
    turns = order.turns()
    last_reader = last_readers(order, turns)
    slots = KVSlots(spec, most_alive(turns, last_reader), model.dtype, model.device)
    again = _round_trip(codec)
    latents = {block: block_noise(spec, seed, block, 0, model.device) for block in range(blocks)}
    clean: list[Tensor] = []
    for index, turn in enumerate(turns):
        texts = [prompts[sum(order.tick(*item) >= tick for tick in switch_ticks)] for item in turn]
        flows = Forward(model, _inputs(order, turn, latents, texts, slots)).run()
        for (block, stage), flow in zip(turn, flows, strict=True):
            left = spec.block_steps(block) - stage
            if left > 0:
                latents[block] = after_step(spec, latents[block], flow, seed, block, stage)
            if left == 1:
                clean.append(latents[block])
                if on_block is not None:
                    on_block(block, clean[block])
                if block < blocks - 1:
                    latents[block] = again(clean[block])
        for version in [v for v in slots.alive if last_reader[v] <= index]:
            slots.give_back(*version)
    return clean


def _inputs(
    order: Order, turn: Turn, latents: Mapping[int, Tensor], texts: Sequence[Prompt], slots: KVSlots
) -> list[PassInput]:
    """What the passes of a turn compute from; each takes a slot for its own K/V first, as they may read one another."""
    spec = order.spec
    own = [slots.take(*item) for item in turn]
    inputs = []
    for (block, stage), slot, text in zip(turn, own, texts, strict=True):
        shift = spec.sink_shift(block)
        reads = [
            Past(slots.get(*version), shift if version[0] < spec.sink_blocks else 0)
            for version in order.reads(block, stage)
        ]
        at = spec.timestep(block, stage), spec.start_frame(block)
        inputs.append(PassInput(latents[block], *at, slot, reads, text))
    return inputs


def _round_trip(codec: Codec | None) -> Callable[[Tensor], Tensor]:
    """Clean latents as clean passes read them: decoded and encoded again where there is a codec."""
    if codec is None:
        return lambda latents_CThw: latents_CThw
    decoder, encoder = codec.decoder(), codec.encoder()
    return lambda latents_CThw: encoder.encode(decoder.decode(latents_CThw)).to(latents_CThw.device)


def _prompts(spec: ModelSpec, text: Prompt | Sequence[Prompt], switch_ticks: Sequence[int]) -> list[Prompt]:
    """One prompt's views after the other's."""
    if any(tick < 0 for tick in switch_ticks) or list(switch_ticks) != sorted(switch_ticks):
        raise ModelError(f"switch_ticks: {list(switch_ticks)} must count from 0 and never fall")
    single = len(text) > 0 and isinstance(text[0], TextView)
    prompts = cast("list[Prompt]", [text] if single else list(text))
    if len(prompts) != len(switch_ticks) + 1:
        raise ModelError(
            f"text: {len(prompts)} prompts for {len(switch_ticks)} switches; give one for the start and one a switch"
        )
    for number, views in enumerate(prompts):
        if len(views) != spec.layers:
            raise ModelError(
                f"text: prompt {number} has {len(views)} views for {spec.layers} layers; make them with encode_text"
            )
    return prompts
