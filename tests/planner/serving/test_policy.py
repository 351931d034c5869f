"""Text forms of policies, and the groups they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.errors import InputError
from planner.serving.policy import Policy


@pytest.mark.parametrize(
    "text",
    [
        *("single", "group:4", "groups:4+2+1+1", "groups:2", "shared:4", "shared:4x2", "shared:4+2", "groups:2+1x3"),
        *("shared:4,once", "single,turns", "group:2,rate", "shared:4x2,turns,queue:30", "shared:1+1,queue:0.5"),
    ],
)
def test_text_forms_round_trip(text: str) -> None:
    assert str(Policy.parse(text)) == text


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    sizes = tuple(draw(st.lists(st.integers(1, 9999), min_size=1, max_size=4)))
    admission = draw(st.sampled_from(["reject", "queue", "rate"]))
    wait = st.none() | st.floats(0, 1e6, exclude_min=True)
    data = {
        "sizes": sizes,
        "repeat": len(sizes) == 1 and draw(st.booleans()),
        "each": draw(st.none() | st.integers(1, 9999)),
        "turn": draw(st.sampled_from(["deadline", "turns"])),
        "admission": admission,
        "longest_wait_s": draw(wait) if admission == "queue" else None,
    }
    return Policy.from_data(data, "test")


@given(policies())
def test_the_text_form_says_all_of_a_policy(policy: Policy) -> None:
    assert Policy.parse(str(policy)) == policy


def test_one_policy_has_one_text_form() -> None:
    for several in (("single", "group:1", "shared:1x1"), ("groups:4", "group:4,once", "shared:4x1,once")):
        assert {str(Policy.parse(text)) for text in several} == {several[0]}
    assert Policy.parse("shared:4,once").groups([8]) == ((0, 4),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("single,never", "'never' in 'single,never' is none of 'once'"),
        ("single,queue:soon", "is none of 'once'"),
        ("single,", "'' in 'single,' is none of"),
        ("single,rate,queue", "names 'queue' beside another"),
        ("single,queue:0", "greater than 0"),
    ],
)
def test_rules_that_are_none(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Policy.parse(text)


@pytest.mark.parametrize("text", ["", "group", "group:0", "group:2x2", "group:2+2", "shared:", "single:2", "groups:2+"])
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is none of 'single'"):
        Policy.parse(text)


def test_groups_on_so_many_devices() -> None:
    assert Policy.parse("group:3").groups([8]) == ((0, 3), (3, 3))
    assert Policy.parse("shared:3").groups([9]) == ((0, 3), (3, 3), (6, 3))
    assert Policy.parse("groups:4+2+1").groups([8]) == ((0, 4), (4, 2), (6, 1))
    assert Policy.parse("groups:4").groups([8]) == ((0, 4),)
    # A group stays within a node if it can.
    assert Policy.parse("group:3").groups([4, 4]) == ((0, 3), (4, 3))
    assert Policy.parse("groups:2+3+3").groups([4, 4, 2]) == ((8, 2), (0, 3), (4, 3))
    assert Policy.parse("group:6").groups([4, 4, 4]) == ((0, 6), (6, 6))
    assert Policy.parse("groups:3+3+2").groups([4, 4]) == ((0, 3), (3, 3), (6, 2))
    assert Policy.parse("single").each == Policy.parse("groups:2").each == 1
    assert Policy.parse("shared:2").each is None
    for text in ("group:9", "groups:4+4+1"):
        with pytest.raises(InputError, match="needs 9 device"):
            Policy.parse(text).groups([8])


def test_a_wait_belongs_to_a_queue() -> None:
    with pytest.raises(ValidationError, match="belongs to admission 'queue'"):
        Policy(sizes=(1,), longest_wait_s=3)
    with pytest.raises(ValidationError, match="groups of one size"):
        Policy(sizes=(1, 2), repeat=True)
