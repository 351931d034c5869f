"""An action has one text, and a text one action."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.action import COMING, COMPUTE, LEAVING, TRANSFERS, Action, Carried, Kind, Payload
from planner.errors import InputError

# What each text stands for, written out.
FORMS = {
    "denoise b3.s2": Action(Kind.DENOISE, 3, 2),
    "denoise b0.s0": Action(Kind.DENOISE, 0, 0),
    "commit b10": Action(Kind.COMMIT, 10),
    "decode b3": Action(Kind.DECODE, 3),
    "decode b3.d1": Action(Kind.DECODE, 3, 1),
    "encode b3": Action(Kind.ENCODE, 3),
    "recache b3": Action(Kind.RECACHE, 3),
    "text p0": Action(Kind.TEXT, 0),
    "tick 9": Action(Kind.TICK, 9),
    "tick 9 b3.s2 b4.c": Action(Kind.TICK, 9, batch=((3, 2), (4, None))),
    "batch 9.0 b3.s2": Action(Kind.BATCH, 9, 0, batch=((3, 2),)),
    "slice 9.1 b3.c b4.s0": Action(Kind.SLICE, 9, 1, batch=((3, None), (4, 0))),
    "send kv b3.s2 to r1": Action(Kind.SEND, 3, 2, "kv", 1),
    "send kv b3.c to r0": Action(Kind.SEND, 3, None, "kv", 0),
    "recv latents b3.s3 from r12": Action(Kind.RECV, 3, 3, "latents", 12),
    "recv kv b0.c from r7": Action(Kind.RECV, 0, None, "kv", 7),
    "stream kv b3.s2 to r1": Action(Kind.STREAM, 3, 2, "kv", 1),
    "tap kv b3.s2 from r0": Action(Kind.TAP, 3, 2, "kv", 0),
    "send context b3 to r1": Action(Kind.SEND, 3, None, "context", 1),
    "send pixels b3 to r1": Action(Kind.SEND, 3, None, "pixels", 1),
    "recv encoded b3 from r1": Action(Kind.RECV, 3, None, "encoded", 1),
    "send features b3.d0 to r1": Action(Kind.SEND, 3, 0, "features", 1),
    "recv hidden w9.l0 from r1": Action(Kind.RECV, 9, 0, "hidden", 1),
    "free text p1": Action(Kind.FREE, 1, None, "text"),
    "free kv b3.c": Action(Kind.FREE, 3, None, "kv"),
    "free latents b999999999.s0": Action(Kind.FREE, 999_999_999, 0, "latents"),
}

numbers = st.integers(0, 10**9 - 1)
stepped: st.SearchStrategy[Carried] = st.sampled_from(["features", "hidden"])
plain: st.SearchStrategy[Carried] = st.sampled_from(["context", "pixels", "encoded", "text"])
of_pass: st.SearchStrategy[Carried] = st.sampled_from(["kv", "latents"])
payloads = st.one_of(
    st.tuples(numbers, st.none() | numbers, of_pass),
    st.tuples(numbers, numbers, stepped),
    st.tuples(numbers, st.none(), plain),
)
batches = st.lists(st.tuples(numbers, st.none() | numbers), max_size=3).map(tuple)
# Not st.builds, which makes up the fields it is not given.
denoises = st.tuples(st.just(Kind.DENOISE), numbers, numbers)
whole = st.tuples(st.sampled_from([Kind.COMMIT, Kind.DECODE, Kind.ENCODE, Kind.RECACHE, Kind.TEXT]), numbers)
parts = st.tuples(st.just(Kind.DECODE), numbers, numbers)
ticks = st.tuples(st.just(Kind.TICK), numbers, st.none(), st.none(), st.none(), batches)
shares = st.tuples(st.sampled_from([Kind.BATCH, Kind.SLICE]), numbers, numbers, st.none(), st.none(), batches)
transfers = st.tuples(st.sampled_from(sorted(TRANSFERS)), payloads, numbers).map(lambda t: (t[0], *t[1], t[2]))
frees = payloads.map(lambda payload: (Kind.FREE, *payload))
actions = st.one_of(denoises, whole, parts, ticks, shares, transfers, frees).map(lambda fields: Action(*fields))


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
        "send features b3 to r1",
        "send features b3.s0 to r1",
        "send hidden b3.l0 to r1",
        "send hidden w3 to r1",
        "send text b0 to r1",
        "send context b3.c to r1",
        "send music b3 to r1",
        "stream kv b3.s2 from r1",
        "tap kv b3.s2 to r1",
        "tap kv b3.s2",
        "text b0",
        "text p0.d1",
        "decode p0",
        "decode b3.s1",
        "encode b3.d1",
        "recache b3.d1",
        "commit b3.d1",
        "tick",
        "tick 9.0 b3.s2",
        "tick 09 b3.s2",
        "tick 9 b3",
        "tick 9  b3.s2",
        "tick 9 b3.s2 ",
        "tick b9 b3.s2",
        "batch 9 b3.s2",
        "batch 9. b3.s2",
        "slice 9 b3.s2",
        "slice 9.1 w3.l2",
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


def test_every_kind_computes_moves_or_frees() -> None:
    computing = {action.kind for action in FORMS.values() if action.is_compute}
    assert computing == COMPUTE == set(Kind) - TRANSFERS - {Kind.FREE}
    assert {action.kind for action in FORMS.values()} == set(Kind)
    assert LEAVING | COMING == TRANSFERS
    assert LEAVING.isdisjoint(COMING)


@given(actions)
def test_actions_are_whole(action: Action) -> None:
    assert action.is_whole
    assert action.is_compute == (action.kind in COMPUTE)
    # One more field than its kind has.
    assert not action._replace(carries="kv", peer=1, batch=((0, 0),)).is_whole


@pytest.mark.parametrize(
    "action",
    [
        Action(Kind.DENOISE, 0),
        Action(Kind.DENOISE, 0, 0, "kv"),
        Action(Kind.DENOISE, 0, 0, batch=((0, 0),)),
        Action(Kind.COMMIT, 0, 0),
        Action(Kind.TEXT, 0, 0),
        Action(Kind.TICK, 0, 0),
        Action(Kind.BATCH, 0),
        Action(Kind.DECODE, 0, peer=1),
        Action(Kind.SEND, 0, 0, "kv"),
        Action(Kind.SEND, 0, 0, None, 1),
        Action(Kind.FREE, 0, 0, "kv", 1),
        Action(Kind.FREE, 0, 0),
    ],
)
def test_what_is_not_whole(action: Action) -> None:
    assert not action.is_whole


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("denoise b3.s2", [(3, 2)]),
        ("commit b3", [(3, None)]),
        ("batch 9.0 b3.c b4.s2", [(3, None), (4, 2)]),
        ("slice 9.1 b3.s2", [(3, 2)]),
        ("tick 9", []),
        ("decode b3", []),
        ("recache b3", []),
        ("text p0", []),
        ("send kv b3.s2 to r1", []),
    ],
)
def test_the_passes_an_action_runs(text: str, passes: list[tuple[int, int | None]]) -> None:
    assert list(Action.parse(text).passes) == passes


def test_shares_of_a_tick_are_one_gang() -> None:
    one, other = Action.parse("tick 9 b3.s2"), Action.parse("tick 9 b4.s1 b5.s0")
    assert one.gang == other.gang == Action.parse("tick 9") != Action.parse("tick 8 b3.s2").gang
    for text in ("batch 9.0 b3.s2", "slice 9.1 b3.s2", "denoise b3.s2"):
        assert Action.parse(text).gang == Action.parse(text)


def test_a_transfers_payload_is_what_it_names() -> None:
    assert Action.parse("send kv b3.s2 to r1").payload == Payload("kv", 3, 2)
    assert Action.parse("tap latents b3.s2 from r1").payload == Payload("latents", 3, 2)
    assert Action.parse("free kv b3.c").payload == Payload("kv", 3, None)
    assert Action.parse("free hidden w3.l2").payload == Payload("hidden", 3, 2)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (Payload("kv", 3, 2), "kv b3.s2"),
        (Payload("kv", 5), "kv b5.c"),
        (Payload("latents", 4, 0), "latents b4.s0"),
        (Payload("context", 4), "context b4"),
        (Payload("features", 4, 0), "features b4.d0"),
        (Payload("hidden", 9, 1), "hidden w9.l1"),
        (Payload("text", 2), "text p2"),
    ],
)
def test_payloads_by_hand(payload: Payload, text: str) -> None:
    assert str(payload) == text


def test_a_compute_action_has_no_payload() -> None:
    with pytest.raises(AssertionError, match=r"denoise b3\.s2 has no payload"):
        _ = Action.parse("denoise b3.s2").payload
