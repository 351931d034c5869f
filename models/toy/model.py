"""The toy as it ships: weights, text side and loader."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.catalog import load_spec
from models.checkpoint import load_vae, load_wan
from models.loaded import LoadedModel
from models.toy.grammar import VOCABULARY, Scene, parse
from models.vae import WanCodec, skip_zero_taps

WEIGHTS = Path(__file__).parent / "weights"


def load_toy(folder: Path = WEIGHTS) -> LoadedModel:
    """The trained toy on the CPU in float32. Raises CheckpointError if its files are missing or damaged."""
    spec = load_spec("toy")
    vae = load_vae(folder / "vae")
    skip_zero_taps(vae)
    # One latent frame leaves a core's vector units half idle: a block at once takes two thirds of the time.
    codec = WanCodec(vae, frames_at_once=None)
    return LoadedModel(spec, load_wan(folder / "transformer", spec), codec, embed_prompt)


def embed_prompt(prompt: str) -> Tensor:
    """One one-hot row per word slot of a prompt, [6, VOCABULARY] float32. Raises PromptError."""
    return embed_scene(parse(prompt))


def embed_scene(scene: Scene) -> Tensor:
    """As `embed_prompt`, for a scene that is already parsed."""
    return torch.eye(VOCABULARY)[list(scene.tokens())]
