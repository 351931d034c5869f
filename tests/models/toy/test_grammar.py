"""A prompt and a scene are the same thing, and a wrong prompt is told its wrong word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import PromptError
from models.toy.grammar import COLORS, HIGH, LOW, RADIUS, SHAPES, SIDE, VOCABULARY, Scene, parse, scenes

ALL = tuple(scenes())
SCENE = parse("a red circle at the top left moving down right")

any_scene = st.sampled_from(ALL)
frames = st.integers(0, 2000)


def test_every_scene_is_its_prompt() -> None:
    assert [parse(scene.prompt) for scene in ALL] == list(ALL)
    assert len({scene.prompt for scene in ALL}) == len(ALL) == 6 * 4 * 3 * 3 * 8


def test_a_prompt_by_hand() -> None:
    wanted = Scene(color="red", shape="circle", row="top", column="left", vertical="down", horizontal="right")
    assert wanted == SCENE
    assert wanted.prompt == "a red circle at the top left moving down right"
    assert parse("a cyan cross at the middle center moving left").vertical == ""
    assert parse("a cyan cross at the middle center moving up").horizontal == ""


@pytest.mark.parametrize(
    "prompt",
    [
        "A Red CIRCLE at the Top Left moving Down Right",
        "  a red  circle at the top left\tmoving down right \n",
        "an red circle at the top left moving down right",
    ],
)
def test_case_spaces_and_articles_do_not_matter(prompt: str) -> None:
    assert parse(prompt) == SCENE


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a pink circle at the top left moving up", "color 'pink' is not one of red, green, blue"),
        ("a red star at the top left moving up", "shape 'star' is not one of circle, square, triangle, cross"),
        ("a red circle at the left top moving up", "row 'left' is not one of top, middle, bottom"),
        ("a red circle at the top middle moving up", "column 'middle' is not one of left, center, right"),
        ("a red circle at the top left moving sideways", r"direction is \[up\|down\] \[left\|right\], not 'sideways'"),
        ("a red circle at the top left moving right down", "direction is .*, not 'right down'"),
        ("a red circle at the top left moving up up", "direction is .*, not 'up up'"),
        ("a red circle at the top left moving up left fast", "direction is .*, not 'up left fast'"),
        ("a red circle at the top left", "does not read 'a COLOR SHAPE at the ROW COLUMN moving DIRECTION'"),
        ("the red circle at the top left moving up", "does not read"),
        ("a red circle at the top left moving ", "does not read"),
        ("", "does not read"),
    ],
)
def test_a_wrong_word_is_named_with_the_right_ones(prompt: str, words: str) -> None:
    with pytest.raises(PromptError, match=words) as caught:
        parse(prompt)
    assert repr(prompt) in str(caught.value)


def test_the_example_in_the_error_is_a_prompt() -> None:
    with pytest.raises(PromptError) as caught:
        parse("")
    assert parse(str(caught.value).split("e.g. ")[1].strip("'")) == SCENE


# -- tokens --------------------------------------------------------------------------------------


def test_tokens_by_hand() -> None:
    """Slots of 6, 4, 3, 3, 3 and 3 words, each with ids of its own."""
    assert SCENE.tokens() == (0, 6, 10, 13, 18, 21)
    assert parse("a cyan cross at the bottom right moving left").tokens() == (5, 9, 12, 15, 17, 19)
    assert VOCABULARY == 22


def test_tokens_say_which_scene_and_which_slot() -> None:
    tokens = [scene.tokens() for scene in ALL]
    assert len(set(tokens)) == len(ALL)
    slots = [{ids[slot] for ids in tokens} for slot in range(6)]
    assert sorted(token for slot in slots for token in slot) == list(range(VOCABULARY))


# -- motion --------------------------------------------------------------------------------------


def test_motion_by_hand() -> None:
    """From (16, 48) up and left: the left wall, 12 pixels from the edge, turns it round after four frames."""
    scene = parse("a blue square at the bottom left moving up left")
    assert [scene.center(frame) for frame in range(7)] == [
        (16, 48),
        (15, 47),
        (14, 46),
        (13, 45),
        (12, 44),
        (13, 43),
        (14, 42),
    ]
    down = parse("a blue square at the bottom center moving down")
    assert [down.center(frame) for frame in (0, 4, 5, 44, 45)] == [(32, 48), (32, 52), (32, 51), (32, 12), (32, 13)]


@given(any_scene, frames)
def test_the_shape_stays_inside_and_moves_a_pixel_a_frame(scene: Scene, frame: int) -> None:
    here, there = scene.center(frame), scene.center(frame + 1)
    assert all(RADIUS <= place <= SIDE - RADIUS for place in here)
    steps = [abs(b - a) for a, b in zip(here, there, strict=True)]
    assert steps == [int(bool(scene.horizontal)), int(bool(scene.vertical))]


@given(any_scene, frames)
def test_motion_repeats_after_there_and_back(scene: Scene, frame: int) -> None:
    assert scene.center(frame) == scene.center(frame + 2 * (HIGH - LOW))


@given(any_scene)
def test_a_clip_starts_in_its_cell_and_goes_its_way(scene: Scene) -> None:
    x, y = scene.center(0)
    thirds = {16: 0, 32: 1, 48: 2}
    assert ("left", "center", "right")[thirds[x]] == scene.column
    assert ("top", "middle", "bottom")[thirds[y]] == scene.row
    dx, dy = scene.center(1)[0] - x, scene.center(1)[1] - y
    assert {-1: "left", 0: "", 1: "right"}[dx] == scene.horizontal
    assert {-1: "up", 0: "", 1: "down"}[dy] == scene.vertical


# -- what training never sees --------------------------------------------------------------------


def test_about_an_eighth_is_held_out_of_every_color_and_shape() -> None:
    def share(chosen: list[Scene]) -> float:
        return sum(scene.held_out for scene in chosen) / len(chosen)

    assert share(list(ALL)) == pytest.approx(1 / 8, abs=0.02)
    assert sum(scene.held_out for scene in ALL) == 240  # by hash, so it cannot change
    groups = [[s for s in ALL if s.color == color] for color in COLORS]
    groups += [[s for s in ALL if s.shape == shape] for shape in SHAPES]
    assert all(0.09 < share(group) < 0.2 for group in groups)


@pytest.mark.parametrize(
    ("prompt", "held_out"),
    [
        ("a red circle at the top center moving up right", True),
        ("a red circle at the middle left moving up left", True),
        ("a red circle at the top left moving up left", False),
        ("a red circle at the top left moving up", False),
    ],
)
def test_what_is_held_out_stays_held_out(prompt: str, held_out: bool) -> None:
    """The shipped weights have seen the others: a hash that changed would score them on their training data."""
    assert parse(prompt).held_out is held_out


def test_a_scene_is_frozen_and_strict() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SCENE.color = "blue"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="speed"):
        Scene.model_validate(SCENE.model_dump() | {"speed": "2"})
