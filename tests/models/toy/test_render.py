"""A clip shows its scene: the right colour, shape, place and size."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.toy.grammar import COLORS, RADIUS, SHAPES, SIDE, Scene, parse, scenes
from models.toy.render import BACKGROUND, render, shape_mask

MIDDLE = torch.tensor([[32.0, 32.0]])

any_scene = st.sampled_from(tuple(scenes()))


def _levels(video_CFHW: Tensor) -> Tensor:
    """[F, H, W, C] in 0..255."""
    return ((video_CFHW + 1) * 127.5).round().permute(1, 2, 3, 0)


def _mask(shape: str) -> Tensor:
    """[H, W] of the shape in the middle."""
    return shape_mask(shape, MIDDLE)[0]


@given(any_scene, st.integers(0, 300))
def test_the_centre_has_the_color_and_all_beyond_the_extent_the_background(scene: Scene, frame: int) -> None:
    (x, y), (picture,) = scene.center(frame), _levels(render(scene, 1, frame))
    assert picture[y, x].tolist() == list(COLORS[scene.color])
    distance = (torch.arange(SIDE)[:, None] + 0.5 - torch.tensor([y, x])).abs()
    beyond = torch.maximum(distance[:, None, 0], distance[None, :, 1]) > RADIUS + 1
    assert picture[beyond].unique(dim=0).tolist() == [list(BACKGROUND)]


def test_a_corner_is_background() -> None:
    frames = _levels(render(parse("a green square at the middle center moving up"), 2))
    corners = frames[:, [0, 0, -1, -1], [0, -1, 0, -1]].flatten(0, 1)
    assert corners.tolist() == [list(BACKGROUND)] * 8


def test_a_clip_is_frames_of_colors_between_minus_one_and_one() -> None:
    clip = render(parse("a red circle at the top left moving down right"), 5)
    assert clip.shape == (3, 5, SIDE, SIDE)
    assert clip.dtype == torch.float32
    assert clip.min() >= -1
    assert clip.max() <= 1


@given(any_scene, st.integers(0, 60), st.integers(1, 4))
def test_a_later_start_shows_the_later_frames(scene: Scene, start: int, count: int) -> None:
    assert torch.equal(render(scene, count, start), render(scene, start + count)[:, start:])


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", math.pi * RADIUS**2),
        ("square", (2 * RADIUS) ** 2),
        ("triangle", (2 * RADIUS) ** 2 / 2),
        # Two bars, a third of the extent wide, that share their middle.
        ("cross", 2 * (2 * RADIUS) * (2 * RADIUS / 3) - (2 * RADIUS / 3) ** 2),
    ],
)
def test_areas(shape: str, area: float) -> None:
    """Within 1 %, as edges are soft."""
    assert _mask(shape).sum() == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_fills_its_extent_and_no_more(shape: str) -> None:
    rows, columns = torch.nonzero(_mask(shape) > 0.4, as_tuple=True)
    low, high = 32 - RADIUS, 32 + RADIUS - 1
    # The triangle's apex is narrower than a pixel.
    assert rows.min() in ((low, low + 1) if shape == "triangle" else (low,))
    assert (int(rows.max()), int(columns.min()), int(columns.max())) == (high, low, high)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_its_mirror_image_and_but_for_the_triangle_upside_down(shape: str) -> None:
    mask = _mask(shape)
    torch.testing.assert_close(mask, mask.flip(1))
    assert torch.allclose(mask, mask.flip(0)) == (shape != "triangle")


def test_the_triangle_points_up() -> None:
    widths = (_mask("triangle") > 0.5).sum(1)[32 - RADIUS : 32 + RADIUS]
    assert (widths.diff() >= 0).all()
    assert widths[0] <= 2
    assert widths[-1] >= 2 * RADIUS - 2


def test_a_cross_has_empty_corners_and_a_circle_round_ones() -> None:
    corner = 32 + RADIUS - 3  # 9.5 pixels below and beside the middle: 13.4 from it
    assert {shape: _mask(shape)[corner, corner].item() for shape in SHAPES} == {
        "circle": 0,
        "square": 1,
        "triangle": 1,  # there it is 10.75 wide to each side
        "cross": 0,
    }
    assert all(_mask(shape)[corner, 32] == 1 for shape in SHAPES)


def test_edges_are_a_pixel_soft() -> None:
    """Half a pixel further, the square covers half of the pixels in its first and last column."""
    mask = shape_mask("square", MIDDLE + torch.tensor([[0.5, 0.0]]))[0]
    assert mask[32, 32 - RADIUS].item() == mask[32, 32 + RADIUS].item() == 0.5
    assert mask[32, 32 - RADIUS - 1] == mask[32, 32 + RADIUS + 1] == 0


def test_x_is_the_column() -> None:
    mask = shape_mask("circle", torch.tensor([[40.0, 20.0], [20.0, 40.0]]))
    assert mask[0, 20, 40] == mask[1, 40, 20] == 1
    assert mask[0, 40, 20] == mask[1, 20, 40] == 0


def test_pixels_hold_nothing_but_a_mixture_of_two_colors() -> None:
    frames = _levels(render(parse("a yellow cross at the middle center moving left"), 2))
    back, paint = (torch.tensor(c, dtype=torch.float32) for c in (BACKGROUND, COLORS["yellow"]))
    share = ((frames - back) / (paint - back)).flatten(0, 2)
    assert (share.amax(1) - share.amin(1)).max() < 0.05  # a level of rounding
    assert share.min() >= 0
    assert share.max() <= 1
