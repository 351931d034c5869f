"""A loaded model moves as a whole, and does without an autoencoder."""

from __future__ import annotations

import torch

from models.vae import WanCodec
from tests.models.variants import tiny
from tests.tiny import tiny_model


def test_moving_a_model_moves_its_parts_and_keeps_the_rest() -> None:
    here = tiny()
    moved = here.to(torch.device("cpu"))
    assert moved.spec is here.spec
    assert moved.embed_prompt is here.embed_prompt
    assert moved.vae is here.vae
    assert moved.wan is here.wan


def test_weights_go_to_the_device() -> None:
    """To the device without numbers, as every machine has it."""
    moved = tiny_model().to(torch.device("meta"))
    assert isinstance(moved.vae, WanCodec)
    assert {p.device.type for part in (moved.wan, moved.vae.vae) for p in part.parameters()} == {"meta"}
    assert moved.vae.device.type == "meta"
    assert moved.wan.device.type == "meta"


def test_a_model_may_have_no_autoencoder() -> None:
    assert tiny()._replace(vae=None).to(torch.device("cpu")).vae is None
