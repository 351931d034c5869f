"""A loaded model moves as a whole, and does without an autoencoder."""

from __future__ import annotations

import torch

from tests.models.variants import tiny


def test_moving_a_model_moves_its_parts_and_keeps_the_rest() -> None:
    here = tiny()
    moved = here.to(torch.device("cpu"))
    assert moved.spec is here.spec
    assert moved.embed_prompt is here.embed_prompt
    assert moved.vae is here.vae
    assert moved.wan is here.wan


def test_a_model_may_have_no_autoencoder() -> None:
    assert tiny()._replace(vae=None).to(torch.device("cpu")).vae is None
