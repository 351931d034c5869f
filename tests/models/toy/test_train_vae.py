"""The autoencoder trains to something a plain `AutoencoderKLWan` runs, from the seed alone."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor

from models.toy.grammar import SIDE, parse, scenes
from models.toy.render import BACKGROUND, render
from models.toy.train_vae import CONFIG, STAGES, Stage, Stream, _clips, encode, forget_past_taps, train_vae

SHORT = (Stage("a", frames=5, batch=1, steps=2, peak_rate=1e-3), Stage("b", frames=9, batch=1, steps=1, peak_rate=1e-3))


def _fresh() -> AutoencoderKLWan:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return AutoencoderKLWan(**CONFIG).eval().requires_grad_(False)


@cache
def _trained() -> AutoencoderKLWan:
    """By two tiny stages, in a folder that is gone by now."""
    with TemporaryDirectory() as folder:
        return train_vae(Path(folder), 0, SHORT)


def _video(frames: int) -> Tensor:
    return torch.stack([render(parse("a red circle at the top left moving down right"), frames)])


def _past_taps(vae: AutoencoderKLWan) -> list[Tensor]:
    return [
        module.weight[:, :, :-1]
        for module in vae.modules()
        if isinstance(module, WanCausalConv3d) and module.kernel_size == (3, 3, 3)
    ]


def test_encoding_in_two_chunks_is_diffusers_encoding() -> None:
    vae = _fresh()
    wanted = vae.encode(_video(13)).latent_dist.mean
    assert wanted.shape == (1, 16, 4, 4, 4)
    torch.testing.assert_close(encode(vae, _video(13)), wanted, atol=1e-4, rtol=1e-4)


def test_decoding_in_chunks_is_diffusers_decoding() -> None:
    vae = _fresh()
    latents = torch.randn((1, 16, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    stream = Stream(vae)
    found = torch.cat([stream.decode(latents[:, :, :1], first=True), stream.decode(latents[:, :, 1:], first=False)], 2)
    wanted = vae.decode(latents, return_dict=False)[0]
    assert found.shape == (1, 3, 13, SIDE, SIDE)
    torch.testing.assert_close(found.clamp(-1, 1), wanted, atol=1e-4, rtol=1e-4)


def test_what_is_trained_is_a_plain_autoencoder() -> None:
    """Training replaces forwards; the weights alone must do the same."""
    trained, plain = _fresh(), _fresh()
    forget_past_taps(trained)
    video = _video(9)
    before = encode(plain, video)
    plain.load_state_dict(trained.state_dict())
    found = encode(trained, video)
    torch.testing.assert_close(found, encode(plain, video), atol=1e-4, rtol=1e-4)
    assert (found - before).abs().max() > 1e-2
    latents = found.clone()
    torch.testing.assert_close(
        trained.decode(latents, return_dict=False)[0],
        plain.decode(latents, return_dict=False)[0],
        atol=1e-4,
        rtol=1e-4,
    )


def test_training_leaves_past_taps_at_zero_and_moves_the_present() -> None:
    vae = _trained()
    taps = _past_taps(vae)
    assert len(taps) > 10
    assert not any(tap.any() for tap in taps)
    assert not torch.equal(vae.decoder.conv_in.weight, _fresh().decoder.conv_in.weight)


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    again = train_vae(tmp_path, 0, SHORT).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in _trained().state_dict().items())


def test_another_seed_trains_others(tmp_path: Path) -> None:
    other = train_vae(tmp_path, 1, SHORT)
    assert not torch.equal(other.decoder.conv_in.weight, _trained().decoder.conv_in.weight)


def test_a_stage_for_the_decoder_alone_leaves_the_latents_as_they_were(tmp_path: Path) -> None:
    """The second call goes on from the first one's end."""
    before = train_vae(tmp_path, 0, SHORT[:1])
    sharpen = Stage("sharp", frames=5, batch=1, steps=2, peak_rate=1e-3, margin=2, decoder_only=True)
    after = train_vae(tmp_path, 0, (*SHORT[:1], sharpen))
    assert torch.equal(encode(after, _video(5)), encode(before, _video(5)))
    assert not torch.equal(after.decoder.conv_in.weight, before.decoder.conv_in.weight)


def _loss_of_grey(video_BCFHW: Tensor, margin: int) -> float:
    """A decoder of zeros draws grey, which is 0."""
    vae = _fresh()
    for weight in vae.decoder.conv_out.parameters():
        weight.zero_()
    return float(Stream(vae, torch.Generator().manual_seed(0)).loss(video_BCFHW, first=True, margin=margin))


def test_a_loss_is_lower_the_nearer_the_picture() -> None:
    assert _loss_of_grey(torch.zeros(1, 3, 1, SIDE, SIDE), 0) < 0.1 < _loss_of_grey(_video(1), 0)


@pytest.mark.parametrize("margin", [1, 4])
def test_pixels_about_the_shape_weigh_seven_as_its_own(margin: int) -> None:
    """The square is 24 pixels wide; what a margin adds to the loss is six times the background's error in its frame."""
    video = render(parse("a blue square at the middle center moving up"), 1)[None]
    background = (1 - torch.tensor(BACKGROUND) / 127.5).mean().item()
    framed = ((24 + 2 * margin) ** 2 - 24**2) / SIDE**2
    added = _loss_of_grey(video, margin) - _loss_of_grey(video, 0)
    assert added == pytest.approx(6 * framed * background, rel=1e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_clips_are_of_the_stages_size_and_of_scenes_not_held_out(stage: Stage) -> None:
    small = stage._replace(batch=3)
    clips = _clips(small, random.Random(0))
    assert clips.shape == (3, 3, stage.frames, SIDE, SIDE)
    assert stage.frames % 4 == 1
    chosen = _clips(Stage("one", frames=1, batch=40, steps=1, peak_rate=1.0), random.Random(1))
    # A held-out scene may look like another's later frame, so what is checked is the draw itself.
    held_out = {scene.prompt for scene in scenes() if scene.held_out}
    draw, seen = random.Random(1), [scene for scene in scenes() if not scene.held_out]
    drawn = [(draw.choice(seen), 4 * draw.randrange(48)) for _ in range(40)]
    assert not held_out & {scene.prompt for scene, _ in drawn}
    assert all(torch.equal(clip, render(scene, 1, start)) for clip, (scene, start) in zip(chosen, drawn, strict=True))
