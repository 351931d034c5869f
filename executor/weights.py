"""How each rank comes by the model: one that is loaded already, or from files, each rank what it needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from executor.channels.channel import Channel
from executor.rank.part import Part
from executor.world.fingerprint import fingerprint, of_places
from models.loaded import LoadedModel
from models.source import ModelSource, Needs
from models.spec import ModelSpec
from planner.action import Action, Kind

CODEC = frozenset({Kind.DECODE, Kind.ENCODE})


class Weights(NamedTuple):
    """A model, and a digest of its weights that all ranks and all runs of one clip have in common."""

    model: LoadedModel | ModelSource
    digest: str

    @classmethod
    def of(cls, model: LoadedModel | ModelSource, *, here: bool) -> Weights:
        """Loads files at once if the ranks compute `here`, on this machine's CPUs: they then share one copy."""
        if isinstance(model, LoadedModel):
            return cls(model, fingerprint({"wan": model.wan, "vae": model.vae}))
        places = {part: getattr(model, part) for part in ("checkpoint", "vae", "text_encoder", "lora")}
        digest = of_places(places, (model.lora_alpha, model.ema, model.dtype))
        return cls(model.load("cpu") if here else model, digest)

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @property
    def dtype(self) -> torch.dtype:
        """That of K/V."""
        return self.model.wan.dtype if isinstance(self.model, LoadedModel) else self.model.compute_dtype

    def loaded(self) -> LoadedModel:
        """The whole model in this process, for all ranks that are threads of it."""
        return self.model if isinstance(self.model, LoadedModel) else self.model.load()

    def on(
        self,
        device: torch.device,
        channel: Channel,
        part: Part,
        program: Sequence[Action],
        prompts: Sequence[str],
        *,
        encodes: bool,
    ) -> LoadedModel:
        """The model on a rank's device: of files, what its program runs. All ranks call this together.

        Unless the plan `encodes` prompts itself, rank 0 embeds them for all: the text encoder is larger than most
        models that read it. Raises CheckpointError, and PromptError for a prompt that cannot be read.
        """
        if isinstance(self.model, LoadedModel):
            return self.model.to(device)
        needs = _needs(part, program)
        embeds = {}
        if not encodes:
            embeds = channel.broadcast(self.model.embed(prompts, device) if channel.rank == 0 else None)
        return self.model.load(device, needs, embeds=None if needs.text else embeds)


def _needs(part: Part, program: Sequence[Action]) -> Needs:
    kinds = {action.kind for action in program}
    passes = any(action.passes or action.kind is Kind.RECACHE for action in program)
    return Needs(part.layers if passes else range(0), bool(kinds & CODEC), Kind.TEXT in kinds)
