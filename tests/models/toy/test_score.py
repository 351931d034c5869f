"""The score tells a true clip from a wrong one, by what is wrong with it."""

from __future__ import annotations

from math import inf

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.toy.grammar import COLORS, RADIUS, SHAPES, SIDE, Scene, parse, scenes
from models.toy.render import BACKGROUND, render
from models.toy.score import NEAR, FrameScores, _held_out, _row, decode_all, score_clip
from tests.models.variants import tiny
from tests.tiny import TINY_SPEC

FRAMES = 6
SCENE = parse("a red circle at the middle center moving down right")

any_scene = st.sampled_from(tuple(scenes()))


def _video(scene: Scene, frames: int = FRAMES) -> Tensor:
    """The true clip as a decoder would hand it out."""
    return ((render(scene, frames).permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8)


def _scaled_triangle(scene: Scene, scale: float) -> Tensor:
    """The scene's clip with a triangle of `scale` its extent about the same centre."""
    axis, video = torch.arange(SIDE) + 0.5, _plain(BACKGROUND).clone()
    for frame in range(FRAMES):
        x, y = scene.center(frame)
        across, down = ((axis[None, :] - x) / scale).abs(), (axis[:, None] - y) / scale
        inside = (down <= RADIUS) & (2 * across - down <= RADIUS)
        video[frame][inside] = torch.tensor(COLORS[scene.color], dtype=torch.uint8)
    return video


def _plain(color: tuple[int, int, int]) -> Tensor:
    return torch.tensor(color, dtype=torch.uint8).expand(FRAMES, SIDE, SIDE, 3)


@settings(max_examples=40)
@given(any_scene)
def test_a_true_clip_scores_full_marks(scene: Scene) -> None:
    present, error = score_clip(scene, _video(scene))
    assert present.tolist() == [True] * FRAMES
    assert error.tolist() == [0] * FRAMES


@pytest.mark.parametrize("color", [color for color in COLORS if color != "red"])
def test_another_color_is_in_place_but_not_present(color: str) -> None:
    present, error = score_clip(SCENE, _video(SCENE.model_copy(update={"color": color})))
    assert not present.any()
    assert error.max() < 0.01


@pytest.mark.parametrize("wanted", SHAPES)
@pytest.mark.parametrize("drawn", SHAPES)
def test_another_shape_is_not_present(wanted: str, drawn: str) -> None:
    scene = SCENE.model_copy(update={"shape": wanted})
    present, error = score_clip(scene, _video(SCENE.model_copy(update={"shape": drawn})))
    assert present.tolist() == [wanted == drawn] * FRAMES
    # A triangle's centroid lies a third of its half extent below its centre.
    assert (error.max() < 0.01) == ((wanted == "triangle") == (drawn == "triangle"))


@pytest.mark.parametrize(("x", "y", "pixels"), [(5, 0, 5.0), (0, -5, 5.0), (3, 4, 5.0), (2, 0, 2.0)])
def test_a_shift_is_an_error_of_as_many_pixels(x: int, y: int, pixels: float) -> None:
    present, error = score_clip(SCENE, _video(SCENE).roll((y, x), (1, 2)))
    assert present.all()
    assert error.tolist() == pytest.approx([pixels] * FRAMES, abs=0.01)
    assert bool((error <= NEAR).all()) == (pixels <= 0.05 * 64)


def test_frames_are_scored_one_by_one() -> None:
    video = _video(SCENE)
    video[2] = torch.tensor(BACKGROUND)
    video[4] = _video(SCENE.model_copy(update={"color": "blue"}))[4]
    present, error = score_clip(SCENE, video)
    assert present.tolist() == [True, True, False, True, False, True]
    assert error.tolist() == [0, 0, inf, 0, 0, 0]


@pytest.mark.parametrize("color", [(0, 0, 0), BACKGROUND])
def test_nothing_drawn_is_nothing_present_and_infinitely_far(color: tuple[int, int, int]) -> None:
    present, error = score_clip(SCENE, _plain(color))
    assert not present.any()
    assert error.tolist() == [inf] * FRAMES


def test_a_flood_of_the_right_color_is_not_a_shape() -> None:
    """A frame full of paint comes closest to the largest shape, which is the square."""
    present, error = score_clip(SCENE, _plain(COLORS["red"]))
    assert not present.any()
    assert error.isfinite().all()


def test_too_little_of_the_shape_is_not_present() -> None:
    """Right in colour, shape and place, triangles count from four tenths of the true area."""
    scene = SCENE.model_copy(update={"shape": "triangle"})
    for scale, counts in ((0.6, False), (0.7, True)):
        present, error = score_clip(scene, _scaled_triangle(scene, scale))
        assert present.tolist() == [counts] * FRAMES
        assert error.max() < 3


def test_a_triangle_drawn_a_little_too_large_is_a_triangle() -> None:
    """Its centroid lies below its centre: a drawing about the centroid would sit too low and lose to the circle."""
    scene = SCENE.model_copy(update={"shape": "triangle"})
    assert score_clip(scene, _scaled_triangle(scene, 1.15)).present_F.all()


def test_noise_and_dimmed_paint_still_count() -> None:
    """A decoder is not exact: 8 levels of noise and nine tenths of the brightness are no error of colour or shape."""
    noise = torch.randint(-8, 9, (FRAMES, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(0))
    video = (0.9 * _video(SCENE) + noise).clamp(0, 255).to(torch.uint8)
    present, error = score_clip(SCENE, video)
    assert present.all()
    assert error.max() < 0.5


# -- the table -----------------------------------------------------------------------------------


def test_a_row_by_hand() -> None:
    """Two clips of four frames, of which the first three count."""
    clips = [
        FrameScores(torch.tensor([True, True, False, False]), torch.tensor([0.0, 1.0, 3.0, 50.0])),
        FrameScores(torch.tensor([True, True, True, False]), torch.tensor([2.0, 4.0, inf, 50.0])),
    ]
    row = _row(offset=2, blocks=7, clips=clips, frames=3)
    assert (row.offset, row.blocks) == (2, 7)
    assert row.present == pytest.approx(5 / 6)
    assert row.near == pytest.approx(4 / 6)  # 0, 1, 2 and 3 are within 3.2 pixels
    assert row.median_error == 2.5


def test_scored_scenes_are_those_held_out_in_an_order_that_stays() -> None:
    assert sorted(s.prompt for s in _held_out()) == sorted(s.prompt for s in scenes() if s.held_out)
    assert len({scene.color for scene in _held_out()[:20]}) == len(COLORS)  # mixed: the first few show every colour


def test_a_streams_blocks_are_decoded_into_one_video() -> None:
    latents = torch.randn((3, 4, 2, 4, 4), generator=torch.Generator().manual_seed(0))
    frames = sum(TINY_SPEC.pixel_frames(block) for block in range(3))
    assert decode_all(tiny(), list(latents)).shape == (frames, 16, 16, 3)
