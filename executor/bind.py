"""Binds actions to the calls and tensors that perform them: the only caller of model code.

Shape suffixes: C latent channels, T latent frames, h, w latent positions.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from executor.errors import WorldError
from models.generate import run_pass
from models.kv_cache import KVSlots
from models.loaded import LoadedModel
from models.sampler import after_step, block_noise
from models.vae import StreamingDecoder
from planner.action import Action, Kind, Payload
from planner.flow import Flow
from planner.memory import slots_needed
from planner.patterns import reads

WARM_UP_PASSES = 3


class Rank:
    """One rank's tensors, and how each action changes them."""

    def __init__(self, model: LoadedModel, prompt: str, seed: int, flow: Flow, program: Iterable[Action]) -> None:
        self._model = model
        self._seed = seed
        self._pattern = flow.pattern
        program = list(program)
        wan = model.wan
        self._slots = KVSlots(model.spec, slots_needed(program, flow), wan.dtype, wan.device)
        self._text = wan.encode_text(model.embed_prompt(prompt))
        self._latents: dict[Payload, Tensor] = {}
        self._staged: dict[Payload, Tensor] = {}  # K/V on its way here; a slot is no single piece of memory
        self._decoder: StreamingDecoder | None = None
        if any(action.kind is Kind.DECODE for action in program):
            if model.vae is None:
                raise WorldError("the plan decodes, but the model has no decoder: plan with decode=False")
            self._decoder = StreamingDecoder(model.vae)
        self._denoises = any(action.kind in (Kind.DENOISE, Kind.COMMIT) for action in program)
        self.frames: dict[int, Tensor] = {}

    @property
    def device(self) -> torch.device:
        return self._model.wan.device

    @property
    def latents(self) -> dict[int, Tensor]:
        """Clean latents [C, T, h, w] by block, of the blocks that end here and are not decoded."""
        last = self._model.spec.steps - 1
        return {payload.block: tensor for payload, tensor in self._latents.items() if payload.step == last}

    def warm_up(self) -> None:
        """Runs each kind of work once on throw-away tensors, so that first-call costs fall outside the clip."""
        spec, wan = self._model.spec, self._model.wan
        scratch = KVSlots(spec, 1, wan.dtype, wan.device)
        for _ in range(WARM_UP_PASSES if self._denoises else 0):
            run_pass(wan, self._text, block_noise(spec, 0, 0, 0, wan.device), 0, 0, [], scratch)
            scratch.give_back(0, 0)
        if self._decoder is not None:
            for _ in range(WARM_UP_PASSES):
                self._decoder.decode(block_noise(spec, 0, 0, 0, wan.device))
            self._decoder.reset()

    def compute(self, action: Action) -> None:
        """Performs a compute action; its inputs must be here."""
        spec = self._model.spec
        if action.kind is Kind.DECODE:
            assert self._decoder is not None
            self.frames[action.block] = self._decoder.decode(self._input(action.block, spec.steps))
            return
        stage = spec.steps if action.step is None else action.step
        noisy_CThw = self._input(action.block, stage)
        versions = list(reads(self._pattern, spec, action.block, stage))
        flow_CThw = run_pass(self._model.wan, self._text, noisy_CThw, action.block, stage, versions, self._slots)
        if action.kind is Kind.DENOISE:
            left = after_step(spec, noisy_CThw, flow_CThw, self._seed, action.block, stage)
            self._latents[Payload("latents", action.block, stage)] = left

    def tensor(self, payload: Payload) -> Tensor:
        """What a send of the payload reads."""
        if payload.carries == "latents":
            return self._latents[payload]
        return self._slots.get(payload.block, self._level(payload)).contiguous()

    def room(self, payload: Payload) -> Tensor:
        """What a receive of the payload writes to."""
        if payload.carries == "kv":
            slot = self._slots.take(payload.block, self._level(payload))
            self._staged[payload] = torch.empty_like(slot, memory_format=torch.contiguous_format)
            return self._staged[payload]
        spec = self._model.spec
        shape = (spec.latent_channels, spec.frames_per_block, spec.latent_height, spec.latent_width)
        return self._latents.setdefault(payload, torch.empty(shape, device=self.device))

    def arrived(self, payload: Payload) -> None:
        """Puts what came to its place, once it is there."""
        if payload in self._staged:
            self._slots.get(payload.block, self._level(payload)).copy_(self._staged.pop(payload))

    def free(self, payload: Payload) -> None:
        """Gives the payload's storage up."""
        if payload.carries == "latents":
            del self._latents[payload]
        else:
            self._slots.give_back(payload.block, self._level(payload))

    def _input(self, block: int, stage: int) -> Tensor:
        """The latents that a block's stage begins with."""
        if stage == 0:
            return block_noise(self._model.spec, self._seed, block, 0, self.device)
        return self._latents[Payload("latents", block, stage - 1)]

    def _level(self, payload: Payload) -> int:
        return self._model.spec.steps if payload.step is None else payload.step
