"""Documents: one value, one text, one digest; what does not fit is refused by field."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from planner.errors import InputError
from planner.value import Document, Value


class Part(Value):
    """One nested value."""

    label: str
    share: float = Field(ge=0)


class Sample(Document):
    """One of each kind of field."""

    schema_name: Literal["blockcascade.sample/1"] = "blockcascade.sample/1"
    count: int = 0
    parts: tuple[Part, ...] = ()


parts = st.builds(Part, label=st.text(max_size=5), share=st.floats(0, allow_nan=False, allow_infinity=False))
samples = st.builds(Sample, count=st.integers(), parts=st.lists(parts, max_size=3).map(tuple))


def shuffled(draw: st.DataObject, data: Any) -> Any:
    """The same JSON with every object's keys in another order."""
    if isinstance(data, dict):
        return {key: shuffled(draw, data[key]) for key in draw.draw(st.permutations(list(data)))}
    return [shuffled(draw, item) for item in data] if isinstance(data, list) else data


def test_canonical_json_by_hand() -> None:
    value = Sample(count=3, parts=(Part(share=0.5, label="é\n"),))
    expected = '{"count":3,"parts":[{"label":"\\u00e9\\n","share":0.5}],"schema_name":"blockcascade.sample/1"}\n'
    assert value.to_json() == expected
    assert value.digest == hashlib.sha256(expected.encode()).hexdigest()


@given(samples)
def test_json_round_trips(value: Sample) -> None:
    back = Sample.from_json(value.to_json())
    assert back == value
    assert back.to_json() == value.to_json()


@given(st.data(), samples)
def test_key_order_and_spaces_do_not_matter(data: st.DataObject, value: Sample) -> None:
    text = json.dumps(shuffled(data, json.loads(value.to_json())), indent=2)
    assert Sample.from_json(text).digest == value.digest


@given(samples, samples)
def test_digests_tell_values_apart(one: Sample, other: Sample) -> None:
    assert (one.digest == other.digest) == (one.to_json() == other.to_json())
    if one != other:
        assert one.digest != other.digest


def test_values_are_frozen() -> None:
    value = Sample(count=3)
    with pytest.raises(ValidationError, match="frozen"):
        value.count = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_name":"blockcascade.sample/2"}', "here: schema_name: Input should be 'blockcascade.sample/1'"),
        ('{"schema_name":"blockcascade.plan/1"}', "here: schema_name: Input should be 'blockcascade.sample/1'"),
        ('{"depth":1}', "here: depth: unknown key, remove it (got 1)"),
        ('{"parts":[{"label":"a","share":1,"x":2}]}', "here: parts.0.x: unknown key, remove it (got 2)"),
        ('{"parts":[{"label":"a","share":-1}]}', "here: parts.0.share: Input should be greater than or equal to 0"),
        ('{"parts":[{"label":"a","share":NaN}]}', "here: parts.0.share: Input should be a finite number"),
        ('{"parts":[{"label":"a","share":Infinity}]}', "here: parts.0.share: Input should be a finite number"),
        ('{"parts":[{"label":"a","share":1e999}]}', "here: parts.0.share: Input should be a finite number"),
        ('{"parts":[{"share":1}]}', "here: parts.0.label: Field required"),
        ('{"count":1.5}', "here: count: Input should be a valid integer"),
        ('{"count":null}', "here: count: Input should be a valid integer"),
        ("[]", "here: Input should be a valid dictionary"),
        ("null", "here: Input should be a valid dictionary"),
        ('{"count":1', "here: not valid JSON ("),
        ("", "here: not valid JSON ("),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        Sample.from_json(text, "here")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(("faults", "end"), [(5, "(got 4)"), (6, "; and 1 more"), (7, "; and 2 more")])
def test_many_faults_are_cut_to_five(faults: int, end: str) -> None:
    with pytest.raises(InputError) as refused:
        Sample.from_data({f"x{i}": i for i in range(faults)}, "here")
    assert str(refused.value).count("unknown key") == 5
    assert str(refused.value).endswith(end)


def test_a_long_value_is_not_shown_in_full() -> None:
    with pytest.raises(InputError) as refused:
        Sample.from_data({"count": "x" * 10_000}, "here")
    assert len(str(refused.value)) < 500
