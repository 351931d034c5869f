"""An action has one text, and a text one action."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.action import COMPUTE, Action, Carried, Kind, Payload
from planner.errors import InputError

# What each text stands for, written out.
FORMS = {
    "denoise b3.s2": Action(Kind.DENOISE, 3, 2),
    "denoise b0.s0": Action(Kind.DENOISE, 0, 0),
    "commit b10": Action(Kind.COMMIT, 10),
    "decode b3": Action(Kind.DECODE, 3),
    "send kv b3.s2 to r1": Action(Kind.SEND, 3, 2, "kv", 1),
    "send kv b3.c to r0": Action(Kind.SEND, 3, None, "kv", 0),
    "recv latents b3.s3 from r12": Action(Kind.RECV, 3, 3, "latents", 12),
    "recv kv b0.c from r7": Action(Kind.RECV, 0, None, "kv", 7),
    "free kv b3.c": Action(Kind.FREE, 3, None, "kv"),
    "free latents b999999999.s0": Action(Kind.FREE, 999_999_999, 0, "latents"),
}

numbers = st.integers(0, 10**9 - 1)
carried: st.SearchStrategy[Carried] = st.sampled_from(["kv", "latents"])
passes = st.tuples(st.just(Kind.DENOISE), numbers, numbers)
whole = st.tuples(st.sampled_from([Kind.COMMIT, Kind.DECODE]), numbers)
transfers = st.tuples(st.sampled_from([Kind.SEND, Kind.RECV]), numbers, st.none() | numbers, carried, numbers)
frees = st.tuples(st.just(Kind.FREE), numbers, st.none() | numbers, carried)
# Not st.builds, which makes up the fields it is not given.
actions = st.one_of(passes, whole, transfers, frees).map(lambda fields: Action(*fields))


@pytest.mark.parametrize(("text", "action"), FORMS.items())
def test_forms_by_hand(text: str, action: Action) -> None:
    assert str(action) == text
    assert Action.parse(text) == action


@given(actions)
def test_text_round_trips(action: Action) -> None:
    back = Action.parse(str(action))
    assert back == action
    assert [type(field) for field in back] == [type(field) for field in action]


@given(actions, actions)
def test_different_actions_have_different_texts(one: Action, other: Action) -> None:
    assert (str(one) == str(other)) == (one == other)


@given(actions.map(str), st.integers(0, 40), st.text(max_size=2), st.integers(0, 2))
def test_a_text_that_is_read_is_the_only_spelling(text: str, at: int, inserted: str, dropped: int) -> None:
    spoilt = text[:at] + inserted + text[at + dropped :]
    with suppress(InputError):
        assert str(Action.parse(spoilt)) == spoilt


@pytest.mark.parametrize(
    "text",
    [
        "",
        "denoise",
        "denoise b3",
        "denoise b3.c",
        "denoise b03.s2",
        "denoise b3.s02",
        "denoise b3.s-1",
        "denoise b-3.s2",
        "denoise b+3.s2",
        "denoise b3,s2",
        "denoise b1_0.s2",
        "denoise b٣.s2",
        "denoise b3.s２",
        "denoise b1000000000.s0",
        "Denoise b3.s2",
        " denoise b3.s2",
        "denoise  b3.s2",
        "denoise b3.s2 ",
        "denoise b3.s2\n",
        "denoise b3.s2 to r1",
        "commit b3.s1",
        "commit b3.c",
        "commit b3 from r1",
        "decode kv b3",
        "send kv b3.s2",
        "send kv b3.s2 to r",
        "send kv b3.s2 to r01",
        "send kv b3.s2 to 1",
        "send kv b3.s2 from r1",
        "recv kv b3.s2 to r1",
        "recv kv b3.s2",
        "send pixels b3.s2 to r1",
        "send b3.s2 to r1",
        "send kv b3 to r1",
        "free kv b3.s2 to r1",
        "free kv b3.s2 from r1",
        "free b3.s2",
        "free kv b3",
        "keep kv b3.c",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not like 'denoise b3") as refused:
        Action.parse(text)
    assert repr(text) in str(refused.value)


def test_compute_actions() -> None:
    assert {kind for kind in Kind if Action(kind, 0).is_compute} == {Kind.DENOISE, Kind.COMMIT, Kind.DECODE} == COMPUTE


def test_a_transfers_payload_is_what_it_names() -> None:
    assert Action.parse("send kv b3.s2 to r1").payload == Payload("kv", 3, 2)
    assert Action.parse("recv latents b3.s2 from r1").payload == Payload("latents", 3, 2)
    assert Action.parse("free kv b3.c").payload == Payload("kv", 3, None)
    assert [str(Payload("kv", 3, 2)), str(Payload("latents", 4, 0)), str(Payload("kv", 5, None))] == [
        "kv b3.s2",
        "latents b4.s0",
        "kv b5.c",
    ]


def test_a_compute_action_has_no_payload() -> None:
    with pytest.raises(AssertionError, match=r"denoise b3\.s2 has no payload"):
        _ = Action.parse("denoise b3.s2").payload
