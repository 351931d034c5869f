"""Random weights: a model that runs, in its spec's shapes and type, the same each time."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan

from models.catalog import CATALOG
from models.generate import generate
from models.random_weights import random_model, vae_config
from models.vae import WanCodec, decode_stream
from tests.tiny import TINY_SPEC


def test_a_random_model_runs_and_is_reproducible() -> None:
    clips = []
    for seed in (1, 1, 2):
        model = random_model(TINY_SPEC, seed=seed)
        latents = generate(model.wan, model.wan.encode_text(model.embed_prompt("x")), blocks=2, seed=0)
        assert model.vae is not None
        frames = decode_stream(model.vae, latents)
        assert len(frames) == TINY_SPEC.pixel_frames(0) + TINY_SPEC.pixel_frames(1)
        assert all(torch.isfinite(block).all() for block in latents)
        clips.append(latents[1])
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])


def test_the_type_is_the_specs_or_the_one_asked_for() -> None:
    assert random_model(TINY_SPEC).wan.dtype == torch.float32
    halved = TINY_SPEC.model_copy(update={"weight_bytes_per_parameter": 2})
    model = random_model(halved)
    assert isinstance(model.vae, WanCodec)
    assert model.wan.dtype == model.vae.vae.dtype == torch.bfloat16
    assert random_model(halved, dtype=torch.float32).wan.dtype == torch.float32
    assert not any(p.requires_grad or p.is_meta for p in model.wan.parameters())


def test_prompts_differ() -> None:
    embed = random_model(TINY_SPEC).embed_prompt
    assert embed("a").shape == (TINY_SPEC.text_length, TINY_SPEC.text_dim)
    assert torch.equal(embed("a"), embed("a"))
    assert not torch.equal(embed("a"), embed("b"))


@pytest.mark.parametrize("spec", {spec.vae: spec for spec in CATALOG.values()}.values(), ids=lambda spec: spec.name)
def test_autoencoders_have_the_catalogs_shapes(spec) -> None:  # type: ignore[no-untyped-def]
    with torch.device("meta"):
        vae = AutoencoderKLWan(**vae_config(spec.vae))
    config = vae.config
    across = 2 ** (len(config.dim_mult) - 1) * (config.patch_size or 1)
    assert (2 ** sum(config.temperal_downsample), across, across) == spec.vae_stride
    counted = sum(value.numel() for name, value in vae.named_parameters() if name.startswith(("decoder", "post_quant")))
    # The closed form counts convolutions only; norms' scales are what is left.
    assert 0 <= counted / spec.vae.decoder_parameters - 1 < 0.01
