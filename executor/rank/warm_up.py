"""First calls made before the clip starts: kernels are picked, code is compiled, memory is taken.

Shape suffixes: C latent channels, T latent frames, h, w latent positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from executor.rank.held import Held
from models.forward import Forward, PassInput, Past
from models.layer import TextView
from models.sampler import after_step, block_noise
from models.wan import CausalWan
from planner.action import Action, Kind
from planner.flow import Flow

TIMES = 2


class PassKinds(NamedTuple):
    """The timesteps of a program's passes, and the prompt that the first of them reads; None if it has no pass."""

    timesteps: frozenset[float]
    first_prompt: int | None

    @classmethod
    def of(cls, program: Iterable[Action], flow: Flow) -> PassKinds:
        spec, prompt, timesteps = flow.spec, None, set()
        for action in program:
            if action.kind is Kind.RECACHE:
                timesteps.add(spec.context_timestep)
            for item in action.passes:
                stage = flow.stage(item)
                timesteps.add(spec.timestep(item[0], stage))
                prompt = flow.prompt(item[0], stage) if prompt is None else prompt
        return cls(frozenset(timesteps), prompt)


def warm_up(wan: CausalWan, held: Held, text: Sequence[TextView], timesteps: Iterable[float]) -> None:
    """Passes, and what a step takes besides; what depends on the clip's timesteps alone is made, and kept."""
    _run_passes(wan, held, text)
    _take_steps(wan, held)
    for timestep in timesteps:
        wan.modulations(timestep, held.part.layers)


def _take_steps(wan: CausalWan, held: Held) -> None:
    """Noise, and what a step leaves of a flow in the model's type."""
    for _ in range(TIMES):
        noise_CThw = block_noise(wan.spec, 0, 1, 0, held.device)
        after_step(wan.spec, noise_CThw, torch.zeros_like(noise_CThw, dtype=wan.dtype), 0, 1, 0)


def _run_passes(wan: CausalWan, held: Held, text: Sequence[TextView]) -> None:
    """Without context, and with as much as the slots have room for; the slots are idle again afterwards."""
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
