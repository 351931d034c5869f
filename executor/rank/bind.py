"""Binds actions to the calls and tensors that perform them: the only caller of model code.

Shape suffixes: C latent channels, T latent frames, h, w latent positions, F pixel frames, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from executor.channels.channel import Channel
from executor.errors import WorldError
from executor.rank.held import Held
from executor.rank.part import part_of
from executor.rank.passes import Between, Passes
from executor.rank.warm_up import PassKinds, warm_up
from models.codec import State, StreamDecoder, StreamEncoder
from models.device import to_device
from models.layer import TextView
from models.loaded import LoadedModel
from planner.action import Action, Kind, Payload
from planner.flow import Flow
from planner.problem import Problem


def _nothing(_layer: int) -> None:
    """Nothing to do between a layer's projections and its attention."""


class Rank:
    """One rank's tensors, and how each action changes them.

    `prompts`: one, and one more for each switch. `before`: payloads that will be put here before the program begins.
    """

    def __init__(
        self,
        model: LoadedModel,
        problem: Problem,
        flow: Flow,
        channel: Channel,
        program: Iterable[Action],
        *,
        prompts: Sequence[str],
        seed: int,
        fused: bool | None = None,
        before: Sequence[Payload] = (),
    ) -> None:
        program = list(program)
        kinds = {action.kind for action in program}
        self._pass_kinds = PassKinds.of(program, flow)
        self._model, self._flow, self._prompts = model, flow, prompts
        wan = model.wan
        self.held = Held(flow, part_of(channel.rank, problem, flow), program, wan.dtype, wan.device, before)
        self._views: dict[int, Sequence[TextView]] = {}
        fused = wan.device.type == "cuda" if fused is None else fused
        self._passes = Passes(wan, self.held, channel, self._text, seed=seed, fused=fused)
        self._decoder: StreamDecoder | None = None
        self._encoder: StreamEncoder | None = None
        if kinds & {Kind.DECODE, Kind.ENCODE}:
            self._decoder, self._encoder = self._codec(kinds)
        self._do: dict[Kind, Callable[[Action], None]] = {
            Kind.DECODE: self._decode,
            Kind.ENCODE: self._encode,
            Kind.TEXT: self._encode_text,
            Kind.RECACHE: lambda action: self._passes.recache(action.block),
        }
        self.frames: dict[int, Tensor] = {}

    def _codec(self, kinds: set[Kind]) -> tuple[StreamDecoder | None, StreamEncoder | None]:
        if self._model.vae is None:
            raise WorldError("the plan decodes, but the model has no decoder: plan with decode=False")
        decoder = self._model.vae.decoder() if Kind.DECODE in kinds else None
        return decoder, self._model.vae.encoder() if Kind.ENCODE in kinds else None

    @property
    def device(self) -> torch.device:
        return self._model.wan.device

    @property
    def latents(self) -> dict[int, Tensor]:
        """Clean latents [C, T, h, w] by block, of the blocks that end here and are not decoded."""
        return self.held.finished

    def warm_up(self) -> None:
        """Runs each kind of work on throw-away tensors, so that first-call costs fall outside the clip."""
        first = self._pass_kinds.first_prompt
        if first is not None:
            text = self._some_text() if self._flow.encodes_text else self._text(first)
            warm_up(self._model.wan, self.held, text, self._pass_kinds.timesteps)
        if self._decoder is not None:
            for block in range(2):  # a stream's first block, then another
                shape, dtype = self.held.shape(Payload("latents", block))
                self._decoder.decode(torch.zeros(shape, dtype=dtype, device=self.device))
            self._decoder.reset()

    def compute(self, action: Action, between: Between = _nothing) -> None:
        """Performs a compute action, whose inputs must be here; `between` is called in each layer of its passes."""
        if action.kind in self._do:
            self._do[action.kind](action)
        else:
            self._passes.run(action, between)

    # -- payloads --------------------------------------------------------------------------------

    def tensor(self, payload: Payload) -> Tensor:
        """What a send of the payload reads."""
        return self.held.tensor(payload)

    def room(self, payload: Payload) -> Tensor:
        """What a receive of the payload writes to."""
        return self.held.room(payload)

    def arrived(self, payload: Payload) -> None:
        """Puts what came into its place."""
        self.held.arrived(payload)

    def free(self, payload: Payload) -> None:
        """Gives the payload's storage up."""
        if payload.carries == "text":
            self._views.pop(payload.block, None)
        self.held.free(payload)

    def slot(self, payload: Payload) -> Tensor:
        """Where K/V that comes layer by layer is to be written, [layers, 2, N, H, E]."""
        return self.held.take(payload)

    def layer(self, payload: Payload, index: int) -> Tensor:
        """One layer's K/V [2, N, H, E] of a pass that is being made."""
        return self.held.kv(payload)[index - self.held.part.layers.start]

    # -- a stream's state ------------------------------------------------------------------------

    def decoder_state(self) -> State:
        """What decoding the next block depends on; {} where nothing is decoded."""
        return {} if self._decoder is None else self._decoder.state()

    def restore_decoder(self, state: State) -> None:
        """Goes on decoding where `state` was taken."""
        if self._decoder is not None:
            self._decoder.restore(state)

    def encoder_state(self) -> State:
        return {} if self._encoder is None else self._encoder.state()

    def restore_encoder(self, state: State) -> None:
        if self._encoder is not None:
            self._encoder.restore(state)

    # -- work besides passes ---------------------------------------------------------------------

    def _decode(self, action: Action) -> None:
        assert self._decoder is not None
        block = action.block
        last = self._model.spec.block_steps(block) - 1
        frames_FHWC = self._decoder.decode(self.held.get(Payload("latents", block, last)))
        for payload in self._flow.makes(action):
            self.held.put(payload, frames_FHWC)
        self.frames[block] = frames_FHWC

    def _encode(self, action: Action) -> None:
        assert self._encoder is not None
        pixels_FHWC = self.held.get(Payload("pixels", action.block))
        self.held.put(Payload("encoded", action.block), self._encoder.encode(pixels_FHWC))

    def _encode_text(self, action: Action) -> None:
        embeds = self._model.embed_prompt(self._prompts[action.block])
        self.held.put(Payload("text", action.block), to_device(embeds.to(self._model.wan.dtype), self.device))

    def _text(self, prompt: int) -> Sequence[TextView]:
        """A prompt as the transformer's layers read it."""
        if prompt not in self._views:
            if self._flow.encodes_text:
                embeds = self.held.get(Payload("text", prompt))
            else:
                embeds = self._model.embed_prompt(self._prompts[prompt])
            self._views[prompt] = self._model.wan.encode_text(embeds)
        return self._views[prompt]

    def _some_text(self) -> Sequence[TextView]:
        spec = self._model.spec
        return self._model.wan.encode_text(torch.zeros(spec.text_length, spec.text_dim))
