"""First calls made before the clip starts: kernels are picked, code is compiled, memory is taken."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from executor.rank.held import Held
from models.forward import Forward, PassInput, Past
from models.layer import TextView
from models.wan import CausalWan

TIMES = 2


def warm_up(wan: CausalWan, held: Held, text: Sequence[TextView]) -> None:
    """Passes without context, and with as much as the slots have room for; the slots are idle again afterwards."""
    spec, slots, alone = wan.spec, held.slots, len(held.part.group) == 1
    shape = (spec.latent_channels, spec.block_frames(1), spec.latent_height, spec.latent_width)
    latents_CThw = torch.zeros(shape, device=held.device)
    own = torch.empty((1, 2, spec.tokens_of(1), spec.heads, spec.head_dim), dtype=wan.dtype, device=held.device)
    # A group's slots hold some heads only, and this runs without the group.
    blocks = range(1, min(slots.idle, spec.window_blocks - 1) + 1) if alone else range(0)
    taken = [Past(slots.take(block, 0)) for block in blocks]
    for context in {0, len(taken)}:
        given = PassInput(latents_CThw, spec.timestep(1, 0), 0, own, [*taken[:context], Past(own)], text)
        for _ in range(TIMES):
            Forward(wan, [given], layers=held.part.layers, hidden=_hidden(wan, held)).run()
    for block in blocks:
        slots.give_back(block, 0)


def _hidden(wan: CausalWan, held: Held) -> torch.Tensor | None:
    """What a slice of the layers begins with."""
    if held.part.layers.start == 0:
        return None
    return torch.zeros(wan.spec.tokens_of(1), wan.spec.dim, dtype=wan.dtype, device=held.device)
