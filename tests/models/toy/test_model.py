"""The toy reads its prompts and, as it ships, draws what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.catalog import load_spec
from models.errors import CheckpointError, PromptError
from models.generate import generate
from models.toy.grammar import VOCABULARY, parse
from models.toy.model import WEIGHTS, embed_prompt, embed_scene, load_toy
from models.toy.score import decode_all, score_clip

PROMPT = "a red circle at the top center moving up right"  # held out of the training

trained = pytest.mark.skipif(
    not (WEIGHTS / "transformer").exists(), reason="the toy is not trained yet: no models/toy/weights/transformer"
)


def test_a_prompt_is_one_row_a_word() -> None:
    rows = embed_prompt(PROMPT)
    assert rows.shape == (load_spec("toy").text_length, VOCABULARY)
    assert rows.dtype == torch.float32
    assert rows.argmax(1).tolist() == list(parse(PROMPT).tokens())
    assert rows.sum(1).tolist() == [1] * 6
    assert rows.sum() == rows.abs().sum()
    assert torch.equal(embed_scene(parse(PROMPT)), rows)


def test_a_prompt_outside_the_grammar_is_refused() -> None:
    with pytest.raises(PromptError, match="'dog'"):
        embed_prompt("a red dog at the top center moving up")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_toy(tmp_path)


@trained
def test_the_weights_that_ship_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 10_000_000


@trained
def test_what_ships_draws_what_a_prompt_it_has_never_seen_says() -> None:
    assert parse(PROMPT).held_out
    toy = load_toy()
    assert toy.vae is not None
    latents = generate(toy.wan, toy.wan.encode_text(toy.embed_prompt(PROMPT)), blocks=4, seed=0)
    video = decode_all(toy, latents)
    assert len(video) == sum(toy.spec.pixel_frames(block) for block in range(4)) == 45
    assert score_clip(parse(PROMPT), video).present_F.float().mean() >= 0.8
